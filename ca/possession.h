// SPDX-License-Identifier: Apache-2.0
/* Proof of possession: the signature of a certificate request. */
#ifndef CA_POSSESSION_H
#define CA_POSSESSION_H

#include <openssl/evp.h>
#include "base/buf.h"
#include "base/err.h"

/*
 * Checks ALGORITHM (the content of an AlgorithmIdentifier) against the list for
 * KEY before anything is computed with it, then SIGNATURE over DATA with it.
 * RSA PKCS#1 v1.5 and PSS (RFC 4055, salt as long as the digest), ECDSA (RFC
 * 5758); SHA-256, 384 and 512.
 * Errors: ERR_BAD_CSR.
 */
MUST_CHECK enum err_code possession_check(EVP_PKEY *key,
    struct bytes algorithm, struct bytes data, struct bytes signature,
    struct err *err);

#endif
