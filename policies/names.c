// SPDX-License-Identifier: Apache-2.0
#include "policies/names.h"

#include <stdlib.h>
#include <string.h>

#include "policies/syntax.h"

static const char *const kind_labels[] = {
	[NAME_DNS] = "DNS",
	[NAME_IP] = "IP",
	[NAME_URI] = "URI",
};

const char *name_kind_label(enum name_kind kind)
{
	return kind_labels[kind];
}

struct names *names_new(void)
{
	return mem_zalloc(sizeof(struct names));
}

void names_free(struct names *names)
{
	if (names == NULL)
		return;
	for (size_t i = 0; i < names->sans_count; i++)
		free(names->sans[i].text);
	free(names->sans);
	free(names->common_name);
	free(names);
}

struct names *names_copy(const struct names *names)
{
	struct names *copy = names_new();

	if (names->common_name != NULL)
		copy->common_name = mem_strdup(names->common_name);
	if (names->sans_count == 0)
		return copy;
	copy->sans = mem_zalloc_array(names->sans_count, sizeof(*copy->sans));
	copy->sans_count = names->sans_count;
	for (size_t i = 0; i < names->sans_count; i++) {
		copy->sans[i] = names->sans[i];
		copy->sans[i].text = mem_strdup(names->sans[i].text);
	}
	return copy;
}

static int name_compare(const struct name *a, const struct name *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return strcmp(a->text, b->text);
}

