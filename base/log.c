// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/text.h"

/* No lock: a line is built on the stack of its thread and leaves in one
 * write(2), alone or with others, which a pipe takes whole up to PIPE_BUF. */
#define LINE_SIZE LOG_WRITE_MAX
static const char cut_end[] = ",\"cut\":true}\n";
#define LINE_ROOM (LINE_SIZE - sizeof(cut_end))

struct line {
	char text[LINE_SIZE];
	size_t len;
	bool cut;	/* the room was used up; what follows is left out */
};

static int log_fd = STDERR_FILENO;
static const char *log_program = "signet";
static _Atomic int log_level = LOG_INFO;
static _Thread_local const char *request;
static _Thread_local struct log_gathered *gathered;

static const char *const level_words[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void log_open(int fd, const char *program, enum log_level level)
{
	log_fd = fd;
	log_program = program;
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *word, enum log_level *level_out)
{
	for (size_t i = 0; word != NULL && i < ARRAY_LEN(level_words); i++) {
		if (strcmp(word, level_words[i]) != 0)
			continue;
		*level_out = (enum log_level)i;
		return true;
	}
	return false;
}

void log_set_request(const char *request_id)
{
	request = request_id;
}

const char *log_request(void)
{
	return request;
}

/* All or nothing, keeping KEEP octets of the room for what must follow. */
static bool line_put(
    struct line *line, const char *text, size_t len, size_t keep)
{
	if (line->cut || line->len + len + keep > LINE_ROOM) {
		line->cut = true;
		return false;
	}
	memcpy(line->text + line->len, text, len);
	line->len += len;
	return true;
}

/* The JSON form of the character at TEXT, in UNIT unless it stands for itself.
 * Returns the octets of TEXT that it covers. */
static size_t escape(struct bytes text, char unit[static 8])
{
	size_t octets = text_utf8_next(text);
	uint8_t c = text.data[0];

	unit[0] = '\0';
	if (octets == 0) {
		memcpy(unit, "\\ufffd", sizeof("\\ufffd"));
		return 1;
	}
	if (c == '"' || c == '\\')
		snprintf(unit, 8, "\\%c", c);
	else if (c == '\n')
		memcpy(unit, "\\n", sizeof("\\n"));
	else if (c < 0x20 || c == 0x7f)
		snprintf(unit, 8, "\\u%04x", c);
	else if (c == 0xc2 && text.data[1] < 0xa0) /* C1: terminals obey them */
		snprintf(unit, 8, "\\u%04x", text.data[1]);
	return octets;
}

static void line_put_string(struct line *line, const char *str)
{
	struct bytes left = bytes_str(str);
	char unit[8];
	bool room;

	if (str == NULL) {
		line_put(line, "null", 4, 0);
		return;
	}
	if (!line_put(line, "\"", 1, 1))
		return;
	do {
		size_t octets = left.len == 0 ? 0 : escape(left, unit);

		if (octets == 0)
			break;
		room = unit[0] != '\0'
		    ? line_put(line, unit, strlen(unit), 1)
		    : line_put(line, (const char *)left.data, octets, 1);
		left.data += octets;
		left.len -= octets;
	} while (room);
	line->text[line->len++] = '"';	/* always kept room for */
}

static bool line_put_name(struct line *line, const char *name)
{
	char head[64];
	int len = snprintf(head, sizeof(head), ",\"%s\":", name);

	if (len < 0 || (size_t)len >= sizeof(head)) {
		line->cut = true;
		return false;
	}
	/* "null" or "" or a number must fit behind, or the name stays out. */
	return line_put(line, head, (size_t)len, 24);
}

static void line_put_field(struct line *line, const struct log_field *field)
{
	char number[24];

	if (!line_put_name(line, field->name))
		return;
	if (field->kind == LOG_FIELD_STR) {
		line_put_string(line, field->str);
		return;
	}
	snprintf(number, sizeof(number), "%" PRId64, field->num);
	line_put(line, number, strlen(number), 0);
}

static void line_begin(struct line *line, enum log_level level)
{
	char time[CLOCK_TEXT_SIZE];
	int64_t now = clock_now_ms();
	int len;

	clock_format(now / 1000, time);
	len = snprintf(line->text, LINE_ROOM,
	    "{\"time\":\"%.19s.%03dZ\",\"level\":\"%s\"", time,
	    (int)(now % 1000), level_words[level]);
	line->len = (size_t)len;
	line->cut = false;
}

static void put_out(const char *text, size_t len)
{
	ssize_t ignored;

	do
		ignored = write(log_fd, text, len);
	while (ignored < 0 && errno == EINTR);
}

void log_write_gathered(void)
{
	int errno_before = errno;

	if (gathered == NULL || gathered->len == 0)
		return;
	put_out(gathered->text, gathered->len);
	gathered->len = 0;
	errno = errno_before;
}

void log_gather(struct log_gathered *lines)
{
	log_write_gathered();
	gathered = lines;
}

/* What is a warning may be the last that is heard. */
static void line_put_out(const struct line *line, enum log_level level)
{
	if (gathered == NULL) {
		put_out(line->text, line->len);
		return;
	}
	if (gathered->len + line->len > sizeof(gathered->text))
		log_write_gathered();
	memcpy(gathered->text + gathered->len, line->text, line->len);
	gathered->len += line->len;
	if (level >= LOG_WARN)
		log_write_gathered();
}

void log_write(enum log_level level, const char *message,
    const struct log_field *fields)
{
	struct line line;
	int errno_before = errno;

	if ((int)level <
	    atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	line_begin(&line, level);
	line_put_field(&line, &LOG_STR("program", log_program));
	line_put_field(&line, &LOG_STR("message", message));
	if (request != NULL)
		line_put_field(&line, &LOG_STR("request", request));
	for (; fields->name != NULL; fields++)
		line_put_field(&line, fields);
	if (line.cut)
		memcpy(line.text + line.len, cut_end, sizeof(cut_end) - 1);
	else
		memcpy(line.text + line.len, "}\n", 2);
	line.len += line.cut ? sizeof(cut_end) - 1 : 2;
	line_put_out(&line, level);
	errno = errno_before;	/* callers log between failure and report */
}

void log_err(enum log_level level, const char *message, const struct err *err)
{
	char place[128];
	struct log_field fields[5];
	size_t count = 0;

	snprintf(place, sizeof(place), "%s:%d",
	    err->file == NULL ? "?" : err->file, err->line);
	fields[count++] = LOG_STR("code", err_slug(err->code));
	if (err->detail[0] != '\0')
		fields[count++] = LOG_STR("detail", err_kept(err));
	if (err->cause[0] != '\0')
		fields[count++] = LOG_STR("cause", err->cause);
	fields[count++] = LOG_STR("place", place);
	fields[count] = (struct log_field){0};
	log_write(level, message, fields);
}
