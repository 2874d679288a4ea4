// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include "base/text.h"

static void text_hex_is_written_and_parsed(void **state)
{
	const uint8_t octets[] = {0x00, 0x9f, 0xff};
	OWNED_STR(text) = hex_new(octets, 3);
	uint8_t again[3];

	(void)state;
	assert_string_equal(text, "009fff");
	assert_true(hex_parse("009FfF", again, 3));
	assert_memory_equal(again, octets, 3);
}

static void text_hex_of_another_length_or_alphabet_is_refused(void **state)
{
	const char *const bad[] = {
	    "", "00", "009f", "009ff", "009fff0", "009fffff", "009ffg", "0x9fff",
	    "00:9f:ff", " 09fff"};
	uint8_t octets[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(hex_parse(bad[i], octets, 3));
}

static void text_hex_any_takes_colons_between_octets(void **state)
{
	const char *const bad[] = {":00", "00:", "00::11", "0:0", "0", "000",
	    "001122334", "0011223344", "zz"};
	OWNED_BUF(out);

	(void)state;
	assert_true(hex_parse_any("00:1F:ab", 4, &out));
	assert_true(bytes_equal(buf_bytes(&out), BYTES("\0\x1f\xab", 3)));
	assert_true(hex_parse_any("11", 1, &out));
	assert_int_equal(out.len, 4);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(hex_parse_any(bad[i], 4, &out));
		assert_int_equal(out.len, 4);
	}
}

/* RFC 4648 section 10. */
static const struct {
	const char *plain;
	const char *base64;
	const char *base64url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void text_base64_holds_the_vectors_of_the_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct bytes plain = BYTES_STR(vectors[i].plain);
		OWNED_BUF(text);
		OWNED_BUF(url);
		OWNED_BUF(back);
		OWNED_BUF(url_back);

		base64_put(&text, plain);
		assert_true(bytes_equal(
		    buf_bytes(&text), BYTES_STR(vectors[i].base64)));
		base64url_put(&url, plain);
		assert_true(bytes_equal(
		    buf_bytes(&url), BYTES_STR(vectors[i].base64url)));
		assert_true(base64_parse(buf_bytes(&text), &back));
		assert_true(bytes_equal(buf_bytes(&back), plain));
		assert_true(base64url_parse(buf_bytes(&url), &url_back));
		assert_true(bytes_equal(buf_bytes(&url_back), plain));
	}
}

static void text_base64_has_one_form_for_each_value(void **state)
{
	const char *const bad[] = {"Zh==", "Zm9=", "Zg", "Zg=", "Zg===", "====",
	    "=", "Zm9v\n", "Zm9v ", "Z g=", "-_-_", "Zg==Zg==", "Zm9vZ", "Z==="};
	const char *const bad_url[] = {"Zh", "Zm9", "Zg==", "Z", "+/+/", "Zm9vZ",
	    "Zm 9", "Zm9v\n"};
	OWNED_BUF(out);

	(void)state;
	buf_put_str(&out, "kept");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(base64_parse(BYTES_STR(bad[i]), &out));
	for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
		assert_false(base64url_parse(BYTES_STR(bad_url[i]), &out));
	assert_true(bytes_equal(buf_bytes(&out), BYTES_STR("kept")));
}

static void text_label_is_an_rfc_1123_label_in_lower_case(void **state)
{
	const char *const good[] = {"a", "0", "orders-db", "a--b",
	    "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"};
	const char *const bad[] = {"", "-a", "a-", "A", "a.b", "a_b", "a b", "-",
	    "\xc3\xa4", "a\n", "../x",
	    "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(text_is_label(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_is_label(bad[i]));
	assert_false(text_is_label(NULL));
}

static void text_host_name_is_labels_joined_by_dots(void **state)
{
	const char *const good[] = {"a", "A.b", "db-1.Example.NET", "1.2"};
	const char *const bad[] = {"", ".", "a.", ".a", "a..b", "*.a", "a_b.c",
	    "a-.b", "-a.b", "a b", "a\n"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(text_is_host_name(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_is_host_name(bad[i]));
	assert_false(text_is_host_name(NULL));
	for (size_t i = 0; i < 255; i++)
		text[i] = i % 2 == 0 ? 'a' : '.';
	text[253] = '\0';
	assert_true(text_is_host_name(text));
	text[253] = '.';
	text[255] = '\0';
	assert_false(text_is_host_name(text));
}

static void text_utf8_is_told_from_what_resembles_it(void **state)
{
	const char *const good[] = {"", "a", "\xc2\x80", "\xe0\xa0\x80",
	    "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80",
	    "\xf4\x8f\xbf\xbf"};
	const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2",
	    "\xc2 ", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(text_is_utf8(BYTES_STR(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_is_utf8(BYTES_STR(bad[i])));
}

static void text_prefix_and_suffix(void **state)
{
	(void)state;
	assert_true(text_has_prefix("pkcs11:x", "pkcs11:"));
	assert_true(text_has_prefix("x", ""));
	assert_false(text_has_prefix("pk", "pkcs11:"));
	assert_true(text_has_suffix("a.yaml", ".yaml"));
	assert_false(text_has_suffix("yaml", ".yaml"));
	assert_false(text_has_suffix("a.yaml~", ".yaml"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_hex_is_written_and_parsed),
	    cmocka_unit_test(
		text_hex_of_another_length_or_alphabet_is_refused),
	    cmocka_unit_test(text_hex_any_takes_colons_between_octets),
	    cmocka_unit_test(text_base64_holds_the_vectors_of_the_rfc),
	    cmocka_unit_test(text_base64_has_one_form_for_each_value),
	    cmocka_unit_test(text_label_is_an_rfc_1123_label_in_lower_case),
	    cmocka_unit_test(text_host_name_is_labels_joined_by_dots),
	    cmocka_unit_test(text_utf8_is_told_from_what_resembles_it),
	    cmocka_unit_test(text_prefix_and_suffix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
