// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err_class { CLASS_NONE, CLASS_REFUSAL, CLASS_FAULT };

static const struct {
	enum err_class class;
	const char *slug;
	const char *title;
} codes[] = {
	[ERR_OK] = {CLASS_NONE, "ok", "No error"},
#define ERR(code, class, slug, title)                                          \
	[ERR_##code] = {CLASS_##class, slug, title},
#include "base/err.def"
#undef ERR
};

static enum err_class class_of(enum err_code code)
{
	if ((size_t)code >= ARRAY_LEN(codes))
		abort();
	return codes[code].class;
}

/* Replaces the end of a text that filled its array by dots, and takes no part
 * of a UTF-8 sequence along. */
static void mark_cut(char *text, size_t size)
{
	size_t end = size - sizeof("...");

	while (end > 0 && ((uint8_t)text[end] & 0xc0) == 0x80)
		end--;
	memcpy(text + end, "...", sizeof("..."));
}

PRINTF_LIKE(3, 0)
static void format(char *text, size_t size, const char *fmt, va_list args)
{
	int len = vsnprintf(text, size, fmt, args);

	if (len < 0)
		text[0] = '\0';
	else if ((size_t)len >= size)
		mark_cut(text, size);
}

static void begin(struct err *err, enum err_code code, const char *file,
    int line)
{
	err->code = code;
	err->detail[0] = '\0';
	err->cause[0] = '\0';
	err->kept[0] = '\0';
	err->file = file;
	err->line = line;
}

enum err_code err_refuse_at(struct err *err, enum err_code code,
    const char *file, int line, const char *fmt, ...)
{
	va_list args;

	if (class_of(code) != CLASS_REFUSAL)
		abort();
	begin(err, code, file, line);
	va_start(args, fmt);
	format(err->detail, sizeof(err->detail), fmt, args);
	va_end(args);
	return code;
}

enum err_code err_fail_at(struct err *err, enum err_code code,
    const char *file, int line, const char *fmt, ...)
{
	va_list args;

	if (class_of(code) != CLASS_FAULT)
		abort();
	begin(err, code, file, line);
	va_start(args, fmt);
	format(err->cause, sizeof(err->cause), fmt, args);
	va_end(args);
	return code;
}

enum err_code err_fail_crypto_at(
    struct err *err, const char *what, const char *file, int line)
{
	const char *data = NULL;
	char reason[160] = "no reason given";
	int flags = 0;
	unsigned long oldest = ERR_get_error_all(NULL, NULL, NULL, &data,
	    &flags);

	if (oldest != 0)
		ERR_error_string_n(oldest, reason, sizeof(reason));
	if (data == NULL || (flags & ERR_TXT_STRING) == 0)
		data = "";
	err_fail_at(err, ERR_CRYPTO, file, line, "%s: %s%s%s", what, reason,
	    data[0] == '\0' ? "" : ": ", data);
	ERR_clear_error();
	return ERR_CRYPTO;
}

void err_keep(struct err *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format(err->kept, sizeof(err->kept), fmt, args);
	va_end(args);
}

const char *err_kept(const struct err *err)
{
	return err->kept[0] != '\0' ? err->kept : err->detail;
}

void err_clear(struct err *err)
{
	begin(err, ERR_OK, NULL, 0);
}

const char *err_slug(enum err_code code)
{
	(void)class_of(code);
	return codes[code].slug;
}

enum err_code err_from_slug(const char *slug)
{
	for (size_t i = 1; i < ARRAY_LEN(codes); i++)
		if (strcmp(codes[i].slug, slug) == 0)
			return (enum err_code)i;
	return ERR_OK;
}

const char *err_title(enum err_code code)
{
	(void)class_of(code);
	return codes[code].title;
}

int err_is_refusal(enum err_code code)
{
	return class_of(code) == CLASS_REFUSAL;
}

#define QUOTE_MAX 80
#define QUOTE_BUFFERS 8

/* The printable form of one octet; returns its length, at most 4. */
static size_t quote_octet(uint8_t octet, char text[static 5])
{
	static const char digits[] = "0123456789abcdef";

	/* The backslash too, so that an escape cannot be counterfeited. */
	if (octet >= 0x20 && octet < 0x7f && octet != '\\') {
		text[0] = (char)octet;
		return 1;
	}
	text[0] = '\\';
	text[1] = 'x';
	text[2] = digits[octet >> 4];
	text[3] = digits[octet & 15];
	return 4;
}

const char *err_quote(const void *text, size_t len)
{
	static _Thread_local char buffers[QUOTE_BUFFERS][QUOTE_MAX + 1];
	static _Thread_local unsigned turn;
	const uint8_t *octets = text;
	char *out = buffers[turn++ % QUOTE_BUFFERS];
	size_t used = 0, safe = 0;

	for (size_t i = 0; i < len; i++) {
		char unit[5];
		size_t unit_len = quote_octet(octets[i], unit);

		if (used + unit_len > QUOTE_MAX) {
			memcpy(out + safe, "...", 3);
			used = safe + 3;
			break;
		}
		memcpy(out + used, unit, unit_len);
		used += unit_len;
		if (used <= QUOTE_MAX - 3)
			safe = used;
	}
	out[used] = '\0';
	return out;
}

const char *err_quote_str(const char *text)
{
	return text == NULL ? "" : err_quote(text, strlen(text));
}
