// SPDX-License-Identifier: Apache-2.0
#include "base/yaml_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/yaml.h"

#define KEY_SIZE 256

/* A mapping or list that is open.  FIELD is the key whose value is awaited,
 * NULL while a key is. */
struct level {
	const cyaml_schema_value_t *schema;
	const cyaml_schema_field_t *field;
	uint64_t seen;		/* fields, by index */
	unsigned entry;		/* of a list, from 1 */
	unsigned line;
};

struct scan {
	const char *name;
	const cyaml_schema_value_t *schema;
	struct level levels[YAML_MAX_DEPTH];
	unsigned depth;
	unsigned line;		/* of the event at hand */
	unsigned documents;
	const char *wanted_key;	/* for yaml_line_of, else NULL */
	unsigned wanted_line;
};

/* "listen.api" or "tls.names[2]": the node that is awaited or at hand. */
static const char *key_of(const struct scan *scan, char key[static KEY_SIZE])
{
	size_t used = 0;

	key[0] = '\0';
	for (unsigned i = 0; i < scan->depth && used < KEY_SIZE; i++) {
		const struct level *level = &scan->levels[i];
		int len = 0;

		if (level->schema->type != CYAML_MAPPING)
			len = snprintf(key + used, KEY_SIZE - used, "[%u]",
			    level->entry);
		else if (level->field != NULL)
			len = snprintf(key + used, KEY_SIZE - used, "%s%s",
			    used == 0 ? "" : ".", level->field->key);
		used += (size_t)len;
	}
	return key;
}

