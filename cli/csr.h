// SPDX-License-Identifier: Apache-2.0
/* A node's key, made here and never sent, and the request signed with it. */
#ifndef CLI_CSR_H
#define CLI_CSR_H

#include "base/secret.h"

/* A new private key of TYPE ("ec-p256", "ec-p384", "rsa-2048", "rsa-3072",
 * "rsa-4096") as PKCS#8 PEM.  Errors: ERR_USAGE listing the types. */
MUST_CHECK enum err_code csr_new_key(
    const char *type, struct secret **key_pem_out, struct err *err);

/* The type of KEY_PEM as above, or NULL when it is no key of these types. */
MUST_CHECK const char *csr_key_type(const struct secret *key_pem);

/* Names asked for: CN or NULL, and subject alternative names written as
 * "DNS:a.example", "IP:10.0.0.1", "URI:…". */
struct csr_names {
	const char *cn;
	const char *const *sans;
	size_t sans_count;
};
/* Appends the request (PKCS#10, PEM) signed with KEY_PEM.
 * Errors: ERR_USAGE for a name that is none of its kind. */
MUST_CHECK enum err_code csr_write(const struct secret *key_pem,
    const struct csr_names *names, struct buf *pem, struct err *err);

/* The certificate CERT_PEM carries the public key of KEY_PEM. */
MUST_CHECK bool csr_key_fits(const struct secret *key_pem, struct bytes cert_pem);

#endif
