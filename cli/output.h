// SPDX-License-Identifier: Apache-2.0
/* What a command prints: JSON as the API gave it, or text for people. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/json.h"

struct column {
	const char *title; /* "EXPIRES"; for an object "expires" */
	const char *field; /* of the JSON object */
};

#define OUTPUT_COLUMNS_MAX 16

/* Prints {"items": ITEMS} or a table; COLUMNS end with a NULL title.  EMPTY is
 * said on standard error when there is nothing to show. */
void output_list(json_t *items, const struct column *columns, const char *empty,
    bool as_json);
/* Prints OBJECT, or one "title: value" line a column that it has. */
void output_object(
    const json_t *object, const struct column *columns, bool as_json);
/* Prints TEXT of several lines, as a PEM or a policy; NULL prints nothing. */
void output_text(const char *text);

/* Appends TEXT, which may come from outside, as one line that cannot move the
 * terminal's cursor: control characters (C0, DEL, C1) become \xNN. */
void output_escape(struct buf *out, const char *text);

#endif
