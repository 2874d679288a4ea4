// SPDX-License-Identifier: Apache-2.0
/* Octets: borrowed views, owned growable buffers, and a reader that cannot
 * run past the end.  Integers are big-endian throughout. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>
#include "base/own.h"

/* A borrowed view; whoever made it says how long it lives. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

#define BYTES(ptr, length) ((struct bytes){(const uint8_t *)(ptr), (length)})
#define BYTES_OF(array) BYTES((array), sizeof(array))
#define BYTES_STR(str) bytes_str(str)
struct bytes bytes_str(const char *str);
bool bytes_equal(struct bytes a, struct bytes b);	/* not for secrets */
int bytes_compare(struct bytes a, struct bytes b);

/* An owned buffer.  OWNED_BUF(b); begins empty and is freed with its scope. */
struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};
#define BUF_INIT ((struct buf){NULL, 0, 0})
#define OWNED_BUF(name) __attribute__((cleanup(buf_free), unused)) struct buf name = BUF_INIT

void buf_free(struct buf *buf);		/* leaves it empty and usable */
/* As buf_free, octets cleansed first.  What a growth left behind is out of its
 * reach: a buffer that will hold a secret gets its whole room by buf_reserve. */
void buf_wipe(struct buf *buf);
void buf_reset(struct buf *buf);	/* length 0, memory kept */
struct bytes buf_bytes(const struct buf *buf);
struct buf buf_give(struct buf *buf);	/* moves out, leaves BUF_INIT */

/* Makes room for COUNT more octets, so that adding them does not move it. */
void buf_reserve(struct buf *buf, size_t count);
/* Appends COUNT octets of unspecified content and returns where they begin. */
uint8_t *buf_extend(struct buf *buf, size_t count);
void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_bytes(struct buf *buf, struct bytes bytes);
void buf_put_str(struct buf *buf, const char *str);	/* without the NUL */
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_i64(struct buf *buf, int64_t value);
/* 32-bit length, then the octets.  A NULL string is written as empty. */
void buf_put_lv(struct buf *buf, struct bytes bytes);
void buf_put_lv_str(struct buf *buf, const char *str);
/* The content as a malloc'd NUL-terminated string. */
char *buf_to_str(const struct buf *buf);

/*
 * A reader over borrowed octets.  The first short read or malformed string makes
 * it fail for good: every later read gives zero or empty, so that a decoder
 * reads to the end and then asks reader_done() once.
 */
struct reader {
	const uint8_t *next;
	size_t left;
	bool failed;
};

struct reader reader_over(struct bytes bytes);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
int64_t reader_i64(struct reader *reader);
struct bytes reader_take(struct reader *reader, size_t len);	/* borrowed */
struct bytes reader_lv(struct reader *reader);			/* borrowed */
/* A malloc'd copy without NUL inside; NULL only when the reader has failed. */
char *reader_lv_str(struct reader *reader);
void reader_copy(struct reader *reader, void *into, size_t len);
/* True when everything was read and nothing failed. */
MUST_CHECK bool reader_done(const struct reader *reader);

#endif
