// SPDX-License-Identifier: Apache-2.0
/* Goal: a request is understood as its sender meant it, or refused with words
 * that say what to correct; nothing in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/pem.h"
#include "ca/request.h"
#include "tests/unit/ca/csr.h"

DEFINE_CLEANUP(csr, csr_free)

#define TAG_SET 0x31
#define OCTETS(...)                                                            \
	BYTES(((const uint8_t[]){__VA_ARGS__}),                                \
	    sizeof((const uint8_t[]){__VA_ARGS__}))

static struct err err;

static enum err_code parse(const struct csr *csr, struct request **out)
{
	OWNED_BUF(der);

	csr_write(csr, &der);
	*out = NULL;
	return request_parse(buf_bytes(&der), out, &err);
}

static void accepts(const struct csr *csr)
{
	OWNED(request) request = NULL;

	if (parse(csr, &request) != ERR_OK)
		fail_msg("refused: %s%s", err.detail, err.cause);
}

/* Refused with CODE and a detail in which WORDS occur. */
static void refuses(const struct csr *csr, enum err_code code, const char *words)
{
	OWNED(request) request = NULL;

	assert_int_equal(parse(csr, &request), code);
	assert_null(request);
	if (strstr(err.detail, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, err.detail);
}

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
		assert_int_equal(parse(csr, &request), ERR_OK);
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
	assert_int_equal(parse(csr, &request), ERR_OK);
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
	assert_int_equal(parse(csr, &request), ERR_OK);

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

/* ---- its subject ---- */

static void a_subject_attribute_other_than_cn_is_refused_by_name(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	csr_put_rdn(&csr->subject, OCTETS(0x55, 0x04, 0x0a), 0x0c,
	    BYTES_STR("Example"));
	refuses(csr, ERR_BAD_CSR, "2.5.4.10 (O)");
}

static void a_second_cn_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	csr_put_rdn(&csr->subject, OCTETS(0x55, 0x04, 0x03), 0x0c,
	    BYTES_STR("other"));
	refuses(csr, ERR_BAD_CSR, "more than one commonName");
}

static void check_cn(uint8_t tag, struct bytes text, enum err_code code,
    const char *words)
{
	OWNED(csr) csr = csr_new();

	buf_reset(&csr->subject);
	csr_put_rdn(&csr->subject, OCTETS(0x55, 0x04, 0x03), tag, text);
	if (code == ERR_OK)
		accepts(csr);
	else
		refuses(csr, code, words);
}

static void a_cn_of_three_string_types_is_accepted_and_no_other(void **state)
{
	(void)state;
	check_cn(0x0c, BYTES_STR("db1"), ERR_OK, "");
	check_cn(0x13, BYTES_STR("db1"), ERR_OK, "");
	check_cn(0x16, BYTES_STR("db1"), ERR_OK, "");
	check_cn(0x0c, BYTES_STR("d\xc3\xa9j\xc3\xa0"), ERR_OK, "");
	check_cn(0x14, BYTES_STR("db1"), ERR_BAD_CSR, "string type 0x14");
	check_cn(0x1e, BYTES("\0d\0b", 4), ERR_BAD_CSR, "string type 0x1e");
	check_cn(0x1c, BYTES("\0\0\0d", 4), ERR_BAD_CSR, "string type 0x1c");
	check_cn(0x13, BYTES_STR("d\xc3\xa9j\xc3\xa0"), ERR_BAD_CSR,
	    "string type");
}

static void a_cn_with_nul_bad_utf8_or_of_65_characters_is_refused(void **state)
{
	char text[66];

	(void)state;
	memset(text, 'a', sizeof(text));
	check_cn(0x0c, BYTES(text, 64), ERR_OK, "");
	check_cn(0x0c, BYTES(text, 65), ERR_BAD_FIELD, "64");
	check_cn(0x0c, BYTES("db1\0.evil", 9), ERR_BAD_CSR, "NUL");
	check_cn(0x0c, BYTES("\xff\xfe", 2), ERR_BAD_FIELD, "UTF-8");
	check_cn(0x0c, BYTES("a\nb", 3), ERR_BAD_FIELD, "");
	check_cn(0x0c, BYTES("", 0), ERR_BAD_FIELD, "");
}

