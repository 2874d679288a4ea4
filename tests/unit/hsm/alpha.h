// SPDX-License-Identifier: Apache-2.0
/* One token, alpha, for all tests of a program, workers on it, and what they
 * are asked for most. */
#ifndef TESTS_UNIT_HSM_ALPHA_H
#define TESTS_UNIT_HSM_ALPHA_H
#include "tests/unit/hsm/home.h"

#define TOKEN "pkcs11:token=alpha"

/* A KEK of the worker, with what seals and opens under it. */
struct kek {
	char *root;
	struct buf blob;
};

#define SCOPED_KEK(name)                                                       \
	__attribute__((cleanup(alpha_kek_clear))) struct kek name = {          \
	    NULL, BUF_INIT}

/* Where it all is. */
extern struct home alpha_home;

/* What is signed. */
extern const uint8_t alpha_digest[48];
extern const struct bytes alpha_sha256, alpha_sha384;

/* Starts a worker on the token, with the shim between. */
void alpha_start(struct peer *peer);

/* Takes the rules of the shim away and ends the worker, which ends well. */
void alpha_stop(struct peer *peer);

/* A request whose reply is of no interest. */
enum wire_status alpha_call(
    struct peer *peer, enum wire_op op, const struct buf *fields);

/* Whether openssl takes SIGNATURE over DATA, a digest, for one of SPKI. */
bool alpha_verifies(struct bytes spki, uint8_t mechanism, struct bytes data,
    const struct buf *signature);

/* As peer_make_pair, with the public key. */
void alpha_pair(struct peer *peer, const char *label, uint8_t type,
    char **uri_out, struct buf *spki);

/* A signature by URI verifies, and does not once it is changed. */
void alpha_signs(struct peer *peer, const char *uri, struct bytes spki,
    uint8_t mechanism, struct bytes data);

void alpha_kek_clear(struct kek *kek);

/* Makes a root key LABEL, and a KEK that it wraps. */
void alpha_kek(struct peer *peer, const char *label, struct kek *kek);

/* As requests name it, with AAD. */
void alpha_kek_put(struct buf *fields, const struct kek *kek, const char *aad);

/* A data key of LEN octets, in the clear as well where it is WANTED. */
enum wire_status alpha_data_key(struct peer *peer, const struct kek *kek,
    uint16_t len, uint8_t wanted, struct buf *sealed, struct buf *plaintext);

/* For a group: makes the token. */
int alpha_set_up(void **state);

int alpha_tear_down(void **state);

#endif
