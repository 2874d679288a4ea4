// SPDX-License-Identifier: Apache-2.0
/* Goal: a name is either in the one normal form of its kind or refused with
 * the rule that it breaks. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

struct sample {
	const char *text;
	size_t len;		/* 0: strlen */
	const char *word;	/* of the refusal */
};

static struct bytes text_of(const struct sample *sample)
{
	return BYTES(sample->text,
	    sample->len != 0 ? sample->len : strlen(sample->text));
}

static void assert_all_refused(
    enum name_kind kind, const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		OWNED(names) names = names_new();
		struct err err = {0};
		enum err_code code =
		    names_add(names, kind, text_of(&samples[i]), &err);

		if (code == ERR_OK)
			print_error("accepted: %s\n", samples[i].text);
		assert_refused(code, ERR_BAD_FIELD, &err, samples[i].word);
		assert_int_equal(names->sans_count, 0);
	}
}

static void assert_all_accepted(
    enum name_kind kind, const char *const *pairs, size_t count)
{
	for (size_t i = 0; i + 1 < count; i += 2) {
		OWNED(names) names = names_new();
		struct err err = {0};

		if (names_add(names, kind, BYTES_STR(pairs[i]), &err) != ERR_OK)
			fail_msg("%s", err.detail);
		assert_int_equal(names->sans_count, 1);
		assert_int_equal(names->sans[0].kind, kind);
		assert_string_equal(names->sans[0].text, pairs[i + 1]);
	}
}

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

static void dns_names_of_ldh_labels_are_accepted_in_lower_case(void **state)
{
	static const char *const pairs[] = {
		"db1.example.net", "db1.example.net",
		"DB1.Example.NET", "db1.example.net",
		"localhost", "localhost",
		"xn--bcher-kva.example", "xn--bcher-kva.example",
		"1.example", "1.example",
		"a--b.example", "a--b.example",
		L63 ".example", L63 ".example",
		"*.orders.example.net", "*.orders.example.net",
		"*.net", "*.net", /* for the policy to refuse */
		"10.1.0.1.example", "10.1.0.1.example",
		"0xg", "0xg",
		L63 "." L63 "." L63 "." "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee"
		"eeeeeffffffffff1",
		L63 "." L63 "." L63 "." "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee"
		"eeeeeffffffffff1", /* 253 */
	};

	(void)state;
	assert_all_accepted(NAME_DNS, pairs, ARRAY_LEN(pairs));
}

static void dns_names_that_break_a_rule_are_refused_by_it(void **state)
{
	static const struct sample samples[] = {
		{"", 0, "is empty"},
		{".", 0, "ends with a dot"},
		{"db1.example.net.", 0, "ends with a dot"},
		{"db1..net", 0, "empty label"},
		{".example.net", 0, "empty label"},
		{L63 "4.example", 0, "more than 63 octets"},
		{"db_1.example.net", 0, "letters, digits and hyphens"},
		{"b\xc3\xbc" "cher.example", 0, "letters, digits and hyphens"},
		{"db1\0.evil.net", 14, "letters, digits and hyphens"},
		{"db1.example.net\0", 16, "letters, digits and hyphens"},
		{"db1\n.example", 0, "letters, digits and hyphens"},
		{"db 1.example", 0, "letters, digits and hyphens"},
		{"-db.example", 0, "begins or ends with a hyphen"},
		{"db-.example", 0, "begins or ends with a hyphen"},
		{"*", 0, "letters, digits and hyphens"},
		{"*.", 0, "ends with a dot"},
		{"a.*.example", 0, "letters, digits and hyphens"},
		{"*.*.example", 0, "letters, digits and hyphens"},
		{"db*.example", 0, "letters, digits and hyphens"},
		{"**.example", 0, "letters, digits and hyphens"},
		{"10.1.0.1", 0, "looks like an address"},
		{"10.1", 0, "looks like an address"},
		{"2130706433", 0, "looks like an address"},
		{"0x7f000001", 0, "looks like an address"},
		{"0X7F.1", 0, "looks like an address"},
		{"host.0x1f", 0, "looks like an address"},
		{"*.1", 0, "looks like an address"},
		{"::1", 0, "letters, digits and hyphens"},
		{"{cluster}.example", 0, "letters, digits and hyphens"},
		{L63 "." L63 "." L63 "." L63, 0, "longer than 253"},
	};

	(void)state;
	assert_all_refused(NAME_DNS, samples, ARRAY_LEN(samples));
}

