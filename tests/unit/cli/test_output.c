// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include "cli/exit.h"
#include "cli/human.h"
#include "cli/output.h"

static const struct column columns[] = {
    {"NAME", "name"}, {"NO", "no"}, {"DNS", "dns"}, {0}};

static json_t *parse(const char *text)
{
	json_t *json = NULL;
	struct err err = {0};

	assert_ok(json_parse(bytes_str(text), &json, &err), &err);
	return json;
}

static char *list(const char *items_text, bool as_json, char **errors)
{
	OWNED_JSON(items) = parse(items_text);
	struct capture two = capture_begin(2);
	struct capture one = capture_begin(1);

	output_list(items, columns, "nothing here", as_json);
	char *text = capture_end(&one);
	*errors = capture_end(&two);
	return text;
}

static void list_stands_in_columns(void **state)
{
	OWNED_STR(errors) = NULL;
	OWNED_STR(text) =
	    list("[{\"name\":\"a\",\"no\":17,\"dns\":[\"x\",\"y\"]},"
		 "{\"name\":\"käse\",\"no\":true,\"dns\":[]},"
		 "{\"name\":\"longer\",\"no\":null}]",
		false, &errors);

	(void)state;
	assert_string_equal(text, "NAME    NO   DNS\n"
				  "a       17   x,y\n"
				  "käse    yes  -\n"
				  "longer  -    -\n");
	assert_string_equal(errors, "");
}

static void list_that_is_empty_is_no_data(void **state)
{
	OWNED_STR(errors) = NULL;
	OWNED_STR(text) = list("[]", false, &errors);
	OWNED_STR(json_errors) = NULL;
	OWNED_STR(json) = list("[]", true, &json_errors);

	(void)state;
	assert_string_equal(text, "");
	assert_string_equal(errors, "nothing here\n");
	assert_string_equal(json_errors, "");
	OWNED_JSON(parsed) = parse(json);
	assert_int_equal(
	    json_array_size(json_object_get(parsed, "items")), 0);
	assert_true(json_is_array(json_object_get(parsed, "items")));
}

static void assert_said(struct buf *said, const char *want)
{
	OWNED_STR(text) = buf_to_str(said);

	buf_free(said);
	assert_string_equal(text, want);
}

static void amounts_are_said_in_their_two_largest_parts(void **state)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} times[] = {{-5, "0 s"}, {0, "0 s"}, {59, "59 s"}, {60, "1 min"},
	    {125, "2 min 5 s"}, {3600, "1 h"}, {3661, "1 h 1 min"},
	    {86400 + 59, "1 d"}, {3 * 86400 + 4 * 3600 + 5, "3 d 4 h"},
	    {400 * 86400, "1 y 35 d"}};
	static const struct {
		uint64_t octets;
		const char *want;
	} sizes[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1 KiB"},
	    {1536, "1.5 KiB"}, {10 * 1024 + 1000, "10 KiB"},
	    {UINT64_C(64) << 30, "64 GiB"}, {UINT64_MAX, "16383 PiB"}};
	OWNED_BUF(said);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		human_seconds(times[i].seconds, &said);
		assert_said(&said, times[i].want);
	}
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		human_octets(sizes[i].octets, &said);
		assert_said(&said, sizes[i].want);
	}
}

static void moments_are_said_with_how_far_they_are(void **state)
{
	const int64_t now = 1795554643;	/* 2026-11-24T21:10:43Z */
	OWNED_BUF(said);

	(void)state;
	human_time("2026-11-24T21:12:43Z", now, &said);
	assert_said(&said, "2026-11-24 21:12:43 UTC (in 2 min)");
	human_time("2026-11-24T20:10:43Z", now, &said);
	assert_said(&said, "2026-11-24 20:10:43 UTC (1 h ago)");
	human_time("never", now, &said);
	assert_said(&said, "never");
}

static void what_is_absent_or_empty_is_said_in_words(void **state)
{
	OWNED_JSON(json) = parse("{\"a\":[],\"b\":[\"x\"],\"c\":\"d\"}");
	OWNED_BUF(text);

	(void)state;
	human_put_absent(json, "a", "all");
	human_put_absent(json, "b", "all");
	human_put_absent(json, "c", "all");
	human_put_absent(json, "e", "none");
	json_put(&text, json);
	assert_said(&text, "{\"a\":\"all\",\"b\":[\"x\"],\"c\":\"d\","
			   "\"e\":\"none\"}");
}

