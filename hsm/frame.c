// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hsm/frame.h"

enum {
	LENGTH_SIZE = 4,
	HEAD_SIZE = LENGTH_SIZE + 4 + 1, /* length, id, code */
	READ_SIZE = 64 * 1024,
};

static void put_length(uint8_t *at, uint32_t length)
{
	at[0] = (uint8_t)(length >> 24);
	at[1] = (uint8_t)(length >> 16);
	at[2] = (uint8_t)(length >> 8);
	at[3] = (uint8_t)length;
}

void frame_reserve(struct buf *buf, size_t room)
{
	size_t cap = buf->cap < 512 ? 512 : buf->cap;
	uint8_t *data;

	if (buf->cap - buf->len >= room)
		return;
	while (cap - buf->len < room)
		cap *= 2;
	data = mem_zalloc(cap);
	if (buf->len > 0)
		memcpy(data, buf->data, buf->len);
	if (buf->data != NULL)
		OPENSSL_cleanse(buf->data, buf->len);
	free(buf->data);
	buf->data = data;
	buf->cap = cap;
}

size_t frame_begin(struct buf *out, uint32_t id, uint8_t code, size_t room)
{
	size_t mark = out->len;

	frame_reserve(out, HEAD_SIZE + room);
	buf_put_u32(out, 0);
	buf_put_u32(out, id);
	buf_put_u8(out, code);
	return mark;
}

bool frame_end(struct buf *out, size_t mark)
{
	size_t length = out->len - mark - LENGTH_SIZE;

	if (length > WIRE_FRAME_MAX) {
		frame_drop(out, mark);
		return false;
	}
	put_length(out->data + mark, (uint32_t)length);
	return true;
}

void frame_drop(struct buf *out, size_t mark)
{
	if (out->len == mark)
		return;
	OPENSSL_cleanse(out->data + mark, out->len - mark);
	out->len = mark;
}

void frame_inbox_free(struct frame_inbox *inbox)
{
	buf_wipe(&inbox->buf);
	inbox->taken = 0;
}

void frame_forget(struct frame_inbox *inbox)
{
	struct buf *buf = &inbox->buf;
	size_t left = buf->len - inbox->taken;

	if (inbox->taken == 0)
		return;
	if (left > 0)
		memmove(buf->data, buf->data + inbox->taken, left);
	OPENSSL_cleanse(buf->data + left, buf->len - left);
	buf->len = left;
	inbox->taken = 0;
}

/* How much is still missing of the frame at the front, at most a whole one. */
static size_t missing(const struct frame_inbox *inbox)
{
	struct reader reader = reader_over(buf_bytes(&inbox->buf));
	uint32_t length = reader_u32(&reader);

	if (length > WIRE_FRAME_MAX || length <= reader.left)
		return 0;
	return length - reader.left;
}

enum frame_io frame_fill(struct frame_inbox *inbox, int fd)
{
	struct buf *buf = &inbox->buf;
	size_t room;
	ssize_t got;

	frame_forget(inbox);
	room = missing(inbox);
	frame_reserve(buf, room > READ_SIZE ? room : READ_SIZE);
	do
		got = recv(fd, buf->data + buf->len, buf->cap - buf->len, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return FRAME_IO_END;
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return FRAME_IO_WAIT;
	if (got < 0)
		return FRAME_IO_FAILED;
	buf->len += (size_t)got;
	return FRAME_IO_OK;
}

enum frame_state frame_take(struct frame_inbox *inbox, struct frame *frame_out)
{
	struct buf *buf = &inbox->buf;
	struct reader reader = reader_over(buf_bytes(buf));
	uint32_t length;

	(void)reader_take(&reader, inbox->taken);
	length = reader_u32(&reader);
	if (reader.failed)
		return FRAME_PARTIAL;
	if (length < HEAD_SIZE - LENGTH_SIZE || length > WIRE_FRAME_MAX)
		return FRAME_BAD;
	if (reader.left < length)
		return FRAME_PARTIAL;
	reader = reader_over(reader_take(&reader, length));
	frame_out->id = reader_u32(&reader);
	frame_out->code = reader_u8(&reader);
	frame_out->fields = reader;
	inbox->taken += LENGTH_SIZE + (size_t)length;
	return FRAME_WHOLE;
}

bool frame_send(int fd, struct buf *out)
{
	size_t sent = 0;

	while (sent < out->len) {
		ssize_t put =
		    send(fd, out->data + sent, out->len - sent, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		sent += (size_t)put;
	}
	frame_drop(out, 0);
	return true;
}

bool frame_send_now(int fd, struct buf *out)
{
	ssize_t put;

	if (out->len == 0)
		return true;
	do
		put = send(
		    fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK;
	memmove(out->data, out->data + put, out->len - (size_t)put);
	frame_drop(out, out->len - (size_t)put);
	return true;
}
