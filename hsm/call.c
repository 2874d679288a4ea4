// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <string.h>

#include "hsm/call.h"
#include "hsm/object.h"

bool call_may_repeat(enum wire_op op)
{
	switch (op) {
	case WIRE_PING:
	case WIRE_LIST:
	case WIRE_SIGN:
	case WIRE_HMAC:
	case WIRE_SEAL:
	case WIRE_OPEN_SEALED:
	case WIRE_DATA_KEY:
	case WIRE_RANDOM:
	case WIRE_CHECK_KEY:
		return true;
	case WIRE_GENERATE_PAIR:
	case WIRE_GENERATE_SECRET:
	case WIRE_KEK_NEW:
		return false;
	}
	return false;
}

bool call_is_slow(enum wire_op op)
{
	return op == WIRE_GENERATE_PAIR || op == WIRE_GENERATE_SECRET;
}

static size_t fields_size(const struct call *call)
{
	size_t size = 0;

	for (size_t i = 0; i < call->field_count; i++)
		size += 4 + call->fields[i].lv.len;
	return size;
}

bool call_write(const struct call *call, uint32_t id, struct buf *out)
{
	size_t size = fields_size(call), mark;

	if (size > WIRE_FRAME_MAX)
		return false;
	mark = frame_begin(out, id, (uint8_t)call->op, size);
	for (size_t i = 0; i < call->field_count; i++) {
		const struct field *field = &call->fields[i];

		switch (field->kind) {
		case FIELD_LV:
			buf_put_lv(out, field->lv);
			break;
		case FIELD_U8:
			buf_put_u8(out, (uint8_t)field->num);
			break;
		case FIELD_U16:
			buf_put_u16(out, (uint16_t)field->num);
			break;
		}
	}
	return frame_end(out, mark);
}

static bool is_lvs(struct reader fields, int count)
{
	while (count-- > 0)
		(void)reader_lv(&fields);
	return reader_done(&fields);
}

static bool is_objects(struct reader fields, uint32_t count)
{
	while (count-- > 0 && !fields.failed)
		object_skip(&fields);
	return reader_done(&fields);
}

/* Whether the fields of an OK reply are those of its op. */
static bool fits_op(enum wire_op op, struct reader fields)
{
	uint32_t count;

	switch (op) {
	case WIRE_PING:
		return is_lvs(fields, 0);
	case WIRE_GENERATE_SECRET:
	case WIRE_SIGN:
	case WIRE_HMAC:
	case WIRE_KEK_NEW:
	case WIRE_SEAL:
	case WIRE_OPEN_SEALED:
	case WIRE_RANDOM:
		return is_lvs(fields, 1);
	case WIRE_GENERATE_PAIR:
	case WIRE_DATA_KEY:
		return is_lvs(fields, 2);
	case WIRE_CHECK_KEY:
		return is_objects(fields, 1);
	case WIRE_LIST:
		count = reader_u32(&fields);
		return is_objects(fields, count);
	}
	return false;
}

static bool take_text(struct call *call, struct reader fields)
{
	struct bytes text = reader_lv(&fields);
	size_t len = text.len < sizeof(call->text) - 1
	    ? text.len
	    : sizeof(call->text) - 1;

	if (!reader_done(&fields))
		return false;
	if (len > 0)
		memcpy(call->text, text.data, len);
	call->text[len] = '\0';
	return true;
}

bool call_take_reply(struct call *call, const struct frame *frame)
{
	struct reader fields = frame->fields;

	if (frame->code > WIRE_CONFIG)
		return false;
	call->status = (enum wire_status)frame->code;
	if (call->status != WIRE_OK)
		return take_text(call, fields);
	if (!fits_op(call->op, fields))
		return false;
	if (fields.left <= call->room) {
		call->reply = BYTES(call->space, fields.left);
		reader_copy(&fields, call->space, fields.left);
		return true;
	}
	if (call->spill == NULL)
		return false;
	buf_reset(call->spill);
	buf_put(call->spill, fields.next, fields.left);
	call->reply = buf_bytes(call->spill);
	return true;
}
