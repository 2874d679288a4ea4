// SPDX-License-Identifier: Apache-2.0
/* Plain HTTP, as relying parties speak it. */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "base/buf.h"
#include "base/err.h"

struct fetch {
	const char *url; /* http:// */
	const char *type; /* of BODY; NULL: GET */
	struct bytes body;
};
/* *status_out is the HTTP status, BODY receives at most 64 MiB.
 * Errors: ERR_UNREACHABLE. */
MUST_CHECK enum err_code fetch_run(const struct fetch *fetch, long *status_out,
    struct buf *body, struct err *err);

/* http://HOST:PORT of a listener; one that listens everywhere is reached
 * here.  malloc'd. */
char *fetch_url(const char *listener);

#endif
