// SPDX-License-Identifier: Apache-2.0
/*
 * JSON of requests: what is accepted means the same when written and read
 * again, keeps the bounds of its fields, and what is refused is refused in words.
 */
#include "tests/fuzz/fuzz.h"

#include "api/body.h"

/* One field of each kind. */
struct fields {
	const char *name;
	int64_t number;
	bool flag;
	json_t *list, *object;
};

static enum err_code read_body(
    struct exchange *x, struct fields *out, json_t **json_out, struct err *err)
{
	const struct json_field fields[] = {
		{"name", JSON_KIND_STR, true, 1, 63, &out->name},
		{"number", JSON_KIND_INT, false, 1, 1000, &out->number},
		{"flag", JSON_KIND_BOOL, false, 0, 0, &out->flag},
		{"list", JSON_KIND_ARRAY, false, 0, 16, &out->list},
		{"object", JSON_KIND_OBJECT, false, 0, 16, &out->object},
	};

	return body_read(x, fields, ARRAY_LEN(fields), json_out, err);
}

static void check_fields(const struct fields *fields)
{
	OWNED_TEXTS(texts);
	struct err err = {0};
	enum err_code code;
	int64_t seconds;

	must(strlen(fields->name) >= 1 && strlen(fields->name) <= 63);
	must(fields->number >= 0 && fields->number <= 1000);
	must(json_array_size(fields->list) <= 16);
	must(json_object_size(fields->object) <= 16);
	code = body_texts(fields->list, "list", 8, &texts, &err);
	if (code == ERR_OK)
		must(texts.count <= 8);
	else
		must_tell(code, &err);
	code = body_duration(fields->name, "name", &seconds, &err);
	if (code == ERR_OK)
		must(seconds >= 1);
	else
		must_tell(code, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exchange x = {.body = BUF_INIT};
	struct fields fields = {0};
	OWNED_JSON(json) = NULL;
	OWNED_JSON(again) = NULL;
	OWNED_BUF(text);
	struct err err = {0};
	enum err_code code;

	buf_put(&x.body, data, size);
	code = read_body(&x, &fields, &json, &err);
	buf_free(&x.body);
	if (code != ERR_OK) {
		must_tell(code, &err);
		return 0;
	}
	check_fields(&fields);
	json_put(&text, json);
	must(json_parse(buf_bytes(&text), &again, &err) == ERR_OK);
	must(json_equal(json, again));
	return 0;
}
