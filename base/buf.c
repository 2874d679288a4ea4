// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_CAPACITY 64

struct bytes bytes_str(const char *str)
{
	return BYTES(str, str == NULL ? 0 : strlen(str));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = BUF_INIT;
}

void buf_wipe(struct buf *buf)
{
	/* All of the capacity: a reset buffer still holds what it held. */
	if (buf->data != NULL)
		OPENSSL_cleanse(buf->data, buf->cap);
	buf_free(buf);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
}

struct bytes buf_bytes(const struct buf *buf)
{
	return BYTES(buf->data, buf->len);
}

struct buf buf_give(struct buf *buf)
{
	struct buf given = *buf;

	*buf = BUF_INIT;
	return given;
}

void buf_reserve(struct buf *buf, size_t count)
{
	size_t cap = buf->cap < LEAST_CAPACITY ? LEAST_CAPACITY : buf->cap;

	if (count <= buf->cap - buf->len)
		return;
	if (count > PTRDIFF_MAX - buf->len)
		abort();
	while (cap - buf->len < count)
		cap *= 2;	/* cannot wrap: below twice PTRDIFF_MAX */
	buf->data = mem_resize(buf->data, cap, 1);
	buf->cap = cap;
}

uint8_t *buf_extend(struct buf *buf, size_t count)
{
	uint8_t *at;

	buf_reserve(buf, count == 0 ? 1 : count);
	at = buf->data + buf->len;
	buf->len += count;
	return at;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
	if (len > 0)
		memcpy(buf_extend(buf, len), data, len);
}

void buf_put_bytes(struct buf *buf, struct bytes bytes)
{
	buf_put(buf, bytes.data, bytes.len);
}

void buf_put_str(struct buf *buf, const char *str)
{
	buf_put(buf, str, strlen(str));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args, again;
	size_t room;
	int len;

	buf_reserve(buf, LEAST_CAPACITY);
	room = buf->cap - buf->len;
	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf((char *)buf->data + buf->len, room, fmt, args);
	if (len >= 0 && (size_t)len >= room) {
		buf_reserve(buf, (size_t)len + 1);
		len = vsnprintf((char *)buf->data + buf->len, (size_t)len + 1,
		    fmt, again);
	}
	va_end(again);
	va_end(args);
	if (len < 0)
		abort();
	buf->len += (size_t)len;
}

static void put_big_endian(struct buf *buf, uint64_t value, unsigned octets)
{
	uint8_t *at = buf_extend(buf, octets);

	for (unsigned i = octets; i > 0; i--) {
		at[i - 1] = (uint8_t)(value & 0xff);
		value >>= 8;
	}
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
	*buf_extend(buf, 1) = value;
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
	put_big_endian(buf, value, 2);
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
	put_big_endian(buf, value, 4);
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
	put_big_endian(buf, value, 8);
}

void buf_put_i64(struct buf *buf, int64_t value)
{
	put_big_endian(buf, (uint64_t)value, 8);
}

void buf_put_lv(struct buf *buf, struct bytes bytes)
{
	if (bytes.len > UINT32_MAX)
		abort();
	put_big_endian(buf, bytes.len, 4);
	buf_put_bytes(buf, bytes);
}

void buf_put_lv_str(struct buf *buf, const char *str)
{
	buf_put_lv(buf, bytes_str(str));
}

char *buf_to_str(const struct buf *buf)
{
	char *str = mem_zalloc(buf->len + 1);

	if (buf->len > 0)
		memcpy(str, buf->data, buf->len);
	return str;
}

struct reader reader_over(struct bytes bytes)
{
	return (struct reader){bytes.data, bytes.len, false};
}

struct bytes reader_take(struct reader *reader, size_t len)
{
	struct bytes taken = {reader->next, len};

	if (reader->failed || len > reader->left) {
		*reader = (struct reader){NULL, 0, true};
		return (struct bytes){NULL, 0};
	}
	if (len > 0)
		reader->next += len;
	reader->left -= len;
	return taken;
}

static uint64_t take_big_endian(struct reader *reader, size_t octets)
{
	struct bytes taken = reader_take(reader, octets);
	uint64_t value = 0;

	for (size_t i = 0; i < taken.len; i++)
		value = value << 8 | taken.data[i];
	return value;
}

uint8_t reader_u8(struct reader *reader)
{
	return (uint8_t)take_big_endian(reader, 1);
}

uint16_t reader_u16(struct reader *reader)
{
	return (uint16_t)take_big_endian(reader, 2);
}

uint32_t reader_u32(struct reader *reader)
{
	return (uint32_t)take_big_endian(reader, 4);
}

uint64_t reader_u64(struct reader *reader)
{
	return take_big_endian(reader, 8);
}

int64_t reader_i64(struct reader *reader)
{
	return (int64_t)take_big_endian(reader, 8);
}

struct bytes reader_lv(struct reader *reader)
{
	return reader_take(reader, reader_u32(reader));
}

char *reader_lv_str(struct reader *reader)
{
	struct bytes text = reader_lv(reader);

	if (text.len > 0 && memchr(text.data, 0, text.len) != NULL)
		*reader = (struct reader){NULL, 0, true};
	if (reader->failed)
		return NULL;
	return text.len == 0 ? mem_strdup("")
			     : mem_strndup((const char *)text.data, text.len);
}

void reader_copy(struct reader *reader, void *into, size_t len)
{
	struct bytes taken = reader_take(reader, len);

	if (len == 0)
		return;
	if (reader->failed)
		memset(into, 0, len);
	else
		memcpy(into, taken.data, len);
}

bool reader_done(const struct reader *reader)
{
	return !reader->failed && reader->left == 0;
}