static void an_empty_rdn_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	buf_put(&csr->subject, "\x31\x00", 2);
	refuses(csr, ERR_BAD_CSR, "subject");
}

/* ---- its names ---- */

static void every_other_type_of_name_is_refused_by_its_name(void **state)
{
	static const struct {
		uint8_t tag;
		const char *name;
	} types[] = {
	    {0xa0, "otherName"}, {0x81, "rfc822Name"}, {0xa3, "x400Address"},
	    {0xa4, "directoryName"}, {0xa5, "ediPartyName"},
	    {0x88, "registeredID"}, {0xa2, "dNSName"}, {0xa7, "iPAddress"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		OWNED(csr) csr = csr_new();

		der_put(&csr->names, types[i].tag, BYTES_STR("a@b"));
		refuses(csr, ERR_BAD_CSR, types[i].name);
	}
}

static void a_name_of_an_unknown_tag_is_refused(void **state)
{
	static const uint8_t tags[] = {0x0c, 0x89, 0x9e, 0x42, 0xc2};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		OWNED(csr) csr = csr_new();

		der_put(&csr->names, tags[i], BYTES_STR("a.example.net"));
		refuses(csr, ERR_BAD_CSR, "subjectAltName");
	}
}

static void an_address_of_4_or_16_octets_is_accepted_and_no_other(void **state)
{
	static const uint8_t octets[33] = {10, 0, 0, 1};

	(void)state;
	for (size_t len = 0; len <= sizeof(octets); len++) {
		OWNED(csr) csr = csr_new();

		der_put(&csr->names, DER_CONTEXT_PRIMITIVE(7),
		    BYTES(octets, len));
		if (len == 4 || len == 16)
			accepts(csr);
		else
			refuses(csr, ERR_BAD_CSR, "iPAddress");
	}
}

static void a_name_with_a_nul_is_refused(void **state)
{
	OWNED(csr) dns = csr_new();
	OWNED(csr) uri = csr_new();

	(void)state;
	der_put(&dns->names, DER_CONTEXT_PRIMITIVE(2),
	    BYTES("good.example\0.evil.example", 26));
	refuses(dns, ERR_BAD_CSR, "NUL");
	der_put(&uri->names, DER_CONTEXT_PRIMITIVE(6),
	    BYTES("https://a\0b", 11));
	refuses(uri, ERR_BAD_CSR, "NUL");
}

static void a_name_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
	    "", ".", "a..b", "-a.example", "a_b.example", "a b.example",
	    "*.*.example", "a.*.example", "d\xc3\xa9j\xc3\xa0.example"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		OWNED(csr) csr = csr_new();

		der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
		    BYTES_STR(bad[i]));
		refuses(csr, ERR_BAD_FIELD, "DNS name");
	}
}

static void a_hundred_names_are_accepted_and_one_more_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	for (int i = 1; i < NAMES_MAX; i++) {
		OWNED_STR(name) = mem_printf("n%d.example.net", i);

		der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
		    BYTES_STR(name));
	}
	accepts(csr);
	der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
	    BYTES_STR("z.example.net"));
	refuses(csr, ERR_BAD_CSR, "more than 100");
}

/* Repetition counts against the bound too. */
static void a_thousand_equal_names_are_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	for (int i = 0; i < 1000; i++)
		der_put(&csr->names, DER_CONTEXT_PRIMITIVE(2),
		    BYTES_STR("a.b"));
	refuses(csr, ERR_BAD_CSR, "more than 100");
}

static void put_san(struct buf *extensions, struct bytes value)
{
	csr_put_extension(
	    extensions, OCTETS(0x55, 0x1d, 0x11), false, value);
}

