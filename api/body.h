// SPDX-License-Identifier: Apache-2.0
/* What a request says in its body and query, read strictly. */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/exchange.h"
#include "base/json.h"

/* A request to read by FIELDS; an empty body counts as {}.  Strings and arrays
 * that FIELDS put out are borrowed from *json_out, which the caller owns.
 * Errors: ERR_BAD_REQUEST, ERR_BAD_FIELD. */
MUST_CHECK enum err_code body_read(const struct exchange *x,
    const struct json_field *fields, size_t count, json_t **json_out,
    struct err *err);

/* The strings of ARRAY (NULL: none), at most MAX, each at most 253 octets;
 * borrowed from it.  The array itself is malloc'd.
 * Errors: ERR_BAD_FIELD naming FIELD. */
struct texts {
	const char **items;
	size_t count;
};
void texts_free(struct texts *texts);
#define OWNED_TEXTS(name)                                                      \
	__attribute__((cleanup(texts_free))) struct texts name = {NULL, 0}
MUST_CHECK enum err_code body_texts(json_t *array, const char *field,
    size_t max, struct texts *texts_out, struct err *err);

/* A duration of a second or more; TEXT NULL: 0.  Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code body_duration(const char *text, const char *field,
    int64_t *seconds_out, struct err *err);

/* The page a list asks for. */
#define PAGE_MAX 1000
struct page {
	size_t limit;
	const char *cursor;	/* NULL: from the start; borrowed */
};
/* Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code page_read(
    const struct exchange *x, struct page *page_out, struct err *err);
/* Reads a cursor of exactly SIZE octets of hex.  Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code page_cursor_octets(const struct page *page,
    size_t size, uint8_t *octets, struct err *err);

#endif