static void ip_addresses_are_accepted_in_normal_form(void **state)
{
	static const char *const pairs[] = {
		"10.1.0.1", "10.1.0.1",
		"FD00:1::0:1", "fd00:1::1",
		"::1", "::1",
		"0:0:0:0:0:0:0:1", "::1",
	};

	(void)state;
	assert_all_accepted(NAME_IP, pairs, ARRAY_LEN(pairs));
}

static void what_is_no_ip_address_is_refused(void **state)
{
	static const struct sample samples[] = {
		{"", 0, "is not an IP address"},
		{"10.1.0", 0, "is not an IP address"},
		{"10.1.0.256", 0, "is not an IP address"},
		{"010.1.0.1", 0, "is not an IP address"},
		{"10.1.0.1\0", 9, "is not an IP address"},
		{"10.1.0.1/32", 0, "is not an IP address"},
		{"fe80::1%eth0", 0, "is not an IP address"},
		{"db1.example.net", 0, "is not an IP address"},
		{"::ffff:10.1.0.1", 0, "IPv4-mapped"},
		{"0000000000000000000000000000000000000000000000000000000000000"
		 "00000", 0, "is not an IP address"},
	};

	(void)state;
	assert_all_refused(NAME_IP, samples, ARRAY_LEN(samples));
}

static void ip_octets_are_4_or_16_and_not_mapped(void **state)
{
	static const uint8_t v4[4] = {10, 1, 0, 1};
	static const uint8_t v6[16] = {0xfd, [15] = 1};
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 1, 0, 1};
	OWNED(names) names = names_new();
	struct err err;

	(void)state;
	assert_int_equal(names_add_ip(names, BYTES_OF(v4), &err), ERR_OK);
	assert_int_equal(names_add_ip(names, BYTES_OF(v6), &err), ERR_OK);
	assert_string_equal(names->sans[0].text, "10.1.0.1");
	assert_string_equal(names->sans[1].text, "fd00::1");
	assert_refused(names_add_ip(names, BYTES_OF(mapped), &err),
	    ERR_BAD_FIELD, &err, "IPv4-mapped");
	for (size_t len = 0; len <= 16; len++) {
		if (len != 4 && len != 16)
			assert_refused(
			    names_add_ip(names, BYTES(v6, len), &err),
			    ERR_BAD_FIELD, &err, "4 or 16");
	}
}

static void absolute_uris_are_accepted_as_they_are(void **state)
{
	static const char *const pairs[] = {
		"signet://orders/etcd/peer", "signet://orders/etcd/peer",
		"urn:uuid:1-2", "urn:uuid:1-2",
		"a+b-c.1:x", "a+b-c.1:x",
		"https://[::1]:8443/a%20b?c=d#e",
		"https://[::1]:8443/a%20b?c=d#e",
	};

	(void)state;
	assert_all_accepted(NAME_URI, pairs, ARRAY_LEN(pairs));
}

static void what_is_no_absolute_uri_is_refused(void **state)
{
	static const struct sample samples[] = {
		{"", 0, "no scheme"},
		{"/etcd/peer", 0, "no scheme"},
		{"orders", 0, "no scheme"},
		{":orders", 0, "no scheme"},
		{"1a:x", 0, "no scheme"},
		{"a_b:x", 0, "no scheme"},
		{"signet:", 0, "nothing behind"},
		{"signet://a b", 0, "RFC 3986"},
		{"signet://a\tb", 0, "RFC 3986"},
		{"signet://a\0b", 12, "RFC 3986"},
		{"signet://a\\b", 0, "RFC 3986"},
		{"signet://{cluster}/", 0, "RFC 3986"},
		{"signet://b\xc3\xbc", 0, "RFC 3986"},
		{"signet://a%2", 0, "RFC 3986"},
		{"signet://a%zz", 0, "RFC 3986"},
		{"signet://a<b>", 0, "RFC 3986"},
	};
	OWNED(names) names = names_new();
	char text[NAME_URI_MAX + 2] = "x:";
	struct err err;

	(void)state;
	assert_all_refused(NAME_URI, samples, ARRAY_LEN(samples));
	memset(text + 2, 'a', NAME_URI_MAX - 2);
	assert_int_equal(
	    names_add(names, NAME_URI, BYTES(text, NAME_URI_MAX), &err), ERR_OK);
	text[NAME_URI_MAX] = 'a';
	assert_refused(
	    names_add(names, NAME_URI, BYTES(text, NAME_URI_MAX + 1), &err),
	    ERR_BAD_FIELD, &err, "longer than 512");
}

