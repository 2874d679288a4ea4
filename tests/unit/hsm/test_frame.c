// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what one side frames the other side takes, whole or in
 * pieces, and nothing that is no frame passes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hsm/frame.h"

struct ends {
	int fd[2];
	struct frame_inbox inbox;
};

static struct ends ends_open(void)
{
	struct ends ends = {.inbox = {BUF_INIT, 0}};

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM, 0, ends.fd), 0);
	return ends;
}

static void ends_close(struct ends *ends)
{
	close(ends->fd[0]);
	close(ends->fd[1]);
	frame_inbox_free(&ends->inbox);
}

static void put_frame(struct buf *out, uint32_t id, const char *text)
{
	size_t mark = frame_begin(out, id, 7, 16);

	buf_put_lv_str(out, text);
	assert_true(frame_end(out, mark));
}

static void give(struct ends *ends, const void *data, size_t len)
{
	assert_int_equal(write(ends->fd[0], data, len), (ssize_t)len);
	assert_int_equal(
	    frame_fill(&ends->inbox, ends->fd[1]), FRAME_IO_OK);
}

static void assert_frame(struct ends *ends, uint32_t id, const char *text)
{
	struct frame frame;

	assert_int_equal(frame_take(&ends->inbox, &frame), FRAME_WHOLE);
	assert_int_equal(frame.id, id);
	assert_int_equal(frame.code, 7);
	assert_true(bytes_equal(reader_lv(&frame.fields), BYTES_STR(text)));
	assert_true(reader_done(&frame.fields));
}

static void frames_sent_together_are_taken_one_by_one(void **state UNUSED)
{
	struct ends ends = ends_open();
	struct frame frame;
	OWNED_BUF(out);

	put_frame(&out, 1, "one");
	put_frame(&out, 0xfffffffe, "");
	put_frame(&out, 3, "three");
	assert_true(frame_send(ends.fd[0], &out));
	assert_int_equal(out.len, 0);
	assert_int_equal(frame_fill(&ends.inbox, ends.fd[1]), FRAME_IO_OK);
	assert_frame(&ends, 1, "one");
	assert_frame(&ends, 0xfffffffe, "");
	assert_frame(&ends, 3, "three");
	assert_int_equal(frame_take(&ends.inbox, &frame), FRAME_PARTIAL);
	ends_close(&ends);
}

static void a_frame_that_comes_octet_by_octet_is_whole_only_at_its_last(
    void **state UNUSED)
{
	struct ends ends = ends_open();
	struct frame frame;
	OWNED_BUF(out);

	put_frame(&out, 9, "slowly");
	for (size_t i = 0; i < out.len; i++) {
		assert_int_equal(
		    frame_take(&ends.inbox, &frame), FRAME_PARTIAL);
		give(&ends, out.data + i, 1);
	}
	assert_frame(&ends, 9, "slowly");
	ends_close(&ends);
}

static void a_length_against_the_protocol_is_no_frame(void **state UNUSED)
{
	static const uint8_t lengths[][4] = {
	    {0, 0, 0, 0}, {0, 0, 0, 4}, {0, 0x10, 0, 1}, {0xff, 0xff, 0xff, 0xff}};
	struct frame frame;

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct ends ends = ends_open();

		give(&ends, lengths[i], 4);
		assert_int_equal(frame_take(&ends.inbox, &frame), FRAME_BAD);
		ends_close(&ends);
	}
}

static void the_longest_frame_is_taken_and_a_longer_one_not_written(
    void **state UNUSED)
{
	struct ends ends = ends_open();
	OWNED_BUF(out);
	size_t mark = frame_begin(&out, 1, 2, 0);
	struct frame frame;
	enum frame_state taken = FRAME_PARTIAL;

	memset(buf_extend(&out, WIRE_FRAME_MAX - 4), 'x', WIRE_FRAME_MAX - 4);
	assert_false(frame_end(&out, mark));
	assert_int_equal(out.len, 0);
	mark = frame_begin(&out, 1, 2, 0);
	memset(buf_extend(&out, WIRE_FRAME_MAX - 5), 'x', WIRE_FRAME_MAX - 5);
	assert_true(frame_end(&out, mark));
	for (size_t sent = 0; sent < out.len;) {
		size_t part = out.len - sent < 4096 ? out.len - sent : 4096;

		assert_int_equal(taken, FRAME_PARTIAL);
		give(&ends, out.data + sent, part);
		sent += part;
		taken = frame_take(&ends.inbox, &frame);
	}
	assert_int_equal(taken, FRAME_WHOLE);
	assert_int_equal(frame.fields.left, WIRE_FRAME_MAX - 5);
	ends_close(&ends);
}

static void frames_taken_are_wiped_and_the_rest_kept(void **state UNUSED)
{
	struct ends ends = ends_open();
	struct frame frame;
	OWNED_BUF(out);

	put_frame(&out, 1, "topsecret");
	put_frame(&out, 2, "next");
	give(&ends, out.data, out.len - 2);
	assert_int_equal(frame_take(&ends.inbox, &frame), FRAME_WHOLE);
	frame_forget(&ends.inbox);
	assert_null(memmem(
	    ends.inbox.buf.data, ends.inbox.buf.cap, "topsecret", 9));
	give(&ends, out.data + out.len - 2, 2);
	assert_frame(&ends, 2, "next");
	ends_close(&ends);
}

static void a_dropped_frame_leaves_what_was_before(void **state UNUSED)
{
	OWNED_BUF(out);
	size_t mark, before;

	put_frame(&out, 1, "kept");
	before = out.len;
	mark = frame_begin(&out, 2, 2, 10);
	buf_put_str(&out, "secret");
	frame_drop(&out, mark);
	assert_int_equal(out.len, before);
	assert_null(memmem(out.data, out.cap, "secret", 6));
}

static void the_end_of_the_other_side_is_told_from_silence(void **state UNUSED)
{
	struct ends ends = ends_open();
	struct timeval tick = {.tv_usec = 1000};
	OWNED_BUF(out);

	setsockopt(
	    ends.fd[1], SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	assert_int_equal(
	    frame_fill(&ends.inbox, ends.fd[1]), FRAME_IO_WAIT);
	shutdown(ends.fd[0], SHUT_RDWR);
	assert_int_equal(frame_fill(&ends.inbox, ends.fd[1]), FRAME_IO_END);
	put_frame(&out, 1, "unread");
	assert_false(frame_send(ends.fd[1], &out));
	assert_int_equal(frame_fill(&ends.inbox, -1), FRAME_IO_FAILED);
	ends_close(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_sent_together_are_taken_one_by_one),
	    cmocka_unit_test(
		a_frame_that_comes_octet_by_octet_is_whole_only_at_its_last),
	    cmocka_unit_test(a_length_against_the_protocol_is_no_frame),
	    cmocka_unit_test(
		the_longest_frame_is_taken_and_a_longer_one_not_written),
	    cmocka_unit_test(frames_taken_are_wiped_and_the_rest_kept),
	    cmocka_unit_test(a_dropped_frame_leaves_what_was_before),
	    cmocka_unit_test(the_end_of_the_other_side_is_told_from_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
