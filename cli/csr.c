// SPDX-License-Identifier: Apache-2.0
#include "cli/csr.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/net.h"
#include "base/text.h"

#define URI_MAX 1024

#define DEFINE_OPENSSL_CLEANUP(type, name)                                     \
	static void free_##name(type **object)                                 \
	{                                                                      \
		type##_free(*object);                                          \
	}
DEFINE_OPENSSL_CLEANUP(EVP_PKEY, key)
DEFINE_OPENSSL_CLEANUP(X509_REQ, request)
DEFINE_OPENSSL_CLEANUP(X509, certificate)
#define OSSL(name) __attribute__((cleanup(free_##name)))

static const struct key_type {
	const char *name;
	const char *curve; /* NULL: RSA */
	int bits;
} key_types[] = {
    {"ec-p256", "P-256", 256},
    {"ec-p384", "P-384", 384},
    {"rsa-2048", NULL, 2048},
    {"rsa-3072", NULL, 3072},
    {"rsa-4096", NULL, 4096},
};

static EVP_PKEY *generate(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (strcmp(key_types[i].name, name) == 0)
			return key_types[i].curve != NULL
				   ? EVP_EC_gen(key_types[i].curve)
				   : EVP_RSA_gen((unsigned)key_types[i].bits);
	return NULL;
}

enum err_code csr_new_key(
    const char *type, struct secret **key_pem_out, struct err *err)
{
	OSSL(key) EVP_PKEY *key = generate(type);
	char *text = NULL;

	if (key == NULL)
		return err_refuse(err, ERR_USAGE,
		    "--key-type %s is not ec-p256, ec-p384, rsa-2048, "
		    "rsa-3072 or rsa-4096",
		    err_quote_str(type));
	/* Written to the locked heap, where it is wiped. */
	BIO *bio = BIO_new(BIO_s_secmem());
	if (bio == NULL || PEM_write_bio_PrivateKey(
			       bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
		BIO_free(bio);
		return err_fail_crypto(err, "writing the key");
	}
	long len = BIO_get_mem_data(bio, &text);
	*key_pem_out = secret_copy(text, (size_t)len);
	BIO_free(bio);
	return ERR_OK;
}

static EVP_PKEY *read_key(const struct secret *key_pem)
{
	struct bytes text = secret_bytes(key_pem);
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
	/* The empty passphrase keeps OpenSSL from asking at the terminal. */
	char none[] = "";
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, none);

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

const char *csr_key_type(const struct secret *key_pem)
{
	OSSL(key) EVP_PKEY *key = read_key(key_pem);

	for (size_t i = 0; key != NULL && i < ARRAY_LEN(key_types); i++)
		if (EVP_PKEY_is_a(
			key, key_types[i].curve != NULL ? "EC" : "RSA") &&
		    EVP_PKEY_get_bits(key) == key_types[i].bits)
			return key_types[i].name;
	return NULL;
}

static GENERAL_NAME *ip_name(const char *text)
{
	struct ip ip;
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();

	if (!ip_parse(text, &ip) ||
	    !ASN1_OCTET_STRING_set(octets, ip.octets, ip.len)) {
		ASN1_OCTET_STRING_free(octets);
		GENERAL_NAME_free(name);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, GEN_IPADD, octets);
	return name;
}

static GENERAL_NAME *text_name(int type, const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();

	if (name == NULL || value == NULL ||
	    ASN1_STRING_set(value, text, (int)strlen(text)) != 1)
		abort();
	GENERAL_NAME_set0_value(name, type, value);
	return name;
}

static bool is_dns(const char *text)
{
	return text_is_host_name(text_has_prefix(text, "*.") ? text + 2 : text);
}

/* SCHEME ":" and something, in printable ASCII (RFC 3986); the rest is the
 * server's to judge. */
static bool is_uri(const char *text)
{
	const char *colon = strchr(text, ':');

	if (colon == NULL || colon == text || strlen(text) > URI_MAX ||
	    colon[1] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* "KIND:text"; NULL when it is none of the kinds, or no name of its kind. */
static GENERAL_NAME *general_name(const char *san)
{
	if (text_has_prefix(san, "IP:"))
		return ip_name(san + 3);
	if (text_has_prefix(san, "DNS:") && is_dns(san + 4))
		return text_name(GEN_DNS, san + 4);
	if (text_has_prefix(san, "URI:") && is_uri(san + 4))
		return text_name(GEN_URI, san + 4);
	return NULL;
}

static enum err_code add_sans(
    X509_REQ *request, const struct csr_names *names, struct err *err)
{
	GENERAL_NAMES *sans = GENERAL_NAMES_new();
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	enum err_code code = ERR_OK;

	for (size_t i = 0; i < names->sans_count && code == ERR_OK; i++) {
		GENERAL_NAME *name = general_name(names->sans[i]);
		if (name == NULL)
			code = err_refuse(err, ERR_USAGE,
			    "%s is not a name of its kind: DNS names, "
			    "addresses without a prefix length, URIs",
			    err_quote_str(names->sans[i]));
		else
			sk_GENERAL_NAME_push(sans, name);
	}
	if (code == ERR_OK && names->sans_count > 0 &&
	    (X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans, 0, 0) !=
		    1 ||
		X509_REQ_add_extensions(request, extensions) != 1))
		code = err_fail_crypto(err, "names of the request");
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(sans);
	return code;
}

static enum err_code append_request(
    X509_REQ *request, struct buf *pem, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	if (bio == NULL || PEM_write_bio_X509_REQ(bio, request) != 1) {
		BIO_free(bio);
		return err_fail_crypto(err, "writing the request");
	}
	long len = BIO_get_mem_data(bio, &text);
	buf_put(pem, text, (size_t)len);
	BIO_free(bio);
	return ERR_OK;
}

enum err_code csr_write(const struct secret *key_pem,
    const struct csr_names *names, struct buf *pem, struct err *err)
{
	OSSL(key) EVP_PKEY *key = read_key(key_pem);
	OSSL(request) X509_REQ *request = X509_REQ_new();
	enum err_code code;

	if (key == NULL || request == NULL ||
	    X509_REQ_set_pubkey(request, key) != 1)
		return err_fail_crypto(err, "making the request");
	if (names->cn != NULL &&
	    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request),
		NID_commonName, MBSTRING_UTF8, (const unsigned char *)names->cn,
		-1, -1, 0) != 1) {
		struct err unused = {0};
		(void)err_fail_crypto(&unused, "CN");
		return err_refuse(err, ERR_USAGE,
		    "--cn %s: 1 to 64 characters of UTF-8",
		    err_quote_str(names->cn));
	}
	if ((code = add_sans(request, names, err)) != ERR_OK)
		return code;
	if (X509_REQ_sign(request, key, EVP_sha256()) == 0)
		return err_fail_crypto(err, "signing the request");
	return append_request(request, pem, err);
}

bool csr_key_fits(const struct secret *key_pem, struct bytes cert_pem)
{
	BIO *bio = BIO_new_mem_buf(cert_pem.data, (int)cert_pem.len);
	OSSL(certificate) X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	OSSL(key) EVP_PKEY *key = read_key(key_pem);

	BIO_free(bio);
	ERR_clear_error();
	return cert != NULL && key != NULL &&
	       X509_check_private_key(cert, key) == 1;
}