static void common_names_are_printable_utf8_of_64_characters(void **state)
{
	static const char *const accepted[] = {
		"app", "J\xc3\xbcrgen", "a b", "\xf0\x9f\x94\x91",
		/* 64 characters, 128 octets */
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
		"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		OWNED(names) names = names_new();
		struct err err;

		assert_int_equal(
		    names_set_cn(names, BYTES_STR(accepted[i]), &err), ERR_OK);
		assert_string_equal(names->common_name, accepted[i]);
	}
}

static void common_names_that_break_a_rule_are_refused_by_it(void **state)
{
	static const struct sample samples[] = {
		{"", 0, "is empty"},
		{"app\0", 4, "cannot be seen"},
		{"a\0b", 3, "cannot be seen"},
		{"app\n", 0, "cannot be seen"},
		{"\x1b[2J", 0, "cannot be seen"},
		{"a\x7f", 0, "cannot be seen"},
		{"a\xc2\x85", 0, "cannot be seen"},	/* C1 */
		{"a\xe2\x80\xae" "b", 0, "cannot be seen"}, /* U+202E */
		{"a\xe2\x80\x8b", 0, "cannot be seen"},	/* U+200B */
		{"a\xef\xbb\xbf", 0, "cannot be seen"},	/* U+FEFF */
		{"a\xef\xbf\xbf", 0, "cannot be seen"},	/* U+FFFF */
		{" app", 0, "begins or ends with a space"},
		{"app ", 0, "begins or ends with a space"},
		{"a\xff", 0, "is not UTF-8"},
		{"a\xc0\x80", 0, "is not UTF-8"},	/* overlong NUL */
		{"a\xed\xa0\x80", 0, "is not UTF-8"},	/* surrogate */
		{"\xc3", 0, "is not UTF-8"},
		{"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
		 "12345", 0, "longer than 64"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		OWNED(names) names = names_of("CN=before");
		struct err err = {0};

		assert_refused(names_set_cn(names, text_of(&samples[i]), &err),
		    ERR_BAD_FIELD, &err, samples[i].word);
		assert_string_equal(names->common_name, "before");
	}
}

static void a_hundred_names_fit_and_no_more(void **state)
{
	OWNED(names) names = names_new();
	struct err err;

	(void)state;
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		OWNED_STR(text) = mem_printf("db%u.example.net", i);

		assert_int_equal(
		    names_add(names, NAME_DNS, BYTES_STR(text), &err), ERR_OK);
	}
	/* One that is there takes no room. */
	assert_int_equal(names_add(names, NAME_DNS,
			     BYTES_STR("db7.example.net"), &err), ERR_OK);
	assert_int_equal(names->sans_count, NAMES_MAX);
	assert_refused(names_add(names, NAME_DNS,
			   BYTES_STR("one-more.example.net"), &err),
	    ERR_BAD_FIELD, &err, "more than 100 names");
	assert_int_equal(names->sans_count, NAMES_MAX);
}

static void names_are_sorted_without_duplicates(void **state)
{
	OWNED(names) names = names_of("URI:x:y", "IP:10.1.0.2", "DNS:b.example",
	    "IP:10.1.0.1", "DNS:a.example", "DNS:B.example");

	(void)state;
	assert_int_equal(names->sans_count, 5);
	assert_string_equal(names->sans[0].text, "a.example");
	assert_string_equal(names->sans[1].text, "b.example");
	assert_string_equal(names->sans[2].text, "10.1.0.1");
	assert_string_equal(names->sans[3].text, "10.1.0.2");
	assert_string_equal(names->sans[4].text, "x:y");
}

static void equality_and_inclusion_see_every_name(void **state)
{
	OWNED(names) all = names_of("CN=app", "DNS:a.example", "IP:10.1.0.1");
	OWNED(names) same = names_of("IP:10.1.0.1", "DNS:A.example", "CN=app");
	OWNED(names) fewer = names_of("DNS:a.example");
	OWNED(names) other_cn = names_of("CN=App", "DNS:a.example");
	OWNED(names) other = names_of("CN=app", "DNS:b.example");
	OWNED(names) copy = names_copy(all);
	OWNED(names) nothing = names_new();
	OWNED(names) no_copy = names_copy(nothing);

	(void)state;
	assert_true(names_equal(all, same));
	assert_true(names_equal(all, copy));
	assert_true(names_equal(nothing, no_copy));
	assert_false(names_equal(all, fewer));
	assert_false(names_equal(fewer, all));
	assert_true(names_within(fewer, all));
	assert_true(names_within(all, same));
	assert_true(names_within(nothing, fewer));
	assert_false(names_within(all, fewer));
	assert_false(names_within(other_cn, all));
	assert_false(names_within(other, all));
	assert_string_equal(name_kind_label(NAME_URI), "URI");
}

