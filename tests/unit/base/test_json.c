// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include "base/json.h"

static void json_text_comes_back_compact_and_in_order(void **state)
{
	const char *const texts[] = {"{\"b\":1,\"a\":[true,null,\"x\"]}", "[]",
	    "[[[[[[[[1]]]]]]]]", "{\"a\":\"[[[[[[[[[{{{{{{{{{\\\"[[\"}"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		OWNED_JSON(json) = NULL;
		OWNED_BUF(out);

		assert_ok(json_parse(BYTES_STR(texts[i]), &json, &err));
		json_put(&out, json);
		assert_true(bytes_equal(buf_bytes(&out), BYTES_STR(texts[i])));
	}
}

static void equal_objects_have_one_canonical_text(void **state)
{
	const char *const texts[] = {
	    "{\"b\":{\"d\":1,\"c\":[2,1]},\"a\":\"\\u00e9\"}",
	    " { \"a\" : \"\u00e9\", \"b\": {\"c\":[2, 1],\"d\": 1}}"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		OWNED_JSON(json) = NULL;
		OWNED_BUF(out);

		assert_ok(json_parse(BYTES_STR(texts[i]), &json, &err));
		json_put_canonical(&out, json);
		assert_true(bytes_equal(buf_bytes(&out),
		    BYTES_STR("{\"a\":\"\u00e9\","
			      "\"b\":{\"c\":[2,1],\"d\":1}}")));
	}
}

