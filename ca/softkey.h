// SPDX-License-Identifier: Apache-2.0
/* Keys in software, for what runs outside the token: the API's TLS key and the
 * identities of admins. */
#ifndef CA_SOFTKEY_H
#define CA_SOFTKEY_H

#include <openssl/evp.h>
#include "base/err.h"
#include "base/secret.h"

/* Makes an EC P-256 key pair; *pem_out is the private key as PKCS#8 PEM (RFC
 * 5208, RFC 5915), made in locked memory.  The caller owns both.
 * Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code softkey_new(
    EVP_PKEY **key_out, struct secret **pem_out, struct err *err);

#endif
