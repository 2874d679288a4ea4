// SPDX-License-Identifier: Apache-2.0
/* The log: one JSON object a line, on standard error unless told otherwise. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* LOG_SILENT is for commands that say themselves what failed; no word of a
 * configuration means it. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_SILENT };

/* Settings hold for the process; call before other threads start. */
void log_open(int fd, const char *program, enum log_level level);
void log_set_level(enum log_level level);	/* any thread, any time */
/* False for a word that is no level. */
MUST_CHECK bool log_level_parse(const char *word, enum log_level *level_out);

/* The request that the calling thread works for; NULL ends it.  Borrowed. */
void log_set_request(const char *request_id);
const char *log_request(void);

struct log_field {
	enum { LOG_FIELD_STR, LOG_FIELD_INT } kind;
	const char *name;
	const char *str;	/* escaped on writing; NULL is written as null */
	int64_t num;
};
#define LOG_STR(name, value)                                                   \
	((struct log_field){LOG_FIELD_STR, (name), (value), 0})
#define LOG_NUM(name, value)                                                   \
	((struct log_field){LOG_FIELD_INT, (name), NULL, (int64_t)(value)})

/*
 * LOG(INFO, "worker started", LOG_NUM("pid", pid));
 * Writes time (RFC 3339, UTC, milliseconds), level, program, message, request id
 * and the fields in one write(2), so that lines of threads and processes do not
 * mix; a line longer than 4,096 octets is cut.  Never given a secret.
 */
#define LOG(level, message, ...)                                               \
	log_write(LOG_##level, (message),                                      \
	    (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) {0}})
void log_write(enum log_level level, const char *message,
    const struct log_field *fields);

/*
 * Has what the calling thread logs from now on wait in LINES, to leave with what
 * follows in one write(2) of LOG_WRITE_MAX octets at most: when there is no room,
 * after a warning or an error, and when log_write_gathered() is called, as the
 * thread does before it rests.  NULL: each line leaves at once, as at first.
 */
#define LOG_WRITE_MAX 4096
struct log_gathered {
	size_t len;
	char text[LOG_WRITE_MAX];
};
void log_gather(struct log_gathered *lines);
void log_write_gathered(void);

/* An error with its code, cause, detail and place. */
void log_err(enum log_level level, const char *message, const struct err *err);

#endif
