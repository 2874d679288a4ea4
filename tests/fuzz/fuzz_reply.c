// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker sends, as the server reads it, in pieces of any size.  The first
 * octet is the operation that was asked for, the second the size of the pieces;
 * behind them stand frames.  A frame that is taken is written to the same octets,
 * and a reply that is accepted has the fields of its operation.
 */
#include "tests/fuzz/fuzz.h"

#include "hsm/call.h"
#include "hsm/object.h"

#define ROOM 64

static void must_hold_objects(enum wire_op op, struct bytes reply)
{
	struct reader reader = reader_over(reply);
	uint32_t count = op == WIRE_LIST ? reader_u32(&reader) : 1;

	for (uint32_t i = 0; i < count; i++) {
		struct hsm_object object = {.uri = NULL};
		bool parsed = object_parse(&reader, &object);

		if (parsed)
			must(object.uri != NULL && object.id_len <= 32);
		object_clear(&object);
		if (!parsed)
			return;
	}
	must(reader_done(&reader));
}

static void take_reply(enum wire_op op, const struct frame *frame)
{
	OWNED_BUF(spill);
	uint8_t space[ROOM];
	struct call call = {
	    .op = op, .space = space, .room = sizeof(space), .spill = &spill};

	if (!call_take_reply(&call, frame))
		return;
	if (call.status != WIRE_OK) {
		must(strlen(call.text) < sizeof(call.text));
		return;
	}
	must(bytes_equal(call.reply, BYTES(frame->fields.next, frame->fields.left)));
	if (op == WIRE_LIST || op == WIRE_CHECK_KEY)
		must_hold_objects(op, call.reply);
}

static void must_write_again(struct bytes octets, const struct frame *frame)
{
	OWNED_BUF(again);
	size_t mark =
	    frame_begin(&again, frame->id, frame->code, frame->fields.left);

	buf_put(&again, frame->fields.next, frame->fields.left);
	must(frame_end(&again, mark));
	must(bytes_equal(octets, buf_bytes(&again)));
}

/* False when the connection would be ended. */
static bool take_frames(struct frame_inbox *inbox, enum wire_op op)
{
	struct frame frame;

	for (;;) {
		const size_t before = inbox->taken;
		enum frame_state state = frame_take(inbox, &frame);

		if (state != FRAME_WHOLE)
			return state == FRAME_PARTIAL;
		must_write_again(BYTES(inbox->buf.data + before,
				     inbox->taken - before),
		    &frame);
		take_reply(op, &frame);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_over(BYTES(data, size));
	const enum wire_op op = reader_u8(&reader) % WIRE_CHECK_KEY + 1;
	const size_t piece = reader_u8(&reader) + 1U;
	struct frame_inbox inbox = {.taken = 0};
	bool open = true;

	while (open && reader.left > 0) {
		size_t len = reader.left < piece ? reader.left : piece;

		frame_forget(&inbox);
		frame_reserve(&inbox.buf, len);
		buf_put_bytes(&inbox.buf, reader_take(&reader, len));
		open = take_frames(&inbox, op);
	}
	frame_inbox_free(&inbox);
	return 0;
}
