// SPDX-License-Identifier: Apache-2.0
/*
 * What is shown once and proves its bearer later: a prefix that tells the kind,
 * and 256 random bits as 43 characters of base64url.  The store holds a hash
 * alone, whose first 16 octets are the id that it is found by.  A text that takes
 * the place of an earlier one has that one's id, in hex, before its random part.
 */
#ifndef POLICIES_BEARER_H
#define POLICIES_BEARER_H

#include "base/err.h"
#include "base/secret.h"

#define BEARER_HASH_SIZE 32
#define BEARER_ID_SIZE 16

enum bearer_kind {
	BEARER_NONE,		/* no text of ours */
	BEARER_TOKEN,		/* "sgt_": bootstrap token of a node */
	BEARER_CODE,		/* "sgc_": enrolment code of an identity */
	BEARER_KEY_TOKEN,	/* "sgk_": token of a program that uses keys */
};
/* By its prefix alone, which is no secret. */
enum bearer_kind bearer_kind(const char *text);

/* Draws a text of KIND, in locked memory throughout.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code bearer_draw(
    enum bearer_kind kind, struct secret **text_out, struct err *err);

/* As bearer_draw, for what is found by ID already. */
MUST_CHECK enum err_code bearer_draw_for(enum bearer_kind kind,
    const uint8_t id[static BEARER_ID_SIZE], struct secret **text_out,
    struct err *err);

/* SHA-256 of TEXT, whatever it is, so that time tells nothing of why one is not
 * accepted; what is longer than any text of ours has the hash of none.
 * Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code bearer_hash(struct bytes text,
    uint8_t hash[static BEARER_HASH_SIZE], struct err *err);
/* By what TEXT, whose hash is HASH, is found: the id in it, or the hash's head. */
void bearer_id(struct bytes text, const uint8_t hash[static BEARER_HASH_SIZE],
    uint8_t id_out[static BEARER_ID_SIZE]);
/* In constant time. */
MUST_CHECK bool bearer_hash_equal(const uint8_t a[static BEARER_HASH_SIZE],
    const uint8_t b[static BEARER_HASH_SIZE]);

#endif
