// SPDX-License-Identifier: Apache-2.0
/*
 * A sealed data key as callers keep it, as text: "signet:v" VERSION ":" and
 * base64 of
 *   u8 format (1) | key id (16) | u32 version | IV (12) | ciphertext | tag (16)
 */
#ifndef KMS_CIPHERTEXT_H
#define KMS_CIPHERTEXT_H

#include "kms/keyring.h"

#define CIPHERTEXT_TEXT_MAX 8192

struct ciphertext {
	uint8_t key_id[KEY_ID_SIZE];
	uint32_t version;	/* 1 or more */
	struct bytes sealed;	/* IV, ciphertext and tag; borrowed */
};

/* Appends the text. */
void ciphertext_write(const struct ciphertext *parts, struct buf *out);
/* The parts borrow from RAW, which receives the octets.  False for any text
 * that ciphertext_write does not write. */
MUST_CHECK bool ciphertext_parse(
    struct bytes text, struct buf *raw, struct ciphertext *parts_out);

#endif