static void text_from_outside_cannot_move_the_cursor(void **state)
{
	OWNED_STR(errors) = NULL;
	OWNED_STR(text) = list("[{\"name\":\"a\\u001b[2J\\n\\u007f\\u009b1m\","
			       "\"no\":1,\"dns\":[\"\\r\",{\"a\":\"\\u009b2m\"}]}]",
	    false, &errors);

	(void)state;
	assert_has(text, "a\\x1b[2J\\x0a\\x7f\\x9b1m");
	assert_has(text, "\\x0d,{\"a\":\"\\x9b2m\"}\n");
	assert_lacks(text, "\x1b");
	assert_lacks(text, "\xc2\x9b");
}

static void object_shows_what_it_has(void **state)
{
	OWNED_JSON(object) =
	    parse("{\"no\":false,\"name\":\"a\",\"other\":1}");
	struct capture one = capture_begin(1);

	(void)state;
	output_object(object, columns, false);
	OWNED_STR(text) = capture_end(&one);
	assert_string_equal(text, "NAME: a\nNO:   no\n");
	one = capture_begin(1);
	output_object(object, columns, true);
	OWNED_STR(json) = capture_end(&one);
	OWNED_JSON(parsed) = parse(json);
	assert_true(json_equal(parsed, object));
}

static void text_keeps_its_lines_and_nothing_else(void **state)
{
	struct capture one = capture_begin(1);

	(void)state;
	output_text("a\nb\x1b\tc\n");
	output_text(NULL);
	OWNED_STR(text) = capture_end(&one);
	assert_string_equal(text, "a\nb\\x1b\\x09c\n");
}

static void each_error_has_its_exit_code(void **state)
{
	static const struct {
		enum err_code code;
		int exit;
	} map[] = {
	    {ERR_OK, 0},
	    {ERR_USAGE, 2},
	    {ERR_OVERLOADED, 3},
	    {ERR_DEADLINE, 3},
	    {ERR_STOPPING, 3},
	    {ERR_HSM_UNAVAILABLE, 3},
	    {ERR_UNREACHABLE, 3},
	    {ERR_BAD_FIELD, 2},
	    {ERR_POLICY, 4},
	    {ERR_FORBIDDEN, 4},
	    {ERR_UNAUTHENTICATED, 4},
	    {ERR_QUARANTINED, 4},
	    {ERR_RATE_LIMITED, 3},
	    {ERR_AWAITING, 5},
	    {ERR_CONFIG, 6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		assert_int_equal(exit_for(map[i].code), map[i].exit);
	for (int code = ERR_OK; code <= ERR_INTERNAL; code++) {
		bool special = false;
		for (size_t i = 0; i < ARRAY_LEN(map); i++)
			special |= map[i].code == (enum err_code)code;
		if (!special)
			assert_int_equal(exit_for((enum err_code)code), 1);
	}
}

static void failure_is_told_on_standard_error_in_one_line(void **state)
{
	struct err err = {0};
	struct capture two = capture_begin(2);
	struct capture one = capture_begin(1);

	(void)state;
	(void)err_refuse(&err, ERR_POLICY, "no\x1b[31m\nsecond line");
	int code = exit_with("prog", &err);
	OWNED_STR(text) = capture_end(&one);
	OWNED_STR(errors) = capture_end(&two);
	assert_int_equal(code, 4);
	assert_string_equal(text, "");
	assert_string_equal(errors,
	    "prog: Refused by policy: no\\x1b[31m\\x0asecond line\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(list_stands_in_columns),
	    cmocka_unit_test(list_that_is_empty_is_no_data),
	    cmocka_unit_test(text_from_outside_cannot_move_the_cursor),
	    cmocka_unit_test(amounts_are_said_in_their_two_largest_parts),
	    cmocka_unit_test(moments_are_said_with_how_far_they_are),
	    cmocka_unit_test(what_is_absent_or_empty_is_said_in_words),
	    cmocka_unit_test(object_shows_what_it_has),
	    cmocka_unit_test(text_keeps_its_lines_and_nothing_else),
	    cmocka_unit_test(each_error_has_its_exit_code),
	    cmocka_unit_test(failure_is_told_on_standard_error_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