PRINTF_LIKE(3, 4)
static enum err_code refuse(
    const struct scan *scan, struct err *err, const char *fmt, ...)
{
	char key[KEY_SIZE], what[KEY_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	key_of(scan, key);
	return err_refuse(err, ERR_CONFIG, "%s:%u: %s%s%s", scan->name,
	    scan->line, key, key[0] == '\0' ? "" : ": ", what);
}

static const char *kind_wanted(const cyaml_schema_value_t *schema)
{
	switch (schema->type) {
	case CYAML_INT:
	case CYAML_UINT:
		return "a whole number";
	case CYAML_BOOL:
		return "true or false";
	case CYAML_ENUM:
		return "one word";
	case CYAML_FLOAT:
		return "a number";
	case CYAML_STRING:
		return "a text";
	case CYAML_MAPPING:
		return "a mapping (KEY: VALUE lines)";
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
	case CYAML_FLAGS:
		return "a list";
	case CYAML_BITFIELD:
	case CYAML_IGNORE:
	case CYAML__TYPE_COUNT:
		break;
	}
	return "anything";
}

/* The events that may begin a value of the schema's type. */
static bool is_kind(const cyaml_schema_value_t *schema, yaml_event_type_t type)
{
	switch (schema->type) {
	case CYAML_INT:
	case CYAML_UINT:
	case CYAML_BOOL:
	case CYAML_ENUM:
	case CYAML_FLOAT:
	case CYAML_STRING:
		return type == YAML_SCALAR_EVENT;
	case CYAML_MAPPING:
		return type == YAML_MAPPING_START_EVENT;
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
	case CYAML_FLAGS:
		return type == YAML_SEQUENCE_START_EVENT;
	case CYAML_BITFIELD:
	case CYAML_IGNORE:
	case CYAML__TYPE_COUNT:
		break;
	}
	/* Shapes that this walk does not follow. */
	abort();
}

static struct bytes scalar_text(const yaml_event_t *event)
{
	return BYTES(event->data.scalar.value, event->data.scalar.length);
}

static const char *quote_scalar(const yaml_event_t *event)
{
	struct bytes text = scalar_text(event);

	return err_quote(text.data, text.len);
}

/* libcyaml would read 010 as eight and 0x1F as hex; people do not. */
static bool is_decimal(struct bytes text)
{
	size_t from = text.len > 0 && text.data[0] == '-' ? 1 : 0;

	if (text.len == from || (text.data[from] == '0' && text.len > from + 1))
		return false;
	for (size_t i = from; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	}
	return true;
}

static enum err_code check_scalar(const struct scan *scan,
    const cyaml_schema_value_t *schema, const yaml_event_t *event,
    struct err *err)
{
	struct bytes text = scalar_text(event);

	if (text.len > 0 && memchr(text.data, 0, text.len) != NULL)
		return refuse(scan, err, "holds a NUL character");
	/* libcyaml takes every word but a few for true. */
	if (schema->type == CYAML_BOOL &&
	    !bytes_equal(text, BYTES_STR("true")) &&
	    !bytes_equal(text, BYTES_STR("false")))
		return refuse(scan, err, "\"%s\" is not %s",
		    quote_scalar(event), kind_wanted(schema));
	if (schema->type != CYAML_INT && schema->type != CYAML_UINT)
		return ERR_OK;
	if (!is_decimal(text))
		return refuse(scan, err, "\"%s\" is not %s",
		    quote_scalar(event), kind_wanted(schema));
	if (schema->type == CYAML_UINT && text.data[0] == '-')
		return refuse(scan, err, "%s is negative", quote_scalar(event));
	return ERR_OK;
}

/* What the next node must be; counts the entry when it is one of a list. */
static const cyaml_schema_value_t *awaited(struct scan *scan)
{
	struct level *top;

	if (scan->depth == 0)
		return scan->schema;
	top = &scan->levels[scan->depth - 1];
	if (top->schema->type == CYAML_MAPPING)
		return &top->field->value;
	top->entry++;
	return top->schema->type == CYAML_FLAGS ? NULL
						: top->schema->sequence.entry;
}

static bool is_beyond_list(const struct scan *scan)
{
	const struct level *top;

	if (scan->depth == 0)
		return false;
	top = &scan->levels[scan->depth - 1];
	return top->schema->type != CYAML_MAPPING &&
	    top->schema->type != CYAML_FLAGS &&
	    top->entry > top->schema->sequence.max;
}

static const char *kind_found(const yaml_event_t *event)
{
	if (event->type == YAML_MAPPING_START_EVENT)
		return "a mapping";
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return "a list";
	return event->data.scalar.length == 0 ? "empty" : "a single value";
}

/* A value begins: a scalar is one event, the others open a level. */
static enum err_code scan_value(
    struct scan *scan, const yaml_event_t *event, struct err *err)
{
	const cyaml_schema_value_t *schema = awaited(scan);
	char key[KEY_SIZE];

	if (scan->wanted_key != NULL && scan->wanted_line == 0 &&
	    strcmp(key_of(scan, key), scan->wanted_key) == 0)
		scan->wanted_line = scan->line;
	if (schema == NULL)	/* words of a flag list: libcyaml knows them */
		return event->type == YAML_SCALAR_EVENT
		    ? ERR_OK : refuse(scan, err, "want one word");
	if (is_beyond_list(scan))
		return refuse(scan, err, "the list takes at most %u entries",
		    scan->levels[scan->depth - 1].schema->sequence.max);
	if (!is_kind(schema, event->type))
		return refuse(scan, err, "is %s; want %s", kind_found(event),
		    kind_wanted(schema));
	if (event->type == YAML_SCALAR_EVENT)
		return check_scalar(scan, schema, event, err);
	if (scan->depth == YAML_MAX_DEPTH)
		return refuse(scan, err, "nested deeper than %d levels",
		    YAML_MAX_DEPTH);
	scan->levels[scan->depth++] =
	    (struct level){.schema = schema, .line = scan->line};
	return ERR_OK;
}

static enum err_code refuse_unknown(struct scan *scan,
    const cyaml_schema_field_t *fields, const yaml_event_t *event,
    struct err *err)
{
	OWNED_BUF(known);

	for (; fields->key != NULL; fields++)
		buf_printf(&known, "%s%s", known.len == 0 ? "" : ", ",
		    fields->key);
	buf_put_u8(&known, 0);
	return refuse(scan, err, "unknown key \"%s\"; known: %s",
	    quote_scalar(event), (const char *)known.data);
}

static enum err_code scan_key(
    struct scan *scan, const yaml_event_t *event, struct err *err)
{
	struct level *top = &scan->levels[scan->depth - 1];
	const cyaml_schema_field_t *fields = top->schema->mapping.fields;

	if (event->type != YAML_SCALAR_EVENT)
		return refuse(scan, err, "a key must be one word");
	for (unsigned i = 0; fields[i].key != NULL; i++) {
		if (!bytes_equal(scalar_text(event), BYTES_STR(fields[i].key)))
			continue;
		if (i >= YAML_MAX_FIELDS)
			abort();
		if ((top->seen >> i & 1) != 0)
			return refuse(scan, err, "key \"%s\" is there twice",
			    fields[i].key);
		top->seen |= UINT64_C(1) << i;
		top->field = &fields[i];
		return ERR_OK;
	}
	return refuse_unknown(scan, fields, event, err);
}

/* The end of a mapping or list. */
static enum err_code scan_end(struct scan *scan, struct err *err)
{
	const struct level *top = &scan->levels[scan->depth - 1];
	const cyaml_schema_field_t *fields = top->schema->mapping.fields;

	if (top->schema->type == CYAML_MAPPING) {
		for (unsigned i = 0; fields[i].key != NULL; i++) {
			if ((top->seen >> i & 1) != 0 ||
			    (fields[i].value.flags & CYAML_FLAG_OPTIONAL) != 0)
				continue;
			scan->line = top->line;
			return refuse(
			    scan, err, "key \"%s\" is missing", fields[i].key);
		}
	}
	scan->depth--;
	return ERR_OK;
}

/* A value is complete: its mapping awaits a key again. */
static void value_done(struct scan *scan)
{
	if (scan->depth > 0)
		scan->levels[scan->depth - 1].field = NULL;
}

static enum err_code refuse_decorated(
    const struct scan *scan, const yaml_event_t *event, struct err *err)
{
	const void *anchor = NULL, *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
		return refuse(scan, err, "anchors and aliases are not read");
	if (tag != NULL)
		return refuse(scan, err, "tags are not read");
	return ERR_OK;
}

static enum err_code scan_node(
    struct scan *scan, const yaml_event_t *event, struct err *err)
{
	const struct level *top =
	    scan->depth == 0 ? NULL : &scan->levels[scan->depth - 1];
	enum err_code code = refuse_decorated(scan, event, err);

	if (code != ERR_OK)
		return code;
	if (top != NULL && top->schema->type == CYAML_MAPPING &&
	    top->field == NULL)
		return scan_key(scan, event, err);
	code = scan_value(scan, event, err);
	if (code == ERR_OK && event->type == YAML_SCALAR_EVENT)
		value_done(scan);
	return code;
}

static enum err_code scan_event(
    struct scan *scan, const yaml_event_t *event, struct err *err)
{
	enum err_code code;

	scan->line = (unsigned)event->start_mark.line + 1;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
	case YAML_ALIAS_EVENT:
		return scan_node(scan, event, err);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		code = scan_end(scan, err);
		if (code == ERR_OK)
			value_done(scan);
		return code;
	case YAML_DOCUMENT_START_EVENT:
		return ++scan->documents == 1
		    ? ERR_OK : refuse(scan, err, "a second document begins");
	case YAML_STREAM_END_EVENT:
		return scan->documents == 1
		    ? ERR_OK : refuse(scan, err, "holds nothing");
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	return ERR_OK;
}

static enum err_code scan_events(
    struct scan *scan, yaml_parser_t *parser, struct err *err)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	enum err_code code = ERR_OK;

	while (code == ERR_OK && type != YAML_STREAM_END_EVENT) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event)) {
			scan->line = (unsigned)parser->problem_mark.line + 1;
			scan->depth = 0;	/* the syntax, not a key */
			return refuse(scan, err, "not valid YAML: %s",
			    parser->problem == NULL ? "no memory"
						    : parser->problem);
		}
		type = event.type;
		code = scan_event(scan, &event, err);
		yaml_event_delete(&event);
	}
	return code;
}

static enum err_code scan_text(
    struct scan *scan, struct bytes text, struct err *err)
{
	yaml_parser_t parser;
	enum err_code code;

	scan->line = 1;
	if (text.len == 0)
		return refuse(scan, err, "holds nothing");
	if (text.len > YAML_MAX_SIZE)
		return refuse(scan, err, "longer than %zu octets",
		    YAML_MAX_SIZE);
	if (!yaml_parser_initialize(&parser))
		abort();
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text.data, text.len);
	code = scan_events(scan, &parser, err);
	yaml_parser_delete(&parser);
	return code;
}

enum err_code yaml_scan_check(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, struct err *err)
{
	struct scan scan = {.name = name, .schema = schema};

	return scan_text(&scan, text, err);
}

unsigned yaml_scan_line_of(
    struct bytes text, const cyaml_schema_value_t *schema, const char *key)
{
	struct scan scan = {.name = "", .schema = schema, .wanted_key = key};
	struct err unused;
	/* A text that does not scan may have the key before its fault. */
	enum err_code ignored = scan_text(&scan, text, &unused);

	(void)ignored;
	return scan.wanted_line;
}
