// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cli/csr.h"

static X509_REQ *read_request(const struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(request);
	return request;
}

/* Asserts that the request proves the key, and gives its names as openssl
 * prints them, malloc'd. */
static char *names_in(const struct buf *pem)
{
	X509_REQ *request = read_request(pem);
	EVP_PKEY *key = X509_REQ_get0_pubkey(request);
	BIO *bio = BIO_new(BIO_s_mem());
	STACK_OF(X509_EXTENSION) *extensions =
	    X509_REQ_get_extensions(request);
	GENERAL_NAMES *sans =
	    X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	char *text = NULL;

	assert_int_equal(X509_REQ_verify(request, key), 1);
	X509_NAME_print_ex(
	    bio, X509_REQ_get_subject_name(request), 0, XN_FLAG_RFC2253);
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		BIO_puts(bio, "|");
		GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(sans, i));
	}
	long len = BIO_get_mem_data(bio, &text);
	char *names = len == 0 ? mem_strdup("") : mem_strndup(text, (size_t)len);
	BIO_free(bio);
	GENERAL_NAMES_free(sans);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(request);
	return names;
}

static void key_of_each_type_signs_its_request(void **state)
{
	static const char *const types[] = {
	    "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"};
	static const char *const sans[] = {"DNS:db1.example.net"};
	struct csr_names names = {.sans = sans, .sans_count = 1};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		OWNED(secret) key = NULL;
		OWNED_BUF(pem);
		assert_ok(csr_new_key(types[i], &key, &err), &err);
		assert_string_equal(csr_key_type(key), types[i]);
		assert_ok(csr_write(key, &names, &pem, &err), &err);
		OWNED_STR(found) = names_in(&pem);
		assert_string_equal(found, "|DNS:db1.example.net");
	}
}

static void key_of_no_such_type_is_refused_with_the_list(void **state)
{
	static const char *const types[] = {
	    "", "ec", "ec-p521", "rsa-1024", "rsa-2049", "EC-P256", "ed25519"};
	OWNED(secret) key = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		assert_error(csr_new_key(types[i], &key, &err), ERR_USAGE, &err,
		    "is not ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096");
	assert_null(key);
}

static void request_has_the_names_asked_for(void **state)
{
	static const char *const sans[] = {"DNS:a.example.net",
	    "DNS:*.b.example.net", "IP:10.0.0.1", "IP:fd00::1",
	    "URI:spiffe://x/y"};
	struct csr_names names = {
	    .cn = "käse", .sans = sans, .sans_count = ARRAY_LEN(sans)};
	OWNED(secret) key = NULL;
	OWNED_BUF(pem);
	struct err err = {0};

	(void)state;
	assert_ok(csr_new_key("ec-p256", &key, &err), &err);
	assert_ok(csr_write(key, &names, &pem, &err), &err);
	OWNED_STR(found) = names_in(&pem);
	assert_string_equal(found,
	    "CN=k\\C3\\A4se|DNS:a.example.net|DNS:*.b.example.net|"
	    "IP Address:10.0.0.1|IP Address:FD00:0:0:0:0:0:0:1|"
	    "URI:spiffe://x/y");
}

static void request_without_names_has_none(void **state)
{
	struct csr_names names = {0};
	OWNED(secret) key = NULL;
	OWNED_BUF(pem);
	struct err err = {0};

	(void)state;
	assert_ok(csr_new_key("ec-p256", &key, &err), &err);
	assert_ok(csr_write(key, &names, &pem, &err), &err);
	OWNED_STR(found) = names_in(&pem);
	assert_string_equal(found, "");
}

static void name_that_is_none_of_its_kind_is_refused(void **state)
{
	static const char *const bad[] = {"", "a.example", "DNS:", "DNS:a b",
	    "DNS:*", "DNS:a..b", "DNS:a/b", "DNS:k\xc3\xa4se.example",
	    "DNS:*.*.example", "IP:", "IP:10.0.0", "IP:10.0.0.256",
	    "IP:10.0.0.0/8", "IP:a.example", "IP:fd00::1%eth0", "URI:",
	    "URI:nothing", "URI::x", "URI:x:", "URI:http://a b", "email:a@b",
	    "dns:a.example"};
	OWNED(secret) key = NULL;
	OWNED_BUF(pem);
	struct err err = {0};

	(void)state;
	assert_ok(csr_new_key("ec-p256", &key, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct csr_names names = {.sans = &bad[i], .sans_count = 1};
		if (csr_write(key, &names, &pem, &err) != ERR_USAGE)
			fail_msg("\"%s\" passes", bad[i]);
		assert_has(err.detail, "is not a name of its kind");
		err_clear(&err);
	}
	assert_int_equal(pem.len, 0);
}

static void common_name_too_long_or_empty_is_refused(void **state)
{
	char longer[66] = "";
	const char *const bad[] = {"", longer, "\xff\xfe"};
	OWNED(secret) key = NULL;
	OWNED_BUF(pem);
	struct err err = {0};

	(void)state;
	memset(longer, 'x', 65);
	assert_ok(csr_new_key("ec-p256", &key, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct csr_names names = {.cn = bad[i]};
		assert_error(csr_write(key, &names, &pem, &err), ERR_USAGE,
		    &err, "--cn");
	}
	longer[64] = '\0';
	struct csr_names names = {.cn = longer};
	assert_ok(csr_write(key, &names, &pem, &err), &err);
}

static void key_that_cannot_be_read_is_of_no_type_and_signs_nothing(void **state)
{
	OWNED(secret) key = secret_copy("not a key", 9);
	struct csr_names names = {0};
	OWNED_BUF(pem);
	struct err err = {0};

	(void)state;
	assert_null(csr_key_type(key));
	assert_int_equal(csr_write(key, &names, &pem, &err), ERR_CRYPTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_of_each_type_signs_its_request),
	    cmocka_unit_test(key_of_no_such_type_is_refused_with_the_list),
	    cmocka_unit_test(request_has_the_names_asked_for),
	    cmocka_unit_test(request_without_names_has_none),
	    cmocka_unit_test(name_that_is_none_of_its_kind_is_refused),
	    cmocka_unit_test(common_name_too_long_or_empty_is_refused),
	    cmocka_unit_test(
		key_that_cannot_be_read_is_of_no_type_and_signs_nothing),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 18, &err) != ERR_OK)
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
