// SPDX-License-Identifier: Apache-2.0
/* What HTTP caches compare (RFC 9110 5.6.7, 13.1). */
#ifndef API_HTTPDATE_H
#define API_HTTPDATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/own.h"

#define HTTP_DATE_SIZE 32
/* "Tue, 24 Nov 2026 09:45:00 GMT" */
const char *http_date_format(
    int64_t seconds, char text[static HTTP_DATE_SIZE]);
/* The one form that is sent today; others count as absent. */
MUST_CHECK bool http_date_parse(const char *text, int64_t *seconds_out);

/* Is ETAG (quoted) in the list of If-None-Match, by weak comparison? */
MUST_CHECK bool http_etag_in(const char *list, const char *etag);

#endif
