// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include "api/target.h"

static char text[8192];
static struct target target;
static struct err err;

static enum err_code parse(const char *raw)
{
	assert_true(strlen(raw) < sizeof(text));
	strncpy(text, raw, sizeof(text) - 1);
	err = (struct err){0};
	return target_parse(text, &target, &err);
}

static void a_path_is_split_and_decoded_once(void **state)
{
	(void)state;
	assert_ok(parse("/clusters/a%2Db/%2541"));
	assert_int_equal(target.segments_count, 3);
	assert_string_equal(target.segments[0], "clusters");
	assert_string_equal(target.segments[1], "a-b");
	assert_string_equal(target.segments[2], "%41");
}

static void a_plus_in_a_path_stays_a_plus(void **state)
{
	(void)state;
	assert_ok(parse("/a+b"));
	assert_string_equal(target.segments[0], "a+b");
}

static void a_path_that_two_readers_could_read_differently_is_refused(
    void **state)
{
	static const struct {
		const char *raw, *why;
	} cases[] = {
	    {"", "no absolute path"},
	    {"clusters", "no absolute path"},
	    {"http://host/clusters", "no absolute path"},
	    {"*", "no absolute path"},
	    {"/", "is empty"},
	    {"//clusters", "is empty"},
	    {"/clusters//a", "is empty"},
	    {"/clusters/", "is empty"},
	    {"/clusters/..", "dot segment"},
	    {"/clusters/../x", "dot segment"},
	    {"/./clusters", "dot segment"},
	    {"/clusters/%2e%2E", "dot segment"},
	    {"/clusters/a%2Fb", "slash"},
	    {"/clusters/a%5cb", "slash"},
	    {"/clusters/a%00b", "percent-encoded"},
	    {"/clusters/a%", "percent-encoded"},
	    {"/clusters/a%4", "percent-encoded"},
	    {"/clusters/a%4g", "percent-encoded"},
	    {"/clusters/a%0ab", "control character"},
	    {"/clusters/a\x7f", "control character"},
	    {"/clusters/%ff", "not UTF-8"},
	    {"/clusters/%c0%af", "not UTF-8"},
	    {"/clusters/a#b", "fragment"},
	    {"/1/2/3/4/5/6/7/8/9", "more than 8"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(
		    parse(cases[i].raw), ERR_BAD_REQUEST, cases[i].why);
}

static void a_target_of_the_greatest_length_is_taken_and_one_more_is_not(
    void **state)
{
	char raw[TARGET_MAX + 2];
	(void)state;
	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	raw[TARGET_MAX] = '\0';
	assert_ok(parse(raw));
	raw[TARGET_MAX] = 'a';
	raw[TARGET_MAX + 1] = '\0';
	assert_refused(parse(raw), ERR_TOO_LARGE, "longer than 2048");
}

static void a_query_is_decoded_with_plus_as_space(void **state)
{
	(void)state;
	assert_ok(parse("/a?name=x+y%2Bz&limit=1&empty="));
	assert_int_equal(target.query_count, 3);
	assert_string_equal(target_query(&target, "name"), "x y+z");
	assert_string_equal(target_query(&target, "limit"), "1");
	assert_string_equal(target_query(&target, "empty"), "");
	assert_null(target_query(&target, "nothing"));
}

static void an_empty_query_is_none(void **state)
{
	(void)state;
	assert_ok(parse("/a?"));
	assert_int_equal(target.query_count, 0);
}

static void a_query_that_is_malformed_is_refused(void **state)
{
	(void)state;
	assert_refused(parse("/a?x"), ERR_BAD_REQUEST, "name=value");
	assert_refused(parse("/a?x=1&"), ERR_BAD_REQUEST, "name=value");
	assert_refused(parse("/a?x=%zz"), ERR_BAD_REQUEST, "UTF-8");
	assert_refused(parse("/a?x=%00"), ERR_BAD_REQUEST, "UTF-8");
	assert_refused(parse("/a?x=%ff"), ERR_BAD_REQUEST, "UTF-8");
	assert_refused(parse("/a?x=1&x=2"), ERR_BAD_FIELD, "sent twice");
	assert_refused(parse("/a?x=1&%78=2"), ERR_BAD_FIELD, "sent twice");
	assert_refused(parse("/a?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1"
			     "&i=1&j=1&k=1"),
	    ERR_BAD_REQUEST, "more than 10");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_is_split_and_decoded_once),
	    cmocka_unit_test(a_plus_in_a_path_stays_a_plus),
	    cmocka_unit_test(
		a_path_that_two_readers_could_read_differently_is_refused),
	    cmocka_unit_test(
		a_target_of_the_greatest_length_is_taken_and_one_more_is_not),
	    cmocka_unit_test(a_query_is_decoded_with_plus_as_space),
	    cmocka_unit_test(an_empty_query_is_none),
	    cmocka_unit_test(a_query_that_is_malformed_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
