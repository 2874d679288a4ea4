// SPDX-License-Identifier: Apache-2.0
#include "policies/syntax.h"

#include <string.h>

#include "base/text.h"
#include "policies/names.h"

#define LABEL_MAX 63		/* octets, RFC 1035 2.3.4 */
#define IDENTIFIER_MAX 63	/* octets, PostgreSQL's NAMEDATALEN - 1 */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *check_label(struct bytes label)
{
	if (label.len == 0)
		return "has an empty label";
	if (label.len > LABEL_MAX)
		return "has a label of more than 63 octets";
	for (size_t i = 0; i < label.len; i++) {
		uint8_t c = label.data[i];

		if (!is_letter(c) && !is_digit(c) && c != '-')
			return "may hold letters, digits and hyphens alone "
			       "(RFC 1034 3.5)";
	}
	if (label.data[0] == '-' || label.data[label.len - 1] == '-')
		return "has a label that begins or ends with a hyphen";
	return NULL;
}

/* Resolvers read a name that ends in a number, as in "10.1" or "0x7f000001",
 * as an address. */
static bool is_number(struct bytes label)
{
	bool hex = label.len >= 2 && label.data[0] == '0' &&
	    (label.data[1] == 'x' || label.data[1] == 'X');

	for (size_t i = hex ? 2 : 0; i < label.len; i++) {
		if (hex ? !is_hex(label.data[i]) : !is_digit(label.data[i]))
			return false;
	}
	return true;
}

/* Cuts the first label and its dot off *REST. */
static struct bytes next_label(struct bytes *rest)
{
	const uint8_t *dot = memchr(rest->data, '.', rest->len);
	size_t len = dot == NULL ? rest->len : (size_t)(dot - rest->data);
	struct bytes label = {rest->data, len};

	rest->data += dot == NULL ? len : len + 1;
	rest->len -= dot == NULL ? len : len + 1;
	return label;
}

static const char *check_dns(struct bytes text, size_t behind_star)
{
	struct bytes rest = text, label = {0};
	bool wildcard = text.len >= 2 && memcmp(text.data, "*.", 2) == 0;
	size_t labels = 0;
	const char *wrong;

	if (text.len == 0)
		return "is empty";
	if (text.len > NAME_DNS_MAX)
		return "is longer than 253 octets";
	if (text.data[text.len - 1] == '.')
		return "ends with a dot";
	if (wildcard)
		(void)next_label(&rest);
	while (rest.len > 0) {
		label = next_label(&rest);
		if ((wrong = check_label(label)) != NULL)
			return wrong;
		labels++;
	}
	if (is_number(label))
		return "looks like an address: ask for it as an IP";
	if (wildcard && labels < behind_star)
		return "has too few labels behind \"*.\"";
	return NULL;
}

const char *syntax_dns(struct bytes text)
{
	return check_dns(text, 1);
}

const char *syntax_dns_pattern(struct bytes text)
{
	return check_dns(text, 2);
}

/* The characters of RFC 3986 2.2 and 2.3, without "%". */
static bool is_uri_character(uint8_t c)
{
	return is_letter(c) || is_digit(c) ||
	    (c != '\0' && strchr("-._~:/?#[]@!$&'()*+,;=", c) != NULL);
}

/* Octets of the scheme at the start of TEXT, 0 when there is none. */
static size_t scheme_length(struct bytes text)
{
	size_t len = 0;

	if (text.len == 0 || !is_letter(text.data[0]))
		return 0;
	while (len < text.len && (is_letter(text.data[len]) ||
	    is_digit(text.data[len]) || text.data[len] == '+' ||
	    text.data[len] == '-' || text.data[len] == '.'))
		len++;
	return len < text.len && text.data[len] == ':' ? len : 0;
}

const char *syntax_uri(struct bytes text)
{
	size_t scheme = scheme_length(text);

	if (text.len > NAME_URI_MAX)
		return "is longer than 512 octets";
	if (scheme == 0)
		return "has no scheme (RFC 5280 4.2.1.6)";
	if (text.len == scheme + 1)
		return "has nothing behind its scheme (RFC 5280 4.2.1.6)";
	for (size_t i = scheme + 1; i < text.len; i++) {
		bool escape = text.data[i] == '%' && i + 2 < text.len &&
		    is_hex(text.data[i + 1]) && is_hex(text.data[i + 2]);

		if (!escape && !is_uri_character(text.data[i]))
			return "has a character that RFC 3986 does not allow";
	}
	return NULL;
}

/* The code point at TEXT, which is valid UTF-8; *LEN is its octets. */
static uint32_t decode(const uint8_t *text, size_t *len)
{
	uint8_t first = text[0];
	uint32_t point;

	*len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	point = *len == 1 ? first : first & (0x7fU >> *len);
	for (size_t i = 1; i < *len; i++)
		point = point << 6 | (text[i] & 0x3f);
	return point;
}

/* Characters that are not seen, or that make others be seen elsewhere. */
static bool is_printable(uint32_t point)
{
	static const struct {
		uint32_t from, to;
	} refused[] = {
		{0x0000, 0x001f}, {0x007f, 0x009f}, /* C0, DEL, C1 */
		{0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x180e, 0x180e},
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
		{0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
		{0xe000, 0xf8ff}, {0xe0000, 0x10ffff}, /* private, tags */
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (point >= refused[i].from && point <= refused[i].to)
			return false;
	}
	return (point & 0xfffe) != 0xfffe; /* noncharacters */
}

const char *syntax_cn(struct bytes text)
{
	size_t characters = 0, len;

	if (text.len == 0)
		return "is empty";
	if (!text_is_utf8(text))
		return "is not UTF-8";
	for (size_t i = 0; i < text.len; i += len) {
		if (!is_printable(decode(text.data + i, &len)))
			return "has a character that cannot be seen";
		characters++;
	}
	if (characters > NAME_CN_MAX)
		return "is longer than 64 characters (RFC 5280 A.1)";
	if (text.data[0] == ' ' || text.data[text.len - 1] == ' ')
		return "begins or ends with a space";
	return NULL;
}

bool syntax_is_identifier(struct bytes text)
{
	if (text.len == 0 || text.len > IDENTIFIER_MAX || is_digit(text.data[0]))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '_')
			return false;
	}
	return true;
}