static void json_that_is_not_strict_is_refused(void **state)
{
	const struct {
		struct bytes text;
		const char *why;
	} bad[] = {
	    {BYTES_STR(""), "line 1"},
	    {BYTES(NULL, 0), "line 1"},
	    {BYTES_STR("{"), "not valid JSON"},
	    {BYTES_STR("{}{}"), "end of file expected"},
	    {BYTES_STR("{\"a\":1,\n\"a\":2}"), "line 2, column 3"},
	    {BYTES_STR("{\"a\":1,\"a\":2}"), "duplicate"},
	    {BYTES_STR("{\"a\":1,\"\\u0061\":2}"), "duplicate"},
	    {BYTES_STR("{'a':1}"), "not valid JSON"},
	    {BYTES_STR("{\"a\":1,}"), "not valid JSON"},
	    {BYTES_STR("{\"a\":01}"), "not valid JSON"},
	    {BYTES_STR("{\"a\":NaN}"), "not valid JSON"},
	    {BYTES_STR("{\"a\":99999999999999999999}"), "too big"},
	    {BYTES_STR("{\"a\":\"\xff\"}"), "not valid JSON"},
	    {BYTES_STR("{\"a\":\"\\u0000\"}"), "NUL"},
	    {BYTES("{\"a\":\"x\0y\"}", 11), "not valid JSON"},
	    {BYTES_STR("\"text\""), "not valid JSON"},
	    {BYTES_STR("[[[[[[[[[1]]]]]]]]]"), "column 9"},
	    {BYTES_STR("{\"a\":\n[[[[[[[[1]]]]]]]]}"), "line 2, column 8"},
	    {BYTES_STR("[[[[[[[[["), "deeper than 8"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		OWNED_JSON(json) = NULL;

		assert_refused(json_parse(bad[i].text, &json, &err),
		    ERR_BAD_REQUEST, bad[i].why);
		assert_null(json);
	}
}

struct request {
	const char *name;
	int64_t count;
	bool flag;
	json_t *list;
	json_t *map;
};

static enum err_code read_request(
    const char *text, struct request *request, json_t **json, struct err *err)
{
	const struct json_field fields[] = {
	    {"name", JSON_KIND_STR, true, 1, 5, &request->name},
	    {"count", JSON_KIND_INT, false, 0, 10, &request->count},
	    {"flag", JSON_KIND_BOOL, false, 0, 0, &request->flag},
	    {"list", JSON_KIND_ARRAY, false, 1, 2, &request->list},
	    {"map", JSON_KIND_OBJECT, false, 0, 1, &request->map},
	};

	assert_int_equal(json_parse(BYTES_STR(text), json, err), ERR_OK);
	return json_read(*json, fields, ARRAY_LEN(fields), err);
}

static void json_object_is_read_by_its_table(void **state)
{
	struct request request = {.count = 3};
	OWNED_JSON(json) = NULL;
	struct err err;

	(void)state;
	assert_ok(read_request("{\"name\":\"abcde\",\"count\":10,\"flag\":true,"
			       "\"list\":[1],\"map\":{\"a\":1}}",
	    &request, &json, &err));
	assert_string_equal(request.name, "abcde");
	assert_int_equal(request.count, 10);
	assert_true(request.flag);
	assert_int_equal(json_array_size(request.list), 1);
	assert_int_equal(json_object_size(request.map), 1);
}

static void json_absent_and_null_leave_the_default(void **state)
{
	struct request request = {.count = 3, .flag = true};
	OWNED_JSON(json) = NULL;
	struct err err;

	(void)state;
	assert_ok(read_request("{\"name\":\"a\",\"count\":null}", &request,
	    &json, &err));
	assert_int_equal(request.count, 3);
	assert_true(request.flag);
	assert_null(request.list);
}

static void json_wrong_field_is_refused_by_name(void **state)
{
	const char *const bad[][2] = {
	    {"{}", "name: required; want a string"},
	    {"{\"name\":null}", "name: required"},
	    {"{\"name\":1}", "name: is an integer; want a string"},
	    {"{\"name\":\"\"}", "name: 0 octets; want 1 to 5"},
	    {"{\"name\":\"abcdef\"}", "name: 6 octets; want 1 to 5"},
	    {"{\"name\":\"a\",\"count\":11}", "count: 11; want 0 to 10"},
	    {"{\"name\":\"a\",\"count\":-1}", "count: -1"},
	    {"{\"name\":\"a\",\"count\":1.0}", "fraction"},
	    {"{\"name\":\"a\",\"count\":\"1\"}", "is a string; want an integer"},
	    {"{\"name\":\"a\",\"flag\":1}", "want true or false"},
	    {"{\"name\":\"a\",\"list\":[]}", "list: 0 items"},
	    {"{\"name\":\"a\",\"list\":[1,2,3]}", "list: 3 items"},
	    {"{\"name\":\"a\",\"list\":{}}", "is an object; want an array"},
	    {"{\"name\":\"a\",\"map\":[]}", "is an array; want an object"},
	    {"{\"name\":\"a\",\"map\":{\"a\":1,\"b\":2}}", "map: 2 members"},
	    {"{\"name\":\"a\",\"map\":true}", "is a boolean"},
	    {"{\"nam\\n\":1}",
		"nam\\x0a: unknown field; known: name, count, flag, list, map"},
	    {"[1]", "want an object, found an array"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct request request = {0};
		OWNED_JSON(json) = NULL;

		assert_refused(read_request(bad[i][0], &request, &json, &err),
		    ERR_BAD_FIELD, bad[i][1]);
	}
	assert_refused(
	    json_read(NULL, NULL, 0, &err), ERR_BAD_FIELD, "found nothing");
}

static void json_string_with_nul_is_refused(void **state)
{
	OWNED_JSON(json) = json_object();
	const char *text = NULL;
	const struct json_field field = {"a", JSON_KIND_STR, true, 0, 9, &text};
	struct err err;

	(void)state;
	json_object_set_new(json, "a", json_stringn("x\0y", 3));
	assert_refused(json_read(json, &field, 1, &err), ERR_BAD_FIELD, "NUL");
	assert_null(text);
}

static void json_indented_is_for_people(void **state)
{
	OWNED_JSON(json) = json_pack("{s:i}", "a", 1);
	OWNED_BUF(out);

	(void)state;
	json_put_indented(&out, json);
	assert_true(
	    bytes_equal(buf_bytes(&out), BYTES_STR("{\n  \"a\": 1\n}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(json_text_comes_back_compact_and_in_order),
	    cmocka_unit_test(equal_objects_have_one_canonical_text),
	    cmocka_unit_test(json_that_is_not_strict_is_refused),
	    cmocka_unit_test(json_object_is_read_by_its_table),
	    cmocka_unit_test(json_absent_and_null_leave_the_default),
	    cmocka_unit_test(json_wrong_field_is_refused_by_name),
	    cmocka_unit_test(json_string_with_nul_is_refused),
	    cmocka_unit_test(json_indented_is_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
