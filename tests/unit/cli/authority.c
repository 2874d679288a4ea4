// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/authority.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/text.h"

static void must(int holds)
{
	if (!holds)
		abort();
}

static void add(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *extension =
	    X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *begin(EVP_PKEY *key, const char *name)
{
	static long serial = 1;
	X509 *cert = X509_new();

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	    MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_pubkey(cert, key);
	return cert;
}

struct authority authority_new(const char *name)
{
	struct authority authority = {.key = EVP_EC_gen("P-256")};
	X509 *root = authority.root = begin(authority.key, name);

	X509_set_issuer_name(root, X509_get_subject_name(root));
	add(root, root, NID_basic_constraints, "critical,CA:TRUE");
	add(root, root, NID_subject_key_identifier, "hash");
	must(X509_sign(root, authority.key, EVP_sha256()) > 0);
	return authority;
}

void authority_free(struct authority *authority)
{
	X509_free(authority->root);
	EVP_PKEY_free(authority->key);
}

X509 *authority_sign(
    const struct authority *authority, EVP_PKEY *key, const char *san)
{
	X509 *cert = begin(key, "leaf");

	X509_set_issuer_name(cert, X509_get_subject_name(authority->root));
	add(cert, authority->root, NID_authority_key_identifier, "keyid");
	add(cert, authority->root, NID_subject_alt_name, san);
	must(X509_sign(cert, authority->key, EVP_sha256()) > 0);
	return cert;
}

X509 *authority_sign_request(
    const struct authority *authority, const char *request_pem)
{
	BIO *bio = BIO_new_mem_buf(request_pem, -1);
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	EVP_PKEY *key = request == NULL ? NULL : X509_REQ_get0_pubkey(request);
	X509 *cert = NULL;

	if (key != NULL && X509_REQ_verify(request, key) == 1)
		cert = authority_sign(authority, key, "DNS:db1.example.net");
	X509_REQ_free(request);
	BIO_free(bio);
	return cert;
}

char *authority_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	must(PEM_write_bio_X509(bio, cert) == 1);
	long len = BIO_get_mem_data(bio, &text);
	char *pem = mem_strndup(text, (size_t)len);
	BIO_free(bio);
	return pem;
}

char *authority_fingerprint(const struct authority *authority)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	must(X509_digest(authority->root, EVP_sha256(), digest, &len) == 1);
	OWNED_STR(hex) = hex_new(digest, len);
	return mem_printf("sha256:%s", hex);
}
