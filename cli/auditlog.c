// SPDX-License-Identifier: Apache-2.0
#include "cli/auditlog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define POLLS 40 /* for a checkpoint, each … */
#define POLL_MS 200
#define LINE_MAX_OCTETS (1u << 20)
#define PAGE "1000"

/* ---- the server ---- */

void audit_point_end(struct audit_point *point)
{
	free(point->note);
	free(point->key);
	*point = (struct audit_point){0};
}

static char *copy(const json_t *answer, const char *field)
{
	const char *text = json_string_value(json_object_get(answer, field));

	return text == NULL ? NULL : mem_strdup(text);
}

static enum err_code ask(
    struct client *client, struct audit_point *point, struct err *err)
{
	OWNED_JSON(answer) = NULL;
	const char *head;
	json_int_t sequence;
	enum err_code code = client_call(
	    client, "GET", "/audit/checkpoint", NULL, &answer, err);

	if (code != ERR_OK)
		return code;
	audit_point_end(point);
	head = json_string_value(json_object_get(answer, "head"));
	sequence = json_integer_value(json_object_get(answer, "sequence"));
	if (head == NULL || sequence < 0 ||
	    !hex_parse(head, point->head.hash, sizeof(point->head.hash)))
		return err_fail(err, ERR_INTERNAL,
		    "the server tells no head of the audit log");
	point->head.sequence = (uint64_t)sequence;
	point->note = copy(answer, "checkpoint");
	point->key = copy(answer, "key");
	return ERR_OK;
}

static uint64_t covered(const struct audit_point *point)
{
	struct checkpoint checkpoint;

	if (point->note == NULL ||
	    !checkpoint_parse(bytes_str(point->note), &checkpoint, NULL))
		return 0;
	return checkpoint.size;
}

enum err_code auditlog_point(
    struct client *client, struct audit_point *point, struct err *err)
{
	enum err_code code = ask(client, point, err);
	struct audit_head first = point->head;

	for (unsigned i = 0; i < POLLS && code == ERR_OK &&
			     covered(point) < first.sequence;
	     i++) {
		nanosleep(&(struct timespec){0, POLL_MS * 1000000}, NULL);
		code = ask(client, point, err);
	}
	point->head = first;
	return code;
}

enum err_code auditlog_fetch(struct client *client,
    struct auditlog_range range, auditlog_each *each, void *arg,
    struct err *err)
{
	enum err_code code = ERR_OK;

	while (code == ERR_OK && range.after < range.last) {
		OWNED_STR(path) = mem_printf(
		    "/audit?limit=" PAGE "&cursor=%" PRIu64, range.after);
		OWNED_JSON(answer) = NULL;
		json_t *items;
		size_t index;
		json_t *item;

		code = client_call(client, "GET", path, NULL, &answer, err);
		if (code != ERR_OK)
			return code;
		items = json_object_get(answer, "items");
		/* What is missing is told by who follows the entries. */
		if (json_array_size(items) == 0)
			return ERR_OK;
		json_array_foreach(items, index, item)
		{
			if (code != ERR_OK || range.after == range.last)
				break;
			code = each(item, arg, err);
			range.after++;
		}
	}
	return code;
}

/* ---- files ---- */

/* Reads a file by lines, never more at once than one may have. */
struct lines {
	FILE *file;
	struct buf text;	/* read */
	size_t next;		/* octets of it that were given */
	bool ended;
};

static void lines_end(struct lines *lines)
{
	if (lines->file != NULL)
		fclose(lines->file);
	buf_free(&lines->text);
}

static void read_more(struct lines *lines)
{
	size_t left = lines->text.len - lines->next;
	size_t got;

	memmove(lines->text.data, lines->text.data + lines->next, left);
	lines->text.len = left;
	lines->next = 0;
	got = fread(buf_extend(&lines->text, LINE_MAX_OCTETS), 1,
	    LINE_MAX_OCTETS, lines->file);
	lines->text.len = left + got;
	lines->ended = got < LINE_MAX_OCTETS;
}

