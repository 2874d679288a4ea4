// SPDX-License-Identifier: Apache-2.0
/* Goal: a request is understood as its sender meant it, or refused with words
 * that say what to correct; nothing in between. */
#include "tests/unit/ca/csr_check.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/pem.h"

/* ---- what is accepted ---- */

static void every_key_type_of_the_list_is_accepted_with_every_digest(
    void **state)
{
	static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
	static const struct {
		enum key_type type;
		const char *curve;
		unsigned bits;
	} keys[] = {
	    {KEY_EC_P256, "P-256", 0}, {KEY_EC_P384, "P-384", 0},
	    {KEY_RSA_2048, NULL, 2048}, {KEY_RSA_3072, NULL, 3072},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys) * 3; i++) {
		OWNED(csr) csr = csr_new();
		OWNED(request) request = NULL;

		EVP_PKEY_free(csr->key);
		csr->key = keys[i / 3].curve != NULL
		    ? EVP_EC_gen(keys[i / 3].curve)
		    : EVP_RSA_gen(keys[i / 3].bits);
		csr->digest = digests[i % 3];
		assert_int_equal(csr_parse(csr, &request), ERR_OK);
		assert_int_equal(request->key_type, keys[i / 3].type);
		assert_int_equal(EVP_PKEY_eq(request->key, csr->key), 1);
		if (keys[i / 3].curve == NULL) {
			csr->pss = true;
			accepts(csr);
		}
	}
}

static void rsa_4096_is_accepted(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED(request) request = NULL;

	(void)state;
	EVP_PKEY_free(csr->key);
	csr->key = EVP_RSA_gen(4096);
	assert_int_equal(csr_parse(csr, &request), ERR_OK);
	assert_int_equal(request->key_type, KEY_RSA_4096);
}

static void names_and_key_are_read_as_they_were_sent(void **state)
{
	static const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	OWNED(csr) csr = csr_new();
	OWNED(request) request = NULL;
	OWNED(names) expected = names_new();
	uint8_t *spki = NULL, hash[32];
	int len = i2d_PUBKEY(csr->key, &spki);

	(void)state;
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(7), OCTETS(10, 0, 0, 7));
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(7), BYTES_OF(ip6));
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(6),
	    BYTES_STR("spiffe://example.net/db1"));
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
	    BYTES_STR("DB1-Alias.example.net"));
	assert_int_equal(csr_parse(csr, &request), ERR_OK);

	assert_int_equal(names_set_cn(expected, BYTES_STR("db1.example.net"),
	    &err), ERR_OK);
	assert_int_equal(names_add(expected, NAME_DNS,
	    BYTES_STR("db1.example.net"), &err), ERR_OK);
	assert_int_equal(names_add(expected, NAME_DNS,
	    BYTES_STR("db1-alias.example.net"), &err), ERR_OK);
	assert_int_equal(names_add_ip(expected, OCTETS(10, 0, 0, 7), &err),
	    ERR_OK);
	assert_int_equal(
	    names_add_ip(expected, BYTES_OF(ip6), &err), ERR_OK);
	assert_int_equal(names_add(expected, NAME_URI,
	    BYTES_STR("spiffe://example.net/db1"), &err), ERR_OK);
	assert_true(names_equal(request->names, expected));

	assert_int_equal(request->spki_len, len);
	assert_memory_equal(request->spki, spki, request->spki_len);
	digest_sha256(BYTES(spki, (size_t)len), hash);
	assert_memory_equal(request->spki_hash, hash, 32);
	OPENSSL_free(spki);
}

