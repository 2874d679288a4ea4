// SPDX-License-Identifier: Apache-2.0
#include "api/body.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"

#define TEXT_MAX 253
#define PAGE_DEFAULT 100

enum err_code body_read(const struct exchange *x,
    const struct json_field *fields, size_t count, json_t **json_out,
    struct err *err)
{
	struct bytes text = buf_bytes(&x->body);
	if (text.len == 0)
		text = BYTES_STR("{}");
	OWNED_JSON(json) = NULL;
	enum err_code code = json_parse(text, &json, err);
	if (code != ERR_OK)
		return code;
	if (!json_is_object(json))
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The body is to be a JSON object");
	code = json_read(json, fields, count, err);
	if (code != ERR_OK)
		return code;
	*json_out = GIVE(json);
	return ERR_OK;
}

void texts_free(struct texts *texts)
{
	free(texts->items);
	*texts = (struct texts){NULL, 0};
}

static enum err_code check_text(
    const json_t *item, const char *field, struct err *err)
{
	if (!json_is_string(item))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"%s\" is to be an array of strings", field);
	size_t len = json_string_length(item);
	const char *text = json_string_value(item);
	if (len == 0 || len > TEXT_MAX || memchr(text, '\0', len) != NULL)
		return err_refuse(err, ERR_BAD_FIELD,
		    "A string of field \"%s\" has %zu octets or a NUL; "
		    "wanted are 1 to %d octets", field, len, TEXT_MAX);
	return ERR_OK;
}

enum err_code body_texts(json_t *array, const char *field, size_t max,
    struct texts *texts_out, struct err *err)
{
	OWNED_TEXTS(texts);
	size_t count = json_array_size(array);
	if (count > max)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"%s\" has %zu strings; at most %zu are taken",
		    field, count, max);
	texts.items = mem_zalloc_array(count + 1, sizeof(*texts.items));
	for (; texts.count < count; texts.count++) {
		const json_t *item = json_array_get(array, texts.count);
		enum err_code code = check_text(item, field, err);
		if (code != ERR_OK)
			return code;
		texts.items[texts.count] = json_string_value(item);
	}
	*texts_out = texts;
	texts = (struct texts){NULL, 0};
	return ERR_OK;
}

enum err_code body_duration(const char *text, const char *field,
    int64_t *seconds_out, struct err *err)
{
	*seconds_out = 0;
	if (text == NULL)
		return ERR_OK;
	if (!duration_parse(text, seconds_out) || *seconds_out < 1)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"%s\" is \"%s\"; wanted is a duration such as "
		    "\"90s\", \"1h\" or \"30d\"", field, err_quote_str(text));
	return ERR_OK;
}

/* Decimal digits alone. */
static bool parse_limit(const char *text, size_t *limit_out)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 4 || text[len] != '\0')
		return false;
	*limit_out = strtoul(text, NULL, 10);
	return *limit_out >= 1 && *limit_out <= PAGE_MAX;
}

enum err_code page_read(
    const struct exchange *x, struct page *page_out, struct err *err)
{
	const char *limit = target_query(&x->target, "limit");
	page_out->cursor = target_query(&x->target, "cursor");
	/* That of a client at its first page. */
	if (page_out->cursor != NULL && page_out->cursor[0] == '\0')
		page_out->cursor = NULL;
	page_out->limit = PAGE_DEFAULT;
	if (limit != NULL && !parse_limit(limit, &page_out->limit))
		return err_refuse(err, ERR_BAD_FIELD,
		    "limit is \"%s\"; wanted is a number from 1 to %d",
		    err_quote_str(limit), PAGE_MAX);
	return ERR_OK;
}

enum err_code page_cursor_octets(const struct page *page, size_t size,
    uint8_t *octets, struct err *err)
{
	if (strlen(page->cursor) == 2 * size &&
	    hex_parse(page->cursor, octets, size))
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "cursor is none that this list gave as \"next\"");
}
