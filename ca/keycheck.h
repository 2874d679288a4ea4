// SPDX-License-Identifier: Apache-2.0
/* Public keys from outside: taken apart by hand, so that only key types of the
 * list, in their one encoding, ever reach a library's decoder. */
#ifndef CA_KEYCHECK_H
#define CA_KEYCHECK_H

#include "ca/request.h"

/*
 * Decodes a DER SubjectPublicKeyInfo (RFC 5480 2, RFC 3279 2.3.1), whole, and
 * checks the key as keycheck() does.  The caller owns *key_out.
 * Errors: ERR_BAD_KEY, ERR_CRYPTO.
 */
MUST_CHECK enum err_code keycheck_decode(struct bytes spki,
    EVP_PKEY **key_out, enum key_type *type_out, struct err *err);

#endif
