// SPDX-License-Identifier: Apache-2.0
#include "api/target.h"

#include <string.h>
#include "base/text.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int decode_octet(const char *from, const char *end)
{
	if (end - from < 3)
		return -1;
	int high = hex_digit(from[1]), low = hex_digit(from[2]);
	if (high < 0 || low < 0)
		return -1;
	return high << 4 | low;
}

char *target_decode(char *text, const char *end, bool plus_is_space)
{
	char *to = text;
	for (const char *from = text; from < end; from++) {
		int octet = (unsigned char)*from;
		if (octet == '%') {
			octet = decode_octet(from, end);
			from += 2;
		} else if (octet == '+' && plus_is_space) {
			octet = ' ';
		}
		if (octet <= 0)
			return NULL;
		*to++ = (char)octet;
	}
	*to = '\0';
	return to;
}

/* Why a decoded part cannot stand, or NULL. */
static const char *part_fault(const char *part)
{
	if (!text_is_utf8(BYTES_STR(part)))
		return "is not UTF-8";
	for (const char *at = part; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return "holds a control character";
	return NULL;
}

static const char *segment_fault(const char *segment)
{
	if (*segment == '\0')
		return "is empty";
	if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		return "is a dot segment, which is not followed";
	if (strpbrk(segment, "/\\") != NULL)
		return "holds a slash";
	return part_fault(segment);
}

static enum err_code parse_segment(
    char *segment, const char *end, struct target *target, struct err *err)
{
	if (target->segments_count == TARGET_SEGMENTS_MAX)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The path has more than %d segments", TARGET_SEGMENTS_MAX);
	if (target_decode(segment, end, false) == NULL)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The path is not percent-encoded text (RFC 3986 2.1)");
	const char *fault = segment_fault(segment);
	if (fault != NULL)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "A segment of the path %s", fault);
	target->segments[target->segments_count++] = segment;
	return ERR_OK;
}

static enum err_code parse_path(
    char *path, struct target *target, struct err *err)
{
	bool more = *path == '/';
	if (!more)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The target of the request is no absolute path");
	while (more) {
		char *segment = path + 1;
		char *end = segment + strcspn(segment, "/");
		more = *end == '/';
		enum err_code code = parse_segment(segment, end, target, err);
		if (code != ERR_OK)
			return code;
		path = end;
	}
	return ERR_OK;
}

static enum err_code parse_pair(
    char *name, char *end, struct target *target, struct err *err)
{
	if (target->query_count == TARGET_QUERY_MAX)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The query has more than %d fields", TARGET_QUERY_MAX);
	char *equals = memchr(name, '=', (size_t)(end - name));
	if (equals == NULL)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "A field of the query has no value; it is name=value");
	char *value = equals + 1;
	if (target_decode(name, equals, true) == NULL ||
	    target_decode(value, end, true) == NULL ||
	    part_fault(name) != NULL || part_fault(value) != NULL)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The query is not percent-encoded UTF-8 text");
	if (target_query(target, name) != NULL)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"%s\" of the query was sent twice",
		    err_quote_str(name));
	target->query[target->query_count++] =
	    (struct target_pair){name, value};
	return ERR_OK;
}

static enum err_code parse_query(
    char *query, struct target *target, struct err *err)
{
	bool more = *query != '\0';
	while (more) {
		char *end = query + strcspn(query, "&");
		more = *end == '&';
		enum err_code code = parse_pair(query, end, target, err);
		if (code != ERR_OK)
			return code;
		query = end + 1;
	}
	return ERR_OK;
}

enum err_code target_parse(char *text, struct target *target, struct err *err)
{
	target->segments_count = 0;
	target->query_count = 0;
	if (strlen(text) > TARGET_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "The target of the request is longer than %d octets",
		    TARGET_MAX);
	if (strchr(text, '#') != NULL)
		return err_refuse(err, ERR_BAD_REQUEST,
		    "The target of the request holds a fragment");
	char *query = strchr(text, '?');
	if (query != NULL)
		*query++ = '\0';
	enum err_code code = parse_path(text, target, err);
	if (code != ERR_OK || query == NULL)
		return code;
	return parse_query(query, target, err);
}

const char *target_query(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->query_count; i++)
		if (strcmp(target->query[i].name, name) == 0)
			return target->query[i].value;
	return NULL;
}
