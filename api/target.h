// SPDX-License-Identifier: Apache-2.0
/* The target of a request (RFC 9112 3.2.1): decoded once, never normalised. */
#ifndef API_TARGET_H
#define API_TARGET_H

#include "base/err.h"
#include <stdbool.h>

#define TARGET_MAX 2048	/* octets, as sent */
#define TARGET_SEGMENTS_MAX 8
#define TARGET_QUERY_MAX 10

struct target_pair {
	const char *name, *value;
};

struct target {
	const char *segments[TARGET_SEGMENTS_MAX];
	size_t segments_count;
	struct target_pair query[TARGET_QUERY_MAX];
	size_t query_count;
};

/*
 * Takes TEXT apart in place: "/a/b?c=d".  Percent-encoding is undone once
 * (RFC 3986 2.4), '+' in the query is a space.  Whatever two readers could
 * understand differently is refused: an empty segment, "." and "..", an encoded
 * '/', a control character, octets that are not UTF-8, a name sent twice.
 * TARGET borrows TEXT.  Errors: ERR_BAD_REQUEST, ERR_TOO_LARGE.
 */
MUST_CHECK enum err_code target_parse(
    char *text, struct target *target, struct err *err);

/* The value of NAME in the query, or NULL. */
const char *target_query(const struct target *target, const char *name);

/*
 * Undoes percent-encoding of the octets up to END in place and ends them with
 * a NUL.  NULL when it is malformed or holds a NUL; else the new end.
 */
MUST_CHECK char *target_decode(char *text, const char *end, bool plus_is_space);

#endif