static void an_empty_or_broken_san_is_refused(void **state)
{
	OWNED(csr) empty = csr_new();
	OWNED(csr) behind = csr_new();

	(void)state;
	buf_reset(&empty->names);
	put_san(&empty->extensions, OCTETS(0x30, 0x00));
	refuses(empty, ERR_BAD_CSR, "subjectAltName");
	buf_reset(&behind->names);
	put_san(&behind->extensions,
	    OCTETS(0x30, 0x03, 0x82, 0x01, 'a', 0x05, 0x00));
	refuses(behind, ERR_BAD_CSR, "subjectAltName");
}

/* ---- its extensions and attributes ---- */

static void a_second_san_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	put_san(&csr->extensions, OCTETS(0x30, 0x03, 0x82, 0x01, 'a'));
	refuses(csr, ERR_BAD_CSR, "occurs twice");
}

static void any_other_extension_is_refused_by_its_oid(void **state)
{
	OWNED(csr) constraints = csr_new();
	OWNED(csr) unknown = csr_new();

	(void)state;
	csr_put_extension(&constraints->extensions,
	    OCTETS(0x55, 0x1d, 0x1e), true, OCTETS(0x30, 0x00));
	refuses(constraints, ERR_BAD_CSR, "2.5.29.30 (nameConstraints)");
	csr_put_extension(&unknown->extensions,
	    OCTETS(0x2b, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f), false,
	    OCTETS(0x05, 0x00));
	refuses(unknown, ERR_BAD_CSR, "1.3.6.1.4.1.99999");
}

static void a_criticality_that_is_not_der_is_refused(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		OWNED(csr) csr = csr_new();

		buf_put(&csr->extensions,
		    "\x30\x0c\x06\x03\x55\x1d\x0f\x01\x01", 9);
		buf_put_u8(&csr->extensions, values[i]);
		buf_put(&csr->extensions, "\x04\x02\x05\x00", 4);
		refuses(csr, ERR_BAD_CSR, "extension");
	}
}

static void put_attribute(
    struct buf *attributes, struct bytes oid, struct bytes value)
{
	size_t start = attributes->len;

	der_put(attributes, DER_OID, oid);
	der_put(attributes, TAG_SET, value);
	csr_wrap(attributes, start, DER_SEQUENCE);
}

static void a_second_extension_request_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	put_attribute(&csr->attributes,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e),
	    OCTETS(0x30, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x04,
		0x04, 0x03, 0x02, 0x05, 0xa0));
	refuses(csr, ERR_BAD_CSR, "extensionRequest occurs twice");
}

static void an_extension_request_of_two_values_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	const struct bytes one = OCTETS(0x30, 0x0d, 0x30, 0x0b, 0x06, 0x03,
	    0x55, 0x1d, 0x0f, 0x04, 0x04, 0x03, 0x02, 0x05, 0xa0);
	OWNED_BUF(two);

	(void)state;
	buf_reset(&csr->names);
	buf_put_bytes(&two, one);
	buf_put_bytes(&two, one);
	put_attribute(&csr->attributes,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e),
	    buf_bytes(&two));
	refuses(csr, ERR_BAD_CSR, "extensionRequest");
}

static void another_attribute_is_refused_by_its_name(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	put_attribute(&csr->attributes,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07),
	    OCTETS(0x0c, 0x01, 'x'));
	refuses(csr, ERR_BAD_CSR, "challengePassword");
}

/* ---- its key ---- */

static void use_key(struct csr *csr, EVP_PKEY *key)
{
	assert_non_null(key);
	EVP_PKEY_free(csr->key);
	csr->key = key;
}

static void rsa_of_another_size_is_refused(void **state)
{
	static const unsigned sizes[] = {1024, 2047, 2056};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		OWNED(csr) csr = csr_new();
		char words[32];

		use_key(csr, EVP_RSA_gen(sizes[i]));
		snprintf(words, sizeof(words), "RSA key of %u bits", sizes[i]);
		refuses(csr, ERR_BAD_KEY, words);
	}
}

