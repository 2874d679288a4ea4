// SPDX-License-Identifier: Apache-2.0
/* Goal: of names, extensions and attributes a request says what a profile can
 * judge, and anything else is refused with words that say what to correct. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
