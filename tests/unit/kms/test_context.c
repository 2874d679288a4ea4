// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fixture.h"

#include <string.h>

static void assert_same(const struct context *a, const struct context *b)
{
	OWNED_BUF(one);
	OWNED_BUF(two);

	context_write(a, &one);
	context_write(b, &two);
	assert_true(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
}

static void assert_differ(const struct context *a, const struct context *b)
{
	OWNED_BUF(one);
	OWNED_BUF(two);

	context_write(a, &one);
	context_write(b, &two);
	assert_false(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
}

static void context_is_the_same_in_whatever_order_it_is_given(void **state)
{
	OWNED(context) one = context_of("a", "1", "b", "2", "aa", "3");
	OWNED(context) two = context_of("b", "2", "aa", "3", "a", "1");

	(void)state;
	assert_same(one, two);
}

static void context_has_the_octets_that_version_1_wrote(void **state)
{
	static const uint8_t golden[] = {0, 0, 0, 2, 0, 0, 0, 1, 'a', 0, 0, 0,
	    2, '1', '2', 0, 0, 0, 1, 'b', 0, 0, 0, 0};
	OWNED(context) context = context_of("b", "", "a", "12");
	OWNED_BUF(out);

	(void)state;
	context_write(context, &out);
	assert_int_equal(out.len, sizeof(golden));
	assert_memory_equal(out.data, golden, sizeof(golden));
}

static void context_that_is_absent_is_the_empty_one(void **state)
{
	OWNED(context) empty = context_new();

	(void)state;
	assert_same(NULL, empty);
}

static void context_never_reads_as_another_cut_differently(void **state)
{
	static const char *const cuts[][5] = {
	    {NULL},
	    {"ab", "c", NULL},
	    {"a", "bc", NULL},
	    {"abc", "", NULL},
	    {"a", "b", "c", "", NULL},
	    {"a", "", "b", "c", NULL},
	    {"a", "c", "b", "", NULL},
	    {"A", "bc", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
		for (size_t k = 0; k < ARRAY_LEN(cuts); k++) {
			OWNED(context) one = context_of_list(cuts[i]);
			OWNED(context) two = context_of_list(cuts[k]);
			if (i != k)
				assert_differ(one, two);
		}
}

static void context_refuses_an_empty_name_and_takes_an_empty_value(void **state)
{
	OWNED(context) context = context_new();
	struct err err = {0};

	(void)state;
	assert_refused(context_add(context, "", "v", &err), ERR_BAD_FIELD,
	    &err, "empty");
	assert_ok(context_add(context, "v", "", &err), &err);
}

static void context_refuses_a_name_given_twice(void **state)
{
	OWNED(context) context = context_of("a", "1", "b", "2");
	struct err err = {0};

	(void)state;
	assert_refused(context_add(context, "a", "3", &err), ERR_BAD_FIELD,
	    &err, "a is given twice");
	assert_refused(context_add(context, "b", "2", &err), ERR_BAD_FIELD,
	    &err, "twice");
	assert_ok(context_add(context, "c", "2", &err), &err);
}

static void context_refuses_what_is_not_utf8(void **state)
{
	static const char *const bad[] = {
	    "\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
	OWNED(context) context = context_new();
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_refused(context_add(context, bad[i], "v", &err),
		    ERR_BAD_FIELD, &err, "UTF-8");
		assert_refused(context_add(context, "n", bad[i], &err),
		    ERR_BAD_FIELD, &err, "UTF-8");
	}
	assert_ok(context_add(context, "käse", "日本", &err), &err);
}

static void context_holds_16_pairs_and_refuses_the_next(void **state)
{
	OWNED(context) context = context_new();
	struct err err = {0};
	char name[] = "a";

	(void)state;
	for (int i = 0; i < CONTEXT_PAIRS_MAX; i++, name[0]++)
		assert_ok(context_add(context, name, "", &err), &err);
	assert_refused(context_add(context, name, "", &err), ERR_BAD_FIELD,
	    &err, "16 pairs");
}

static void context_holds_2048_octets_and_refuses_the_next(void **state)
{
	OWNED(context) context = context_new();
	char value[CONTEXT_OCTETS_MAX + 1] = "";
	struct err err = {0};

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	assert_refused(context_add(context, "n", value, &err), ERR_BAD_FIELD,
	    &err, "2048 octets");
	value[CONTEXT_OCTETS_MAX - 1] = '\0';
	assert_ok(context_add(context, "n", value, &err), &err);
	assert_refused(context_add(context, "m", "", &err), ERR_BAD_FIELD,
	    &err, "2048 octets");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(context_is_the_same_in_whatever_order_it_is_given),
	    cmocka_unit_test(context_has_the_octets_that_version_1_wrote),
	    cmocka_unit_test(context_that_is_absent_is_the_empty_one),
	    cmocka_unit_test(context_never_reads_as_another_cut_differently),
	    cmocka_unit_test(
		context_refuses_an_empty_name_and_takes_an_empty_value),
	    cmocka_unit_test(context_refuses_a_name_given_twice),
	    cmocka_unit_test(context_refuses_what_is_not_utf8),
	    cmocka_unit_test(context_holds_16_pairs_and_refuses_the_next),
	    cmocka_unit_test(context_holds_2048_octets_and_refuses_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