static EVP_PKEY *rsa_with_exponent(unsigned e)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_new();
	EVP_PKEY *key = NULL;

	BN_set_word(exponent, e);
	EVP_PKEY_keygen_init(context);
	EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048);
	EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent);
	EVP_PKEY_generate(context, &key);
	BN_free(exponent);
	EVP_PKEY_CTX_free(context);
	return key;
}

static void an_rsa_exponent_other_than_65537_is_refused(void **state)
{
	static const unsigned exponents[] = {3, 17, 65539};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
		OWNED(csr) csr = csr_new();

		use_key(csr, rsa_with_exponent(exponents[i]));
		refuses(csr, ERR_BAD_KEY, "65537");
	}
}

static void another_kind_of_key_is_refused_by_its_name(void **state)
{
	OWNED(csr) curve = csr_new();
	OWNED(csr) edwards = csr_new();
	OWNED(csr) koblitz = csr_new();

	(void)state;
	use_key(curve, EVP_EC_gen("P-521"));
	refuses(curve, ERR_BAD_KEY, "secp521r1");
	use_key(koblitz, EVP_EC_gen("secp256k1"));
	refuses(koblitz, ERR_BAD_KEY, "secp256k1");
	use_key(edwards, EVP_EC_gen("P-256"));
	buf_put_bytes(&edwards->spki,
	    OCTETS(0x30, 0x0a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x01, 0x00));
	refuses(edwards, ERR_BAD_KEY, "");
	buf_reset(&edwards->spki);
	buf_put_bytes(&edwards->spki,
	    OCTETS(0x30, 0x0b, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x02, 0x00, 0x00));
	refuses(edwards, ERR_BAD_KEY, "ED25519");
}

/* The key's SPKI as DER, to be damaged. */
static void take_spki(struct csr *csr)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(csr->key, &der);

	assert_true(len > 0);
	buf_put(&csr->spki, der, (size_t)len);
	OPENSSL_free(der);
}

static void a_point_off_its_curve_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	take_spki(csr);
	accepts(csr);
	csr->spki.data[csr->spki.len - 1] ^= 1;
	refuses(csr, ERR_BAD_KEY, "not valid");
}

static void a_point_in_another_form_is_refused(void **state)
{
	OWNED(csr) compressed = csr_new();
	OWNED(csr) hybrid = csr_new();
	OWNED(csr) infinity = csr_new();

	(void)state;
	EVP_PKEY_set_utf8_string_param(
	    compressed->key, "point-format", "compressed");
	refuses(compressed, ERR_BAD_KEY, "uncompressed");
	take_spki(hybrid);
	hybrid->spki.data[26] =
	    (uint8_t)(6 | (hybrid->spki.data[hybrid->spki.len - 1] & 1));
	refuses(hybrid, ERR_BAD_KEY, "uncompressed");
	buf_put_bytes(&infinity->spki,
	    OCTETS(0x30, 0x19, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
		0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x03, 0x01, 0x07, 0x03, 0x02, 0x00, 0x00));
	refuses(infinity, ERR_BAD_KEY, "uncompressed");
}

static void explicit_curve_parameters_are_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");

	(void)state;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(
	    key, "encoding", "explicit"), 1);
	use_key(csr, key);
	refuses(csr, ERR_BAD_KEY, "not given by name");
}

static void an_rsa_key_with_wrong_parameters_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	use_key(csr, EVP_RSA_gen(2048));
	take_spki(csr);
	accepts(csr);
	/* The NULL becomes an empty OCTET STRING. */
	assert_int_equal(csr->spki.data[17], DER_NULL);
	csr->spki.data[17] = DER_OCTET_STRING;
	refuses(csr, ERR_BAD_KEY, "rsaEncryption");
}