/* The next line with its end; without, the last may be.  Empty: no more.  False
 * when it is too long. */
static bool next_line(struct lines *lines, struct bytes *line)
{
	const uint8_t *at = lines->text.data + lines->next;
	size_t left = lines->text.len - lines->next;
	const uint8_t *feed = left == 0 ? NULL : memchr(at, '\n', left);

	if (feed == NULL && !lines->ended && left <= LINE_MAX_OCTETS) {
		read_more(lines);
		return next_line(lines, line);
	}
	*line = BYTES(at, feed == NULL ? left : (size_t)(feed - at) + 1);
	lines->next += line->len;
	return line->len <= LINE_MAX_OCTETS;
}

static enum err_code take(const char *path, struct bytes line,
    unsigned long long number, auditlog_each *each, void *arg, bool *taken,
    struct err *err)
{
	OWNED_JSON(json) = NULL;
	struct err why = {0};

	*taken = line.data[line.len - 1] == '\n' &&
		 json_parse(line, &json, &why) == ERR_OK &&
		 json_is_object(json);
	if (*taken)
		return each(json, arg, err);
	fprintf(stderr, "%s:%llu: no whole line, passed over\n", path, number);
	return ERR_OK;
}

static enum err_code open_lines(
    struct lines *lines, const char *path, struct err *err)
{
	lines->file = fopen(path, "re");
	if (lines->file == NULL && errno == ENOENT)
		return err_refuse(
		    err, ERR_NOT_FOUND, "there is no %s", path);
	if (lines->file == NULL)
		return err_fail(err, ERR_IO, "open %s: %m", path);
	/* It is read by large pieces, into a place of our own. */
	setvbuf(lines->file, NULL, _IONBF, 0);
	buf_reserve(&lines->text, 2 * (size_t)LINE_MAX_OCTETS);
	return ERR_OK;
}

enum err_code auditlog_read(const char *path, auditlog_each *each, void *arg,
    uint64_t *whole_out, struct err *err)
{
	__attribute__((cleanup(lines_end))) struct lines lines = {0};
	enum err_code code = open_lines(&lines, path, err);
	unsigned long long number = 0;
	uint64_t at = 0, whole = 0;
	struct bytes line;
	bool fits = true;

	while (code == ERR_OK && (fits = next_line(&lines, &line)) &&
	       line.len > 0) {
		bool taken;

		code = take(path, line, ++number, each, arg, &taken, err);
		at += line.len;
		whole = taken ? at : whole;
	}
	if (code == ERR_OK && !fits)
		return err_fail(err, ERR_CORRUPT,
		    "%.160s: line %llu is longer than %u octets: it is none of "
		    "an audit log", path, number + 1, LINE_MAX_OCTETS);
	if (code == ERR_OK && ferror(lines.file))
		return err_fail(err, ERR_IO, "read %s: %m", path);
	if (whole_out != NULL)
		*whole_out = whole;
	return code;
}

static enum err_code expect_line(json_t *json, void *arg, struct err *err)
{
	const char *note =
	    json_string_value(json_object_get(json, "checkpoint"));

	if (note == NULL)
		return ERR_OK;
	return verifier_expect(arg, bytes_str(note), NULL, err);
}

enum err_code auditlog_expect(
    const char *path, struct verifier *verifier, struct err *err)
{
	return auditlog_read(path, expect_line, verifier, NULL, err);
}

static enum err_code follow_line(json_t *json, void *arg, struct err *err)
{
	if (json_object_get(json, "checkpoint") != NULL)
		return ERR_OK;
	return verifier_entry(arg, json, err);
}

enum err_code auditlog_follow(const char *path, struct verifier *verifier,
    uint64_t *whole_out, struct err *err)
{
	return auditlog_read(path, follow_line, verifier, whole_out, err);
}
