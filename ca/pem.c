// SPDX-License-Identifier: Apache-2.0
#include "ca/pem.h"

#include <string.h>

#include "base/text.h"

#define LINE_MAX_TEXT 64	/* characters, RFC 7468 2 */

static bool is_space(uint8_t octet)
{
	return octet == ' ' || octet == '\t' || octet == '\r' ||
	    octet == '\n';
}

static void trim(struct bytes *text)
{
	while (text->len > 0 && is_space(text->data[0])) {
		text->data++;
		text->len--;
	}
	while (text->len > 0 && is_space(text->data[text->len - 1]))
		text->len--;
}

static bool take_literal(struct bytes *text, const char *literal)
{
	size_t len = strlen(literal);

	if (text->len < len || memcmp(text->data, literal, len) != 0)
		return false;
	text->data += len;
	text->len -= len;
	return true;
}

static bool take_boundary(
    struct bytes *text, const char *kind, const char *label)
{
	return take_literal(text, kind) && take_literal(text, label) &&
	    take_literal(text, "-----");
}

/* What stands up to the next hyphen, without line ends. */
static void take_base64(struct bytes *text, struct buf *out)
{
	buf_reserve(out, text->len);
	while (text->len > 0 && text->data[0] != '-') {
		if (text->data[0] != '\n' && text->data[0] != '\r')
			buf_put_u8(out, text->data[0]);
		text->data++;
		text->len--;
	}
}

bool pem_parse(struct bytes text, const char *label, struct buf *der,
    const char **why_out)
{
	OWNED_BUF(base64);

	trim(&text);
	*why_out = "it does not begin with the BEGIN line of the right label";
	if (!take_boundary(&text, "-----BEGIN ", label))
		return false;
	take_base64(&text, &base64);
	*why_out = "there is no END line to its BEGIN line";
	if (!take_boundary(&text, "-----END ", label))
		return false;
	*why_out = "there is something behind the END line";
	if (text.len > 0)
		return false;
	*why_out = "what is between BEGIN and END is not base64";
	return base64.len > 0 && base64_parse(buf_bytes(&base64), der);
}

void pem_put(struct buf *out, const char *label, struct bytes der)
{
	OWNED_BUF(base64);

	base64_put(&base64, der);
	buf_reserve(out, base64.len + base64.len / LINE_MAX_TEXT + 128);
	buf_printf(out, "-----BEGIN %s-----\n", label);
	for (size_t at = 0; at < base64.len; at += LINE_MAX_TEXT) {
		size_t left = base64.len - at;

		buf_put(out, base64.data + at,
		    left < LINE_MAX_TEXT ? left : LINE_MAX_TEXT);
		buf_put_u8(out, '\n');
	}
	buf_printf(out, "-----END %s-----\n", label);
}