/* Where NAME stands among the SANs, or would. */
static size_t find_place(
    const struct names *names, const struct name *name, bool *found_out)
{
	size_t low = 0, high = names->sans_count;

	*found_out = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = name_compare(name, &names->sans[middle]);

		if (order == 0) {
			*found_out = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Takes NAME's text. */
static enum err_code insert(
    struct names *names, struct name *name, struct err *err)
{
	OWNED_STR(text) = name->text;
	bool found;
	size_t at = find_place(names, name, &found);

	if (found)
		return ERR_OK;
	if (names->sans_count == NAMES_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "more than %d names are asked for", NAMES_MAX);
	names->sans = mem_resize(
	    names->sans, names->sans_count + 1, sizeof(*names->sans));
	memmove(names->sans + at + 1, names->sans + at,
	    (names->sans_count - at) * sizeof(*names->sans));
	names->sans[at] = *name;
	names->sans[at].text = GIVE(text);
	names->sans_count++;
	return ERR_OK;
}

static enum err_code refuse(
    struct err *err, const char *kind, struct bytes text, const char *wrong)
{
	return err_refuse(err, ERR_BAD_FIELD, "%s \"%s\" %s", kind,
	    err_quote(text.data, text.len), wrong);
}

enum err_code names_set_cn(
    struct names *names, struct bytes cn, struct err *err)
{
	const char *wrong = syntax_cn(cn);

	if (wrong != NULL)
		return refuse(err, "common name", cn, wrong);
	free(names->common_name);
	names->common_name = mem_strndup((const char *)cn.data, cn.len);
	return ERR_OK;
}

static enum err_code add_dns(
    struct names *names, struct bytes text, struct err *err)
{
	const char *wrong = syntax_dns(text);
	struct name name = {.kind = NAME_DNS};

	if (wrong != NULL)
		return refuse(err, "DNS name", text, wrong);
	name.text = mem_strndup((const char *)text.data, text.len);
	for (char *c = name.text; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return insert(names, &name, err);
}

static enum err_code add_uri(
    struct names *names, struct bytes text, struct err *err)
{
	const char *wrong = syntax_uri(text);
	struct name name = {.kind = NAME_URI};

	if (wrong != NULL)
		return refuse(err, "URI", text, wrong);
	name.text = mem_strndup((const char *)text.data, text.len);
	return insert(names, &name, err);
}

enum err_code names_add_ip(
    struct names *names, struct bytes octets, struct err *err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct name name = {.kind = NAME_IP};
	char text[IP_TEXT_SIZE];

	if (octets.len != 4 && octets.len != 16)
		return err_refuse(err, ERR_BAD_FIELD,
		    "IP address of %zu octets: 4 or 16 are wanted "
		    "(RFC 5280 4.2.1.6)", octets.len);
	/* One address, two encodings: ranges would see two. */
	if (octets.len == 16 && memcmp(octets.data, mapped, 12) == 0)
		return err_refuse(err, ERR_BAD_FIELD,
		    "IP address is IPv4-mapped: ask for the IPv4 address");
	name.ip.len = (uint8_t)octets.len;
	memcpy(name.ip.octets, octets.data, octets.len);
	name.text = mem_strdup(ip_format(&name.ip, text));
	return insert(names, &name, err);
}

static enum err_code add_ip_text(
    struct names *names, struct bytes text, struct err *err)
{
	char copy[IP_TEXT_SIZE] = "";
	struct ip ip;

	if (text.len < sizeof(copy) && memchr(text.data, 0, text.len) == NULL)
		memcpy(copy, text.data, text.len);
	if (!ip_parse(copy, &ip))
		return refuse(err, "IP", text, "is not an IP address");
	return names_add_ip(names, BYTES(ip.octets, ip.len), err);
}

enum err_code names_add(struct names *names, enum name_kind kind,
    struct bytes text, struct err *err)
{
	/* memchr and memcpy want a pointer even for nothing. */
	if (text.len == 0)
		text = BYTES("", 0);
	switch (kind) {
	case NAME_DNS:
		return add_dns(names, text, err);
	case NAME_IP:
		return add_ip_text(names, text, err);
	case NAME_URI:
		return add_uri(names, text, err);
	}
	return err_refuse(err, ERR_BAD_FIELD, "unknown kind of name");
}

static bool cn_equal(const struct names *a, const struct names *b)
{
	if (a->common_name == NULL || b->common_name == NULL)
		return a->common_name == b->common_name;
	return strcmp(a->common_name, b->common_name) == 0;
}

bool names_within(const struct names *a, const struct names *b)
{
	bool found;

	if (a->common_name != NULL && !cn_equal(a, b))
		return false;
	for (size_t i = 0; i < a->sans_count; i++) {
		(void)find_place(b, &a->sans[i], &found);
		if (!found)
			return false;
	}
	return true;
}

bool names_equal(const struct names *a, const struct names *b)
{
	return a->sans_count == b->sans_count && cn_equal(a, b) &&
	    names_within(a, b);
}

void names_write(const struct names *names, struct buf *out)
{
	buf_put_lv_str(out, names->common_name); /* a CN is never empty */
	buf_put_u8(out, (uint8_t)names->sans_count);
	for (size_t i = 0; i < names->sans_count; i++) {
		buf_put_u8(out, (uint8_t)names->sans[i].kind);
		buf_put_lv_str(out, names->sans[i].text);
	}
}

/* Reads one SAN, which must be in normal form and behind those before it, so
 * that names have one encoding. */
static bool read_san(struct reader *reader, struct names *names)
{
	uint8_t kind = reader_u8(reader);
	struct bytes text = reader_lv(reader);
	const struct name *last;
	struct err err;

	if (reader->failed || kind > NAME_URI)
		return false;
	if (names_add(names, (enum name_kind)kind, text, &err) != ERR_OK)
		return false;
	last = &names->sans[names->sans_count - 1];
	return last->kind == (enum name_kind)kind &&
	    bytes_equal(BYTES_STR(last->text), text);
}

bool names_read(struct reader *reader, struct names **names_out)
{
	OWNED(names) names = names_new();
	struct bytes cn = reader_lv(reader);
	uint8_t count = reader_u8(reader);
	struct err err;

	if (reader->failed || count > NAMES_MAX)
		return false;
	if (cn.len > 0 && names_set_cn(names, cn, &err) != ERR_OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!read_san(reader, names) || names->sans_count != i + 1)
			return false;
	}
	*names_out = GIVE(names);
	return true;
}
