// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_json(const json_t *json)
{
	OWNED_BUF(text);

	json_put_indented(&text, json);
	fwrite(text.data, 1, text.len, stdout);
	putchar('\n');
}

/* The next character of *TEXT, escaped where it controls, and *TEXT moved on. */
static void put_char(struct buf *out, const char **text)
{
	const unsigned char *c = (const unsigned char *)*text;
	/* C1 controls: two octets in UTF-8. */
	bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

	*text += c1 ? 2 : 1;
	if (c1)
		buf_printf(out, "\\x%02x", c[1]);
	else if (c[0] < 0x20 || c[0] == 0x7f)
		buf_printf(out, "\\x%02x", c[0]);
	else
		buf_put_u8(out, c[0]);
}

void output_escape(struct buf *out, const char *text)
{
	while (*text != '\0')
		put_char(out, &text);
}

void output_text(const char *text)
{
	OWNED_BUF(out);

	while (text != NULL && *text != '\0')
		if (*text == '\n')
			buf_put_u8(&out, (uint8_t)*text++);
		else
			put_char(&out, &text);
	if (out.len > 0)
		fwrite(out.data, 1, out.len, stdout);
}

/* JSON escapes control characters, but not those beyond ASCII. */
static void put_object(struct buf *out, const json_t *value)
{
	OWNED_BUF(text);

	json_put(&text, value);
	buf_put_u8(&text, 0);
	output_escape(out, (const char *)text.data);
}

/* A value as people read it: lists joined by commas, absence as a dash. */
static void put_value(struct buf *out, const json_t *value)
{
	size_t index;
	json_t *item;

	switch (json_typeof(value)) {
	case JSON_STRING:
		output_escape(out, json_string_value(value));
		break;
	case JSON_INTEGER:
		buf_printf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_TRUE:
		buf_put_str(out, "yes");
		break;
	case JSON_FALSE:
		buf_put_str(out, "no");
		break;
	case JSON_ARRAY:
		if (json_array_size(value) == 0)
			buf_put_str(out, "-");
		json_array_foreach(value, index, item)
		{
			buf_put_str(out, index == 0 ? "" : ",");
			put_value(out, item);
		}
		break;
	case JSON_OBJECT:
		put_object(out, value);
		break;
	case JSON_NULL:
	case JSON_REAL:
		buf_put_str(out, "-");
		break;
	}
}

static char *field_text(const json_t *object, const char *field)
{
	OWNED_BUF(text);
	const json_t *value = json_object_get(object, field);

	if (value == NULL)
		buf_put_str(&text, "-");
	else
		put_value(&text, value);
	return buf_to_str(&text);
}

/* Characters, not octets: what follows stands in line. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static size_t column_width(const json_t *items, const struct column *column)
{
	size_t width = strlen(column->title);
	size_t index;
	json_t *item;

	json_array_foreach(items, index, item)
	{
		OWNED_STR(text) = field_text(item, column->field);
		if (width_of(text) > width)
			width = width_of(text);
	}
	return width;
}

static void print_row(
    const json_t *item, const struct column *columns, const size_t *widths)
{
	for (size_t i = 0; columns[i].title != NULL; i++) {
		OWNED_STR(text) = item == NULL
				      ? mem_strdup(columns[i].title)
				      : field_text(item, columns[i].field);
		if (columns[i + 1].title == NULL)
			printf("%s\n", text);
		else
			printf("%s%*s  ", text,
			    (int)(widths[i] - width_of(text)), "");
	}
}

void output_list(json_t *items, const struct column *columns, const char *empty,
    bool as_json)
{
	size_t widths[OUTPUT_COLUMNS_MAX] = {0};
	size_t index;
	json_t *item;

	if (as_json) {
		OWNED_JSON(list) = json_object();
		json_object_set(list, "items", items);
		print_json(list);
		return;
	}
	if (json_array_size(items) == 0) {
		fprintf(stderr, "%s\n", empty);
		return;
	}
	for (size_t i = 0; columns[i].title != NULL; i++) {
		if (i == OUTPUT_COLUMNS_MAX)
			abort();
		widths[i] = column_width(items, &columns[i]);
	}
	print_row(NULL, columns, widths);
	json_array_foreach(items, index, item) print_row(item, columns, widths);
}

void output_object(
    const json_t *object, const struct column *columns, bool as_json)
{
	size_t width = 0;

	if (as_json) {
		print_json(object);
		return;
	}
	for (size_t i = 0; columns[i].title != NULL; i++)
		if (json_object_get(object, columns[i].field) != NULL &&
		    strlen(columns[i].title) > width)
			width = strlen(columns[i].title);
	for (size_t i = 0; columns[i].title != NULL; i++) {
		if (json_object_get(object, columns[i].field) == NULL)
			continue;
		OWNED_STR(text) = field_text(object, columns[i].field);
		printf("%s:%*s %s\n", columns[i].title,
		    (int)(width - strlen(columns[i].title)), "", text);
	}
}
