// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include "api/httpdate.h"
#include "api/reply.h"

static const enum err_code every_code[] = {
#define ERR(code, class, slug, title) ERR_##code,
#include "base/err.def"
#undef ERR
};

static json_t *problem_of(struct reply *reply, const struct err *err)
{
	reply_problem(reply, err, "00112233aabbccdd");
	json_t *json = json_loadb((const char *)reply->body.data,
	    reply->body.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void each_error_becomes_a_problem_with_its_code_and_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(every_code); i++) {
		struct reply reply = {0};
		struct err err = {.code = every_code[i],
		    .detail = "what to mend",
		    .cause = "SECRET CAUSE"};
		json_t *json = problem_of(&reply, &err);
		assert_string_equal(text_of(json, "code"), err_slug(err.code));
		assert_string_equal(
		    text_of(json, "title"), err_title(err.code));
		assert_string_equal(text_of(json, "type"), "about:blank");
		assert_string_equal(
		    text_of(json, "request_id"), "00112233aabbccdd");
		assert_int_equal(
		    json_integer_value(json_object_get(json, "status")),
		    reply.status);
		assert_int_equal(reply.status, reply_status(err.code));
		assert_string_equal(reply.type, "application/problem+json");
		/* Waiting for approval is no error: its answer is a 202. */
		if (err.code == ERR_AWAITING)
			assert_int_equal(reply.status, 202);
		else
			assert_true(reply.status >= 400 && reply.status < 600);
		json_decref(json);
		reply_reset(&reply);
	}
}

static void a_fault_shows_neither_cause_nor_detail_and_a_refusal_its_detail(
    void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(every_code); i++) {
		struct reply reply = {0};
		struct err err = {.code = every_code[i],
		    .detail = "what to mend",
		    .cause = "SECRET CAUSE"};
		json_t *json = problem_of(&reply, &err);
		char *body = json_dumps(json, 0);
		assert_null(strstr(body, "SECRET"));
		assert_int_equal(
		    strcmp(text_of(json, "detail"), "what to mend") == 0,
		    reply.status < 500);
		free(body);
		json_decref(json);
		reply_reset(&reply);
	}
}

static void statuses_are_those_that_the_interface_promises(void **state)
{
	static const struct {
		enum err_code code;
		unsigned status;
	} cases[] = {
	    {ERR_BAD_REQUEST, 400},
	    {ERR_BAD_FIELD, 400},
	    {ERR_BAD_CSR, 400},
	    {ERR_BAD_KEY, 400},
	    {ERR_UNWRAP, 400},
	    {ERR_UNAUTHENTICATED, 401},
	    {ERR_FORBIDDEN, 403},
	    {ERR_POLICY, 403},
	    {ERR_NOT_FOUND, 404},
	    {ERR_BAD_METHOD, 405},
	    {ERR_CONFLICT, 409},
	    {ERR_EXISTS, 409},
	    {ERR_KEY_DISABLED, 409},
	    {ERR_TOO_LARGE, 413},
	    {ERR_BAD_MEDIA, 415},
	    {ERR_INTERNAL, 500},
	    {ERR_STORE, 500},
	    {ERR_CORRUPT, 500},
	    {ERR_CONFIG, 500},
	    {ERR_OVERLOADED, 503},
	    {ERR_HSM_UNAVAILABLE, 503},
	    {ERR_STORE_FULL, 503},
	    {ERR_STOPPING, 503},
	    {ERR_DEADLINE, 503},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(reply_status(cases[i].code), cases[i].status);
}

static void what_is_temporary_says_when_to_come_back_and_nothing_else_does(
    void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(every_code); i++) {
		struct reply reply = {0};
		struct err err = {.code = every_code[i]};
		json_decref(problem_of(&reply, &err));
		assert_int_equal(reply.retry_after > 0, reply.status == 503);
		assert_int_equal(reply.challenge, reply.status == 401);
		reply_reset(&reply);
	}
}

static void a_detail_that_is_not_utf_8_is_still_valid_json(void **state)
{
	struct reply reply = {0};
	struct err err = {.code = ERR_BAD_FIELD, .detail = "x\xff\"\n"};
	json_t *json = problem_of(&reply, &err);
	(void)state;
	assert_non_null(strchr(text_of(json, "detail"), 'x'));
	json_decref(json);
	reply_reset(&reply);
}

static void a_problem_keeps_the_allowed_methods_and_the_close(void **state)
{
	struct reply reply = {.allow = "GET", .close = true};
	struct err err = {.code = ERR_BAD_METHOD};
	(void)state;
	json_decref(problem_of(&reply, &err));
	assert_string_equal(reply.allow, "GET");
	assert_true(reply.close);
	reply_reset(&reply);
}

static void a_date_is_written_and_read_as_http_has_it(void **state)
{
	char text[HTTP_DATE_SIZE];
	int64_t seconds = 0;
	(void)state;
	assert_string_equal(
	    http_date_format(784111777, text), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_true(http_date_parse(text, &seconds));
	assert_int_equal(seconds, 784111777);
	assert_false(http_date_parse("yesterday", &seconds));
	assert_false(http_date_parse("", &seconds));
	assert_false(
	    http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT+1", &seconds));
}

static void an_etag_is_found_in_a_list_whole(void **state)
{
	(void)state;
	assert_true(http_etag_in("\"abc\"", "\"abc\""));
	assert_true(http_etag_in("\"x\", W/\"abc\" ,\"y\"", "\"abc\""));
	assert_true(http_etag_in("*", "\"abc\""));
	assert_false(http_etag_in("", "\"abc\""));
	assert_false(http_etag_in("\"abcd\"", "\"abc\""));
	assert_false(http_etag_in("\"ab", "\"abc\""));
	assert_false(http_etag_in("abc", "\"abc\""));
	assert_false(http_etag_in("\"abc\"x", "\"abc\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		each_error_becomes_a_problem_with_its_code_and_status),
	    cmocka_unit_test(
		a_fault_shows_neither_cause_nor_detail_and_a_refusal_its_detail),
	    cmocka_unit_test(statuses_are_those_that_the_interface_promises),
	    cmocka_unit_test(
		what_is_temporary_says_when_to_come_back_and_nothing_else_does),
	    cmocka_unit_test(a_detail_that_is_not_utf_8_is_still_valid_json),
	    cmocka_unit_test(a_problem_keeps_the_allowed_methods_and_the_close),
	    cmocka_unit_test(a_date_is_written_and_read_as_http_has_it),
	    cmocka_unit_test(an_etag_is_found_in_a_list_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
