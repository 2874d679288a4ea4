// SPDX-License-Identifier: Apache-2.0
/*
 * Data keys: random octets sealed by AES-256-GCM under a cluster's KEK inside
 * the token, bound to cluster, key id, version and the caller's context.
 * kms/ciphertext.h tells how they look sealed.
 */
#ifndef KMS_DATAKEY_H
#define KMS_DATAKEY_H

#include "kms/ciphertext.h"
#include "kms/context.h"
#include "kms/keyring.h"

/* A key of CLUSTER by its name, and what the caller binds to it. */
struct datakey_use {
	const char *cluster, *name;
	const struct context *context; /* NULL: empty */
};

/*
 * BITS: 128, 256, 384 or 512.  PLAINTEXT_OUT may be NULL: not wanted.
 * Errors: ERR_NOT_FOUND, ERR_KEY_DISABLED, ERR_BAD_FIELD (bits).  Waits.
 */
MUST_CHECK enum err_code datakey_make(struct keyring *ring, const struct datakey_use *use,
    int64_t bits, struct secret **plaintext_out, struct buf *ciphertext_text,
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
