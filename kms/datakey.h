// SPDX-License-Identifier: Apache-2.0
/*
 * Data keys: random octets sealed by AES-256-GCM under a cluster's KEK inside
 * the token, bound to cluster, key id, version and the caller's context.
 *
 * Ciphertext, as text: "signet:v" VERSION ":" and base64 of
 *   u8 format (1) | key id (16) | u32 version | IV (12) | ciphertext | tag (16)
 */
#ifndef KMS_DATAKEY_H
#define KMS_DATAKEY_H

#include "kms/keyring.h"

#define CONTEXT_PAIRS_MAX 16
#define CONTEXT_OCTETS_MAX 2048		/* names and values together */
#define CIPHERTEXT_TEXT_MAX 8192

/* Names and values the caller binds; order does not matter. */
struct context;
struct context *context_new(void);
void context_free(struct context *context);
DEFINE_CLEANUP(context, context_free)
/* Errors: ERR_BAD_FIELD: empty or repeated name, not UTF-8, past the bounds. */
MUST_CHECK enum err_code context_add(struct context *context,
    const char *name, const char *value, struct err *err);

/* A key of CLUSTER by its name, and what the caller binds to it. */
struct datakey_use {
	const char *cluster, *name;
	const struct context *context;	/* NULL: empty */
};

/*
 * BITS: 128, 256, 384 or 512.  PLAINTEXT_OUT may be NULL: not wanted.
 * Errors: ERR_NOT_FOUND, ERR_KEY_DISABLED, ERR_BAD_FIELD (bits).  Waits.
 */
MUST_CHECK enum err_code datakey_make(struct keyring *ring,
    const struct datakey_use *use, int64_t bits,
    struct secret **plaintext_out, struct buf *ciphertext_text,
    uint32_t *version_out, struct err *err);

/*
 * Errors: ERR_UNWRAP, with one text, for everything that does not fit
 * (context, cluster, key, version, format, tag); ERR_NOT_FOUND,
 * ERR_KEY_DISABLED.  Waits.
 */
MUST_CHECK enum err_code datakey_unwrap(struct keyring *ring,
    const struct datakey_use *use, struct bytes ciphertext_text,
    struct secret **plaintext_out, uint32_t *version_out, struct err *err);

#endif
