// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <string.h>

char *hex_write(const void *data, size_t len, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *octets = data;

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[octets[i] >> 4];
		text[2 * i + 1] = digits[octets[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

char *hex_new(const void *data, size_t len)
{
	return hex_write(data, len, mem_zalloc_array(len + 1, 2));
}

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

/* Two digits at TEXT; reads the second only when the first is one. */
static bool hex_octet(const char *text, uint8_t *octet_out)
{
	int high = hex_digit(text[0]);
	int low = high < 0 ? -1 : hex_digit(text[1]);

	if (low < 0)
		return false;
	*octet_out = (uint8_t)(high << 4 | low);
	return true;
}

bool hex_parse(const char *text, void *data, size_t len)
{
	uint8_t *octets = data;

	for (size_t i = 0; i < len; i++) {
		if (!hex_octet(text + 2 * i, &octets[i]))
			return false;
	}
	return text[2 * len] == '\0';
}

bool hex_parse_any(const char *text, size_t max, struct buf *out)
{
	size_t before = out->len;

	while (*text != '\0') {
		uint8_t octet;

		if (out->len > before && *text == ':')
			text++;
		if (out->len - before == max || !hex_octet(text, &octet)) {
			out->len = before;
			return false;
		}
		buf_put_u8(out, octet);
		text += 2;
	}
	return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_encoded(
    struct buf *out, struct bytes data, const char *digits, bool pad)
{
	for (size_t i = 0; i < data.len; i += 3) {
		size_t count = data.len - i < 3 ? data.len - i : 3;
		uint32_t group = (uint32_t)data.data[i] << 16;
		uint8_t text[4];

		if (count > 1)
			group |= (uint32_t)data.data[i + 1] << 8;
		if (count > 2)
			group |= data.data[i + 2];
		for (unsigned k = 0; k < 4; k++) {
			text[k] = k > count ? '='
			    : (uint8_t)digits[group >> (18 - 6 * k) & 63];
		}
		buf_put(out, text, pad ? 4 : count + 1);
	}
}

/* 0 to 63, or 64 for an octet that is no digit of the alphabet. */
static uint32_t base64_digit(uint8_t c, const char *digits)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	if (c == (uint8_t)digits[62])
		return 62;
	return c == (uint8_t)digits[63] ? 63 : 64;
}

/* One group of 2 to 4 digits.  Bits beyond the last octet must be zero, or
 * two texts would decode to the same octets. */
static bool put_group(
    struct buf *out, const uint8_t *text, size_t count, const char *digits)
{
	uint32_t group = 0;
	uint8_t octets[3];

	for (size_t k = 0; k < 4; k++) {
		uint32_t digit = k < count ? base64_digit(text[k], digits) : 0;

		if (digit > 63)
			return false;
		group = group << 6 | digit;
	}
	if (count < 2 || (count == 2 && (group & 0xffff) != 0) ||
	    (count == 3 && (group & 0xff) != 0))
		return false;
	octets[0] = (uint8_t)(group >> 16);
	octets[1] = (uint8_t)(group >> 8 & 0xff);
	octets[2] = (uint8_t)(group & 0xff);
	buf_put(out, octets, count - 1);
	return true;
}

static bool parse_encoded(
    struct bytes text, const char *digits, struct buf *out)
{
	size_t before = out->len;

	buf_reserve(out, text.len / 4 * 3 + 3);
	for (size_t i = 0; i < text.len; i += 4) {
		size_t count = text.len - i < 4 ? text.len - i : 4;

		if (!put_group(out, text.data + i, count, digits)) {
			out->len = before;
			return false;
		}
	}
	return true;
}

void base64_put(struct buf *out, struct bytes data)
{
	put_encoded(out, data, base64_digits, true);
}

bool base64_parse(struct bytes text, struct buf *out)
{
	if (text.len % 4 != 0)
		return false;
	for (int i = 0; i < 2; i++) {
		if (text.len > 0 && text.data[text.len - 1] == '=')
			text.len--;
	}
	return parse_encoded(text, base64_digits, out);
}

void base64url_put(struct buf *out, struct bytes data)
{
	put_encoded(out, data, base64url_digits, false);
}

bool base64url_parse(struct bytes text, struct buf *out)
{
	return parse_encoded(text, base64url_digits, out);
}

static bool is_alnum_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* LEN octets that are an RFC 1123 label in lower case, or in any. */
static bool is_label(const char *text, size_t len, bool any_case)
{
	if (len == 0 || len > 63 || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = any_case ? to_lower(text[i]) : text[i];

		if (!is_alnum_lower(c) && c != '-')
			return false;
	}
	return true;
}

bool text_is_label(const char *text)
{
	return text != NULL && is_label(text, strnlen(text, 64), false);
}

bool text_is_host_name(const char *text)
{
	size_t len;

	if (text == NULL || strnlen(text, 254) > 253)
		return false;
	while (len = strcspn(text, "."), is_label(text, len, true)) {
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
	return false;
}

size_t text_utf8_next(struct bytes text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = text.len == 0 ? 0xff : text.data[0];
	uint32_t point;
	size_t len;

	if (first < 0x80)
		return 1;
	len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || text.len < len)
		return 0;
	point = first & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((text.data[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text.data[i] & 0x3f);
	}
	if (point < least[len] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return len;
}

bool text_is_utf8(struct bytes text)
{
	while (text.len > 0) {
		size_t len = text_utf8_next(text);

		if (len == 0)
			return false;
		text.data += len;
		text.len -= len;
	}
	return true;
}

bool text_has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_has_suffix(const char *text, const char *suffix)
{
	size_t len = strlen(text), want = strlen(suffix);

	return len >= want && strcmp(text + len - want, suffix) == 0;
}

bool text_is_one_of(const char *text, const char *const *words)
{
	while (*words != NULL && strcmp(text, *words) != 0)
		words++;
	return *words != NULL;
}