static void a_request_made_by_openssl_is_accepted(void **state)
{
	OWNED(request) request = NULL;
	X509_REQ *req = X509_REQ_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_NAME *name = X509_NAME_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	(void)state;
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)"alice", -1, -1, 0);
	X509_REQ_set_subject_name(req, name);
	X509_REQ_set_pubkey(req, key);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	PEM_write_bio_X509_REQ(bio, req);
	len = BIO_get_mem_data(bio, &pem);
	assert_int_equal(
	    request_parse(BYTES(pem, (size_t)len), &request, &err), ERR_OK);
	assert_string_equal(request->names->common_name, "alice");
	assert_int_equal(request->names->sans_count, 0);
	BIO_free(bio);
	X509_NAME_free(name);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

static void usage_constraints_and_key_id_are_ignored(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	csr_put_extension(&csr->extensions, OCTETS(0x55, 0x1d, 0x0f), true,
	    OCTETS(0x03, 0x02, 0x01, 0x06));
	csr_put_extension(&csr->extensions, OCTETS(0x55, 0x1d, 0x13), true,
	    OCTETS(0x30, 0x03, 0x01, 0x01, 0xff));
	csr_put_extension(&csr->extensions, OCTETS(0x55, 0x1d, 0x25), false,
	    OCTETS(0x30, 0x00));
	csr_put_extension(&csr->extensions, OCTETS(0x55, 0x1d, 0x0e), false,
	    OCTETS(0x04, 0x00));
	accepts(csr);
}

static void a_request_without_subject_or_without_attributes_is_accepted(
    void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED(csr) bare = csr_new();

	(void)state;
	buf_reset(&csr->subject);
	accepts(csr);
	bare->no_attributes = true;
	accepts(bare);
}

/* ---- its outside ---- */

static enum err_code parse_text(struct buf *text)
{
	OWNED(request) request = NULL;

	return request_parse(buf_bytes(text), &request, &err);
}

static void one_pem_block_is_accepted_with_white_space_around(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);
	OWNED_BUF(text);

	(void)state;
	csr_write(csr, &der);
	pem_put(&text, "CERTIFICATE REQUEST", buf_bytes(&der));
	assert_int_equal(parse_text(&text), ERR_OK);
	buf_put_str(&text, "\r\n \n");
	assert_int_equal(parse_text(&text), ERR_OK);
	buf_reset(&text);
	buf_put_str(&text, "\n\n");
	pem_put(&text, "NEW CERTIFICATE REQUEST", buf_bytes(&der));
	assert_int_equal(parse_text(&text), ERR_OK);
}

/* PREFIX, a block under LABEL, SUFFIX. */
static void refuses_pem(const char *prefix, const char *label,
    const char *suffix, const char *words)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);
	OWNED_BUF(text);

	csr_write(csr, &der);
	buf_put_str(&text, prefix);
	pem_put(&text, label, buf_bytes(&der));
	buf_put_str(&text, suffix);
	assert_int_equal(parse_text(&text), ERR_BAD_CSR);
	if (strstr(err.detail, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, err.detail);
}

static void pem_with_anything_else_is_refused(void **state)
{
	static const char label[] = "CERTIFICATE REQUEST";

	(void)state;
	refuses_pem("Subject: CN=db1\n", label, "", "BEGIN line");
	refuses_pem("", label, "x", "behind the END line");
	refuses_pem("", label,
	    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
	    "-----END CERTIFICATE REQUEST-----\n", "behind the END line");
	refuses_pem("", "CERTIFICATE", "", "BEGIN line");
	refuses_pem("\xef\xbb\xbf", label, "", "BEGIN line");
}

static void malformed_pem_is_refused(void **state)
{
	static const char *const texts[] = {
	    "", " ", "-", "hello", "-----BEGIN CERTIFICATE REQUEST-----",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\n"
	    "-----END CERTIFICATE REQUEST-----\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\nM!IB\n"
	    "-----END CERTIFICATE REQUEST-----\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n"
	    "MIIB\n-----END CERTIFICATE REQUEST-----\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n"
	    "-----END CERTIFICATE-----\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n"
	    "-----END CERTIFICATE REQUEST-----\n",
	};
	struct request *request = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(request_parse(BYTES_STR(texts[i]), &request,
		    &err), ERR_BAD_CSR);
		assert_null(request);
		assert_true(err.detail[0] != '\0');
	}
}

