// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <inttypes.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

void json_owned_cleanup(json_t **json)
{
	json_decref(*json);
}

/* jansson never reallocates: what grows is copied and the old freed. */
static void wipe_and_free(void *memory)
{
	if (memory != NULL)
		OPENSSL_cleanse(memory, malloc_usable_size(memory));
	free(memory);
}

void json_wipe_freed(void)
{
	json_set_alloc_funcs(malloc, wipe_and_free);
}

/* The depth is looked at before jansson builds anything, for its own bound is
 * 2,048.  Returns the offset of the bracket that is too deep, or the length. */
static size_t too_deep_at(struct bytes text)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if ((c == '[' || c == '{') && ++depth > JSON_MAX_DEPTH)
			return i;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return text.len;
}

static enum err_code check_depth(struct bytes text, struct err *err)
{
	size_t at = too_deep_at(text), line = 1, column = 1;

	if (at == text.len)
		return ERR_OK;
	for (size_t i = 0; i < at; i++) {
		column = text.data[i] == '\n' ? 1 : column + 1;
		line += text.data[i] == '\n';
	}
	return err_refuse(err, ERR_BAD_REQUEST,
	    "line %zu, column %zu: JSON nested deeper than %d levels", line,
	    column, JSON_MAX_DEPTH);
}

enum err_code json_parse(struct bytes text, json_t **json_out, struct err *err)
{
	json_error_t why;
	json_t *json;
	enum err_code code = check_depth(text, err);

	if (code != ERR_OK)
		return code;
	/* jansson takes NULL for a wrong call, not for an empty text. */
	json = json_loadb(text.len == 0 ? "" : (const char *)text.data,
	    text.len, JSON_REJECT_DUPLICATES, &why);
	if (json != NULL) {
		*json_out = json;
		return ERR_OK;
	}
	if (json_error_code(&why) == json_error_null_character ||
	    json_error_code(&why) == json_error_null_byte_in_key)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "line %d, column %d: a string holds the character NUL "
		    "(\\u0000), which no field takes",
		    why.line, why.column);
	return err_refuse(err, ERR_BAD_REQUEST,
	    "line %d, column %d: not valid JSON: %s", why.line, why.column,
	    err_quote_str(why.text));
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	abort();
}

static const char *kind_name(enum json_kind kind)
{
	switch (kind) {
	case JSON_KIND_STR:
		return "a string";
	case JSON_KIND_INT:
		return "an integer";
	case JSON_KIND_BOOL:
		return "true or false";
	case JSON_KIND_ARRAY:
		return "an array";
	case JSON_KIND_OBJECT:
		return "an object";
	}
	abort();
}

static bool is_kind(const json_t *value, enum json_kind kind)
{
	switch (kind) {
	case JSON_KIND_STR:
		return json_is_string(value);
	case JSON_KIND_INT:
		return json_is_integer(value);
	case JSON_KIND_BOOL:
		return json_is_boolean(value);
	case JSON_KIND_ARRAY:
		return json_is_array(value);
	case JSON_KIND_OBJECT:
		return json_is_object(value);
	}
	abort();
}

static enum err_code check_range(const struct json_field *field, int64_t have,
    const char *unit, struct err *err)
{
	if (have >= field->min && have <= field->max)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "%s: %" PRId64 "%s; want %" PRId64 " to %" PRId64, field->name,
	    have, unit, field->min, field->max);
}

static enum err_code take_string(
    const json_t *value, const struct json_field *field, struct err *err)
{
	const char *str = json_string_value(value);
	size_t len = json_string_length(value);
	enum err_code code;

	if (memchr(str, 0, len) != NULL)
		return err_refuse(err, ERR_BAD_FIELD,
		    "%s: holds a NUL character", field->name);
	code = check_range(field, (int64_t)len, " octets", err);
	if (code == ERR_OK)
		*(const char **)field->out = str;
	return code;
}

static enum err_code take_integer(
    const json_t *value, const struct json_field *field, struct err *err)
{
	int64_t number = json_integer_value(value);
	enum err_code code = check_range(field, number, "", err);

	if (code == ERR_OK)
		*(int64_t *)field->out = number;
	return code;
}

static enum err_code take_value(
    json_t *value, const struct json_field *field, struct err *err)
{
	enum err_code code = ERR_OK;

	if (!is_kind(value, field->kind))
		return err_refuse(err, ERR_BAD_FIELD, "%s: is %s; want %s",
		    field->name, type_name(value), kind_name(field->kind));
	switch (field->kind) {
	case JSON_KIND_STR:
		return take_string(value, field, err);
	case JSON_KIND_INT:
		return take_integer(value, field, err);
	case JSON_KIND_BOOL:
		*(bool *)field->out = json_is_true(value);
		return ERR_OK;
	case JSON_KIND_ARRAY:
		code = check_range(
		    field, (int64_t)json_array_size(value), " items", err);
		break;
	case JSON_KIND_OBJECT:
		if (field->max > 0)
			code = check_range(field,
			    (int64_t)json_object_size(value), " members", err);
		break;
	}
	if (code == ERR_OK)
		*(json_t **)field->out = value;
	return code;
}

static enum err_code refuse_unknown(const char *key,
    const struct json_field *fields, size_t count, struct err *err)
{
	OWNED_BUF(known);

	for (size_t i = 0; i < count; i++)
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", fields[i].name);
	buf_put_u8(&known, 0);
	return err_refuse(err, ERR_BAD_FIELD, "%s: unknown field; known: %s",
	    err_quote_str(key), (const char *)known.data);
}

static const struct json_field *find_field(
    const char *key, const struct json_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(key, fields[i].name) == 0)
			return &fields[i];
	}
	return NULL;
}

enum err_code json_read(json_t *object, const struct json_field *fields,
    size_t count, struct err *err)
{
	const char *key;
	json_t *value;
	enum err_code code;

	if (!json_is_object(object))
		return err_refuse(err, ERR_BAD_FIELD, "want an object, found %s",
		    object == NULL ? "nothing" : type_name(object));
	json_object_foreach(object, key, value) {
		const struct json_field *field = find_field(key, fields, count);

		if (field == NULL)
			return refuse_unknown(key, fields, count, err);
		if (json_is_null(value))
			continue;
		code = take_value(value, field, err);
		if (code != ERR_OK)
			return code;
	}
	for (size_t i = 0; i < count; i++) {
		value = json_object_get(object, fields[i].name);
		if (fields[i].required && (value == NULL || json_is_null(value)))
			return err_refuse(err, ERR_BAD_FIELD,
			    "%s: required; want %s", fields[i].name,
			    kind_name(fields[i].kind));
	}
	return ERR_OK;
}

static int append(const char *text, size_t len, void *out)
{
	buf_put(out, text, len);
	return 0;
}

void json_put(struct buf *out, const json_t *json)
{
	/* Fails only for a value that is no JSON: a programming error. */
	if (json_dump_callback(
		json, append, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		abort();
}

void json_put_canonical(struct buf *out, const json_t *json)
{
	if (json_dump_callback(json, append, out,
		JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) != 0)
		abort();
}

void json_put_indented(struct buf *out, const json_t *json)
{
	if (json_dump_callback(
		json, append, out, JSON_INDENT(2) | JSON_ENCODE_ANY) != 0)
		abort();
}
