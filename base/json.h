// SPDX-License-Identifier: Apache-2.0
/* JSON from outside, strictly: bounded depth, no duplicate keys, no unknown
 * fields, and errors that name the field.  Built on jansson. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include "base/buf.h"
#include "base/err.h"

#define OWNED_JSON(name) __attribute__((cleanup(json_owned_cleanup), unused)) json_t *name
void json_owned_cleanup(json_t **json);

/* From now on jansson's memory is cleansed when it is freed.  Before any JSON is
 * made, and any other thread. */
void json_wipe_freed(void);

/*
 * Parses one JSON text of at most MAX_DEPTH nested arrays and objects.
 * Errors: ERR_BAD_REQUEST with line and column; a duplicate key is an error.
 */
#define JSON_MAX_DEPTH 8
MUST_CHECK enum err_code json_parse(
    struct bytes text, json_t **json_out, struct err *err);

enum json_kind {
	JSON_KIND_STR,		/* const char **, borrowed from the object */
	JSON_KIND_INT,		/* int64_t * */
	JSON_KIND_BOOL,		/* bool * */
	JSON_KIND_ARRAY,	/* json_t **, borrowed */
	JSON_KIND_OBJECT,	/* json_t **, borrowed */
};

struct json_field {
	const char *name;
	enum json_kind kind;
	bool required;
	int64_t min;		/* least integer, string octets, items or members */
	int64_t max;		/* greatest of the same; of members, 0: any */
	void *out;		/* untouched when the field is absent */
};

/*
 * Reads OBJECT by the table.  Null counts as absent.  A string with a NUL inside
 * is refused.  Errors: ERR_BAD_FIELD, whose detail names the field, what was
 * found and what is wanted; an unknown field is refused by name with the list
 * of known ones.
 */
MUST_CHECK enum err_code json_read(json_t *object,
    const struct json_field *fields, size_t count, struct err *err);

/* Compact text, keys in the order they were set, appended to OUT. */
void json_put(struct buf *out, const json_t *json);
/* As json_put with sorted keys: equal objects give equal octets. */
void json_put_canonical(struct buf *out, const json_t *json);
void json_put_indented(struct buf *out, const json_t *json);

#endif
