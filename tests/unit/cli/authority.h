// SPDX-License-Identifier: Apache-2.0
/* A small CA for tests: a root, and what it signs. */
#ifndef TESTS_UNIT_CLI_AUTHORITY_H
#define TESTS_UNIT_CLI_AUTHORITY_H

#include <openssl/x509.h>

struct authority {
	EVP_PKEY *key;
	X509 *root;
};
struct authority authority_new(const char *name);
void authority_free(struct authority *authority);

/* A certificate for KEY; SAN as X509V3_EXT_conf_nid has it ("IP:127.0.0.1"). */
X509 *authority_sign(
    const struct authority *authority, EVP_PKEY *key, const char *san);
/* For the key of a request; its proof is checked.  NULL for none. */
X509 *authority_sign_request(
    const struct authority *authority, const char *request_pem);
char *authority_pem(X509 *cert);	/* malloc'd */
/* "sha256:…" of the root, malloc'd. */
char *authority_fingerprint(const struct authority *authority);

#endif