static void a_request_over_the_cap_is_refused_as_too_large(void **state)
{
	uint8_t *large = mem_zalloc(REQUEST_SIZE_MAX + 1);
	struct request *request = NULL;

	(void)state;
	large[0] = 0x30;
	assert_int_equal(request_parse(BYTES(large, REQUEST_SIZE_MAX + 1),
	    &request, &err), ERR_TOO_LARGE);
	assert_int_equal(request_parse(BYTES(large, REQUEST_SIZE_MAX),
	    &request, &err), ERR_BAD_CSR);
	free(large);
}

static void octets_behind_the_request_are_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);

	(void)state;
	csr_write(csr, &der);
	assert_int_equal(parse_text(&der), ERR_OK);
	buf_put_u8(&der, 0);
	assert_int_equal(parse_text(&der), ERR_BAD_CSR);
	assert_non_null(strstr(err.detail, "behind"));
}

static void every_prefix_of_a_request_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);
	struct request *request = NULL;

	(void)state;
	csr_write(csr, &der);
	for (size_t len = 0; len < der.len; len++) {
		/* In memory of its own, so that a sanitizer sees the end. */
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, der.data, len);
		assert_int_equal(request_parse(BYTES(copy, len), &request,
		    &err), ERR_BAD_CSR);
		free(copy);
	}
	assert_null(request);
}

/* The signature covers the octets, so no single flip can go through. */
static void every_flipped_octet_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);

	(void)state;
	csr_write(csr, &der);
	for (size_t i = 0; i < der.len; i++) {
		uint8_t was = der.data[i];

		for (unsigned bit = 0; bit < 8; bit++) {
			der.data[i] = (uint8_t)(was ^ 1u << bit);
			assert_int_not_equal(parse_text(&der), ERR_OK);
			assert_true(err.detail[0] != '\0');
		}
		der.data[i] = was;
	}
	assert_int_equal(parse_text(&der), ERR_OK);
}

static void lengths_that_are_not_der_are_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	OWNED_BUF(der);
	OWNED_BUF(longer);
	OWNED_BUF(endless);

	(void)state;
	csr_write(csr, &der);
	assert_int_equal(der.data[1], 0x82);
	/* The outer length with an octet more than it needs. */
	buf_put(&longer, "\x30\x83\x00", 3);
	buf_put(&longer, der.data + 2, der.len - 2);
	assert_int_equal(parse_text(&longer), ERR_BAD_CSR);
	/* And the indefinite form of BER. */
	buf_put(&endless, "\x30\x80", 2);
	buf_put(&endless, der.data + 4, der.len - 4);
	buf_put(&endless, "\0\0", 2);
	assert_int_equal(parse_text(&endless), ERR_BAD_CSR);
}

static void a_version_other_than_0_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	csr->version = 2;
	refuses(csr, ERR_BAD_CSR, "version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_key_type_of_the_list_is_accepted_with_every_digest),
	    TEST(rsa_4096_is_accepted),
	    TEST(names_and_key_are_read_as_they_were_sent),
	    TEST(a_request_made_by_openssl_is_accepted),
	    TEST(usage_constraints_and_key_id_are_ignored),
	    TEST(a_request_without_subject_or_without_attributes_is_accepted),
	    TEST(one_pem_block_is_accepted_with_white_space_around),
	    TEST(pem_with_anything_else_is_refused),
	    TEST(malformed_pem_is_refused),
	    TEST(a_request_over_the_cap_is_refused_as_too_large),
	    TEST(octets_behind_the_request_are_refused),
	    TEST(every_prefix_of_a_request_is_refused),
	    TEST(every_flipped_octet_is_refused),
	    TEST(lengths_that_are_not_der_are_refused),
	    TEST(a_version_other_than_0_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