static void an_even_or_smooth_modulus_is_refused(void **state)
{
	OWNED(csr) even = csr_new();
	OWNED(csr) smooth = csr_new();

	(void)state;
	use_key(even, EVP_RSA_gen(2048));
	take_spki(even);
	even->spki.data[even->spki.len - 6] &= 0xfe;
	refuses(even, ERR_BAD_KEY, "not valid");
	/* All ones: divisible by 3. */
	use_key(smooth, EVP_RSA_gen(2048));
	take_spki(smooth);
	memset(smooth->spki.data + smooth->spki.len - 5 - 256, 0xff, 256);
	refuses(smooth, ERR_BAD_KEY, "not valid");
}

static void a_key_that_a_decoder_would_take_is_checked_the_same(void **state)
{
	EVP_PKEY *good = EVP_EC_gen("P-384"), *edwards = NULL;
	EVP_PKEY *small = EVP_RSA_gen(1024), *odd = rsa_with_exponent(3);
	EVP_PKEY *curve = EVP_EC_gen("secp256k1");
	EVP_PKEY_CTX *context =
	    EVP_PKEY_CTX_new_from_name(NULL, "ED25519", NULL);
	enum key_type type;

	(void)state;
	EVP_PKEY_keygen_init(context);
	EVP_PKEY_generate(context, &edwards);
	assert_int_equal(keycheck(good, &type, &err), ERR_OK);
	assert_int_equal(type, KEY_EC_P384);
	assert_int_equal(keycheck(small, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(odd, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(curve, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(edwards, &type, &err), ERR_BAD_KEY);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(good);
	EVP_PKEY_free(edwards);
	EVP_PKEY_free(small);
	EVP_PKEY_free(odd);
	EVP_PKEY_free(curve);
}

/* ---- its signature ---- */

static void a_wrong_signature_is_no_proof_of_possession(void **state)
{
	OWNED(csr) spoilt = csr_new();
	OWNED(csr) foreign = csr_new();
	EVP_PKEY *other = EVP_EC_gen("P-256");
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(other, &der);

	(void)state;
	spoilt->spoil = true;
	refuses(spoilt, ERR_BAD_CSR, "proof of possession");
	/* Somebody else's public key, signed with one's own. */
	buf_put(&foreign->spki, der, (size_t)len);
	refuses(foreign, ERR_BAD_CSR, "proof of possession");
	OPENSSL_free(der);
	EVP_PKEY_free(other);
}

static void weak_or_unknown_signature_algorithms_are_refused(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();
	OWNED(csr) unknown = csr_new();

	(void)state;
	ec->digest = "SHA1";
	refuses(ec, ERR_BAD_CSR, "ecdsa-with-SHA1");
	ec->digest = "SHA224";
	refuses(ec, ERR_BAD_CSR, "ecdsa-with-SHA224");
	use_key(rsa, EVP_RSA_gen(2048));
	rsa->digest = "SHA1";
	refuses(rsa, ERR_BAD_CSR, "RSA-SHA1");
	rsa->digest = "MD5";
	refuses(rsa, ERR_BAD_CSR, "RSA-MD5");
	rsa->digest = "SHA1";
	rsa->pss = true;
	refuses(rsa, ERR_BAD_CSR, "PSS");
	csr_put_algorithm(&unknown->algorithm, OCTETS(0x2a, 0x03),
	    BYTES(NULL, 0));
	refuses(unknown, ERR_BAD_CSR, "1.2.3");
}

static void an_algorithm_that_does_not_fit_the_key_is_refused(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();

	(void)state;
	csr_put_algorithm(&ec->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
	    OCTETS(0x05, 0x00));
	refuses(ec, ERR_BAD_CSR, "does not fit");
	use_key(rsa, EVP_RSA_gen(2048));
	csr_put_algorithm(&rsa->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
	    BYTES(NULL, 0));
	refuses(rsa, ERR_BAD_CSR, "does not fit");
}

static void parameters_of_a_signature_are_checked(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();
	const struct bytes sha256_rsa =
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);

	(void)state;
	csr_put_algorithm(&ec->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
	    OCTETS(0x05, 0x00));
	refuses(ec, ERR_BAD_CSR, "parameters");
	use_key(rsa, EVP_RSA_gen(2048));
	csr_put_algorithm(&rsa->algorithm, sha256_rsa, BYTES(NULL, 0));
	accepts(rsa);
	buf_reset(&rsa->algorithm);
	csr_put_algorithm(&rsa->algorithm, sha256_rsa, OCTETS(0x30, 0x00));
	refuses(rsa, ERR_BAD_CSR, "parameters");
}

/* RSASSA-PSS-params for SHA-256 with MASK's last octet, and SALT. */
static void put_pss(struct buf *out, uint8_t hash, uint8_t mask, uint8_t salt)
{
	const struct bytes params = OCTETS(0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d,
	    0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash,
	    0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48,
	    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60,
	    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, mask, 0x05, 0x00, 0xa2,
	    0x03, 0x02, 0x01, salt);

	buf_reset(out);
	csr_put_algorithm(out,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a),
	    params);
}

static void parameters_of_pss_are_checked(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	use_key(csr, EVP_RSA_gen(2048));
	csr->pss = true;
	put_pss(&csr->algorithm, 1, 1, 32);
	accepts(csr);
	put_pss(&csr->algorithm, 1, 1, 20);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	put_pss(&csr->algorithm, 1, 2, 32);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	put_pss(&csr->algorithm, 4, 4, 28);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	buf_reset(&csr->algorithm);
	csr_put_algorithm(&csr->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a),
	    OCTETS(0x30, 0x00));
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
}

