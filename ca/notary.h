// SPDX-License-Identifier: Apache-2.0
/*
 * The notary: a key of its own in the token, EC P-256, with which the audit
 * log's checkpoints are signed and nothing else.
 */
#ifndef CA_NOTARY_H
#define CA_NOTARY_H

#include "hsm/hsm.h"
#include "store/checkpoint.h"

#define LABEL_AUDIT "signet-audit"

/* Names in table META under which its key and the log's name are kept. */
#define META_AUDIT_KEY_URI "audit-key-uri"
#define META_AUDIT_LOG "audit-log"

struct notary;

/* Adds to BATCH what notary_open reads: the key, and a random name of the log.
 * Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code notary_record(struct batch *batch, const char *uri,
    struct bytes spki, struct err *err);
/*
 * For a store whose ceremony knew no notary: makes the key in the token and
 * records it, with an audit entry.
 * Errors: ERR_EXISTS when the token has a key LABEL_AUDIT that the store does
 * not know, saying what to do; those of hsm_generate_pair and the store.
 */
MUST_CHECK enum err_code notary_make(
    struct store *store, struct hsm *hsm, struct err *err);

/* Errors: ERR_NOT_FOUND when none is recorded; ERR_CORRUPT; those of the
 * store and of signer_new. */
MUST_CHECK enum err_code notary_open(struct store *store, struct hsm *hsm,
    struct notary **notary_out, struct err *err);
void notary_close(struct notary *notary);
DEFINE_CLEANUP(notary, notary_close)

/* Borrowed.  The origin names the log in its checkpoints. */
const char *notary_origin(const struct notary *notary);
struct bytes notary_spki(const struct notary *notary);

/*
 * Signs HEAD as a checkpoint of now; NOTE is replaced.  Waits.
 * Errors: those of signer_signature; ERR_CRYPTO.
 */
MUST_CHECK enum err_code notary_sign(struct notary *notary,
    const struct audit_head *head, struct buf *note, struct err *err);

/* Signs the log as it is and keeps the checkpoint: so that no store with a key is
 * without one.  Errors: those of notary_open, notary_sign and store_commit. */
MUST_CHECK enum err_code notary_checkpoint(
    struct store *store, struct hsm *hsm, struct err *err);

/* The public key of STORE's notary as DER SubjectPublicKeyInfo.
 * Errors: ERR_NOT_FOUND. */
MUST_CHECK enum err_code notary_find_key(
    struct store *store, struct buf *spki, struct err *err);

#endif
