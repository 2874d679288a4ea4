// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/person.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"

void person_end(struct person *person)
{
	EVP_PKEY_free(person->key);
	buf_free(&person->pem);
}

static void add_usage(X509 *certificate, const char *usage)
{
	X509_EXTENSION *extension;

	if (usage == NULL)
		return;
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

struct person person_new(EVP_PKEY *key, const char *name,
    const char *usage, long from, long until)
{
	struct person person = {.key = key, .pem = BUF_INIT};
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	assert_non_null(key);
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0x1234);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), until);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
	    MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	add_usage(certificate, usage);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_put(&person.pem, text, (size_t)len);
	BIO_free(bio);
	X509_free(certificate);
	return person;
}

EVP_PKEY *person_ec(void)
{
	return EVP_EC_gen("P-256");
}

void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

enum err_code person_add(
    struct recipients *to, const struct person *person, struct err *err)
{
	int64_t ends;

	return recipients_add(
	    to, buf_bytes(&person->pem), clock_now(), &ends, err);
}
