// SPDX-License-Identifier: Apache-2.0
/* Checks an audit log that somebody tells, entry by entry, against signed
 * checkpoints: neither the teller nor a store is believed. */
#ifndef CLI_VERIFIER_H
#define CLI_VERIFIER_H

#include "base/json.h"
#include "store/checkpoint.h"

struct verifier;

MUST_CHECK enum err_code verifier_new(
    struct verifier **verifier_out, struct err *err);
void verifier_free(struct verifier *verifier);
DEFINE_CLEANUP(verifier, verifier_free)

/*
 * The key that signs, PEM of a public key.  FINGERPRINT, NULL or "sha256:HEX" or
 * "HEX", is what it must have.  Errors: ERR_CORRUPT when it has another;
 * ERR_USAGE for a fingerprint or key that is none.
 */
MUST_CHECK enum err_code verifier_trust(struct verifier *verifier,
    struct bytes pem, const char *fingerprint, struct err *err);
/* "sha256:HEX" of the key; "" before there is one. */
const char *verifier_fingerprint(const struct verifier *verifier);

/*
 * A checkpoint that the log must fit; its signature is checked.  All must be
 * told before the entries that they cover.  CHECKPOINT_OUT may be NULL.
 * Errors: ERR_CORRUPT, also when it is of another log than one before, or
 * contradicts it.
 */
MUST_CHECK enum err_code verifier_expect(struct verifier *verifier,
    struct bytes note, struct checkpoint *checkpoint_out, struct err *err);
/* What the teller says the head is, without a signature. */
MUST_CHECK enum err_code verifier_expect_head(struct verifier *verifier,
    const struct audit_head *head, struct err *err);

/* The next entry, as JSON.  Errors: ERR_CORRUPT, whose cause names the place. */
MUST_CHECK enum err_code verifier_entry(
    struct verifier *verifier, json_t *json, struct err *err);
/* No more entries.  Errors: ERR_CORRUPT when a checkpoint covers more. */
MUST_CHECK enum err_code verifier_end(
    struct verifier *verifier, struct err *err);

void verifier_head(
    const struct verifier *verifier, struct audit_head *head_out);
/* Entries that the largest signed checkpoint covers. */
uint64_t verifier_covered(const struct verifier *verifier);

#endif