static struct names *read_back(struct bytes record)
{
	struct reader reader = reader_over(record);
	struct names *names = NULL;

	if (!names_read(&reader, &names) || !reader_done(&reader)) {
		names_free(names);
		return NULL;
	}
	return names;
}

static void names_read_back_as_written(void **state)
{
	OWNED(names) all = names_of("CN=app", "DNS:*.a.example", "DNS:b.example",
	    "IP:10.1.0.1", "IP:fd00::1", "URI:signet://orders/x");
	OWNED(names) nothing = names_new();
	OWNED(names) all_again = NULL;
	OWNED(names) nothing_again = NULL;
	OWNED_BUF(record);

	(void)state;
	names_write(all, &record);
	all_again = read_back(buf_bytes(&record));
	assert_non_null(all_again);
	assert_true(names_equal(all, all_again));
	assert_memory_equal(
	    &all->sans[2].ip, &all_again->sans[2].ip, sizeof(struct ip));
	buf_reset(&record);
	names_write(nothing, &record);
	nothing_again = read_back(buf_bytes(&record));
	assert_non_null(nothing_again);
	assert_true(names_equal(nothing, nothing_again));
}

/* Whatever is read has one encoding: a changed octet is seen, or is refused. */
static void garbled_names_are_refused_or_other_names(void **state)
{
	OWNED(names) all = names_of("CN=app", "DNS:a.example", "IP:10.1.0.1",
	    "URI:signet://orders/x");
	uint64_t seed = 20261124;
	OWNED_BUF(record);

	(void)state;
	names_write(all, &record);
	for (size_t len = 0; len < record.len; len++)
		assert_null(read_back(BYTES(record.data, len)));
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = random_next(&seed) % record.len;
		uint8_t before = record.data[at];
		OWNED(names) read = NULL;
		OWNED_BUF(again);

		record.data[at] ^= (uint8_t)(1 + random_next(&seed) % 255);
		read = read_back(buf_bytes(&record));
		if (read != NULL) {
			names_write(read, &again);
			assert_true(bytes_equal(
			    buf_bytes(&again), buf_bytes(&record)));
			assert_false(names_equal(read, all));
		}
		record.data[at] = before;
	}
}

static void key_types_have_names_both_ways(void **state)
{
	enum key_type type;

	(void)state;
	for (size_t i = 0; i < KEY_TYPE_COUNT; i++) {
		assert_true(
		    key_type_parse(key_type_name((enum key_type)i), &type));
		assert_int_equal(type, i);
	}
	assert_false(key_type_parse("rsa-1024", &type));
	assert_false(key_type_parse("", &type));
	assert_false(key_type_parse("EC-P256", &type));
	assert_string_equal(key_type_name(KEY_TYPE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    dns_names_of_ldh_labels_are_accepted_in_lower_case),
		cmocka_unit_test(dns_names_that_break_a_rule_are_refused_by_it),
		cmocka_unit_test(ip_addresses_are_accepted_in_normal_form),
		cmocka_unit_test(what_is_no_ip_address_is_refused),
		cmocka_unit_test(ip_octets_are_4_or_16_and_not_mapped),
		cmocka_unit_test(absolute_uris_are_accepted_as_they_are),
		cmocka_unit_test(what_is_no_absolute_uri_is_refused),
		cmocka_unit_test(
		    common_names_are_printable_utf8_of_64_characters),
		cmocka_unit_test(
		    common_names_that_break_a_rule_are_refused_by_it),
		cmocka_unit_test(a_hundred_names_fit_and_no_more),
		cmocka_unit_test(names_are_sorted_without_duplicates),
		cmocka_unit_test(equality_and_inclusion_see_every_name),
		cmocka_unit_test(names_read_back_as_written),
		cmocka_unit_test(garbled_names_are_refused_or_other_names),
		cmocka_unit_test(key_types_have_names_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
