// SPDX-License-Identifier: Apache-2.0
/* Time: wall clock in seconds since 1970-01-01 UTC, monotonic time for
 * deadlines, and durations as people write them. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

int64_t clock_now(void);	/* seconds */
int64_t clock_now_ms(void);	/* milliseconds */
int64_t clock_mono_ms(void);	/* milliseconds from an arbitrary start */
int64_t clock_mono_us(void);	/* microseconds from the same start */

/* Tests: freezes the wall clock at NOW seconds; clock_thaw lets it run. */
void clock_freeze(int64_t now);
void clock_thaw(void);

/* RFC 3339 in UTC with a Z, e.g. 2026-11-24T09:45:00Z. */
#define CLOCK_TEXT_SIZE 32
const char *clock_format(int64_t seconds, char text[static CLOCK_TEXT_SIZE]);
MUST_CHECK bool clock_parse(const char *text, int64_t *seconds_out);
/* The same with milliseconds, always three digits: 2026-11-24T09:45:00.042Z.
 * TEXT is LEN octets, without a NUL among them. */
const char *clock_format_ms(
    int64_t milliseconds, char text[static CLOCK_TEXT_SIZE]);
MUST_CHECK bool clock_parse_ms(
    const char *text, size_t len, int64_t *milliseconds_out);

/* "90s", "15m", "24h", "30d", "1y" (365 d), or joined as in "1h30m"; seconds.
 * False when malformed, negative or more than 100 years. */
MUST_CHECK bool duration_parse(const char *text, int64_t *seconds_out);
const char *duration_format(int64_t seconds, char text[static CLOCK_TEXT_SIZE]);

#endif