#define TEST cmocka_unit_test
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
	    TEST(a_subject_attribute_other_than_cn_is_refused_by_name),
	    TEST(a_second_cn_is_refused),
	    TEST(a_cn_of_three_string_types_is_accepted_and_no_other),
	    TEST(a_cn_with_nul_bad_utf8_or_of_65_characters_is_refused),
	    TEST(an_empty_rdn_is_refused),
	    TEST(every_other_type_of_name_is_refused_by_its_name),
	    TEST(a_name_of_an_unknown_tag_is_refused),
	    TEST(an_address_of_4_or_16_octets_is_accepted_and_no_other),
	    TEST(a_name_with_a_nul_is_refused),
	    TEST(a_name_that_is_none_is_refused),
	    TEST(a_hundred_names_are_accepted_and_one_more_is_refused),
	    TEST(a_thousand_equal_names_are_refused),
	    TEST(an_empty_or_broken_san_is_refused),
	    TEST(a_second_san_is_refused),
	    TEST(any_other_extension_is_refused_by_its_oid),
	    TEST(a_criticality_that_is_not_der_is_refused),
	    TEST(a_second_extension_request_is_refused),
	    TEST(an_extension_request_of_two_values_is_refused),
	    TEST(another_attribute_is_refused_by_its_name),
	    TEST(rsa_of_another_size_is_refused),
	    TEST(an_rsa_exponent_other_than_65537_is_refused),
	    TEST(another_kind_of_key_is_refused_by_its_name),
	    TEST(a_point_off_its_curve_is_refused),
	    TEST(a_point_in_another_form_is_refused),
	    TEST(explicit_curve_parameters_are_refused),
	    TEST(an_rsa_key_with_wrong_parameters_is_refused),
	    TEST(an_even_or_smooth_modulus_is_refused),
	    TEST(a_key_that_a_decoder_would_take_is_checked_the_same),
	    TEST(a_wrong_signature_is_no_proof_of_possession),
	    TEST(weak_or_unknown_signature_algorithms_are_refused),
	    TEST(an_algorithm_that_does_not_fit_the_key_is_refused),
	    TEST(parameters_of_a_signature_are_checked),
	    TEST(parameters_of_pss_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
