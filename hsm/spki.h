// SPDX-License-Identifier: Apache-2.0
/* Public keys of the token as SubjectPublicKeyInfo (RFC 5280 4.1.2.7), built
 * and checked by OpenSSL: what a token says is not believed. */
#ifndef HSM_SPKI_H
#define HSM_SPKI_H

#include <stdbool.h>
#include "base/buf.h"
#include "hsm/hsm.h"

/* POINT is CKA_EC_POINT: a DER OCTET STRING, or the bare point as some tokens
 * give it; uncompressed, on the curve of TYPE (SEC 1 2.3.3).  Errors:
 * ERR_CRYPTO. */
MUST_CHECK enum err_code spki_from_point(enum hsm_key_type type, struct bytes point,
    struct buf *spki, struct err *err);
/* Exactly the size of TYPE, exponent 65537.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code spki_from_modulus(enum hsm_key_type type, struct bytes modulus,
    struct bytes exponent, struct buf *spki, struct err *err);

#endif
