// SPDX-License-Identifier: Apache-2.0
/* A certificate request (PKCS#10, RFC 2986), taken apart and checked. */
#ifndef CA_REQUEST_H
#define CA_REQUEST_H

#include <openssl/evp.h>
#include "base/err.h"
#include "policies/keytype.h"
#include "policies/names.h"

#define REQUEST_SIZE_MAX (16 * 1024)	/* octets, PEM or DER */

struct request {
	struct names *names;	/* CN and SANs asked for */
	enum key_type key_type;
	EVP_PKEY *key;
	uint8_t *spki;		/* DER SubjectPublicKeyInfo, as sent */
	size_t spki_len;
	uint8_t spki_hash[32];	/* SHA-256 of it */
};
void request_free(struct request *request);
DEFINE_CLEANUP(request, request_free)

/*
 * Parses one request, PEM or DER, nothing before or behind it.  Checks version,
 * subject (CN alone is read; other attributes are refused by name), key type
 * and size, key validity, signature algorithm (RSA PKCS#1 v1.5 or PSS, ECDSA;
 * SHA-256, 384, 512), and then the signature: proof of possession.  Of the
 * attributes only extensionRequest is taken; any other is refused by its OID.
 * Of the requested extensions only subjectAltName is read; basicConstraints,
 * keyUsage and extKeyUsage are ignored, since the profile decides, and
 * subjectKeyIdentifier, since it is computed from the key; any other is refused
 * by its OID.
 * Errors: ERR_BAD_CSR, ERR_BAD_KEY, ERR_BAD_FIELD, ERR_TOO_LARGE; the detail
 * says what to correct.
 */
MUST_CHECK enum err_code request_parse(
    struct bytes text, struct request **request_out, struct err *err);

/* The key alone: type and size in the list, exponent, curve, point on it.
 * Errors: ERR_BAD_KEY.  (ca/keycheck.c) */
MUST_CHECK enum err_code keycheck(
    EVP_PKEY *key, enum key_type *type_out, struct err *err);

#endif
