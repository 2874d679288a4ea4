// SPDX-License-Identifier: Apache-2.0
/*
 * The worker between a server and a token that may both say anything: every reply
 * is one that the server takes.  The input is a length of two octets, that
 * many octets of frames, and the tape of any_token.h.
 */
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "hsm/call.h"
#include "hsm/ops.h"
#include "tests/fuzz/any_token.h"

#define HEAP_SIZE ((size_t)1 << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct err err = {0};

	(void)argc, (void)argv;
	log_open(STDERR_FILENO, "fuzz", LOG_ERROR);
	must(secret_heap_open(HEAP_SIZE, &err) == ERR_OK);
	return 0;
}

static enum wire_status run(
    struct ops *ops, const struct frame *request, struct buf *out)
{
	struct fault fault = {.status = WIRE_OK};
	size_t mark = frame_begin(out, request->id, WIRE_OK, 0);
	enum wire_status status =
	    ops_run(ops, request->code, request->fields, out, &fault);

	if (status != WIRE_OK) {
		must(fault.status == status && fault.text[0] != '\0');
		frame_drop(out, mark);
		mark = frame_begin(out, request->id, (uint8_t)status, 0);
		buf_put_lv_str(out, fault.text);
	}
	must(frame_end(out, mark));
	return status;
}

static void must_be_taken(const struct frame *request, const struct buf *out)
{
	struct frame_inbox inbox = {.taken = 0};
	struct frame reply;
	uint8_t space[1];
	OWNED_BUF(spill);
	struct call call = {.op = (enum wire_op)request->code,
	    .space = space, .room = sizeof(space), .spill = &spill};

	buf_put_bytes(&inbox.buf, buf_bytes(out));
	must(frame_take(&inbox, &reply) == FRAME_WHOLE);
	must(reply.id == request->id && inbox.taken == out->len);
	must(call_take_reply(&call, &reply));
	frame_inbox_free(&inbox);
}

static void answer(struct ops *ops, struct bytes requests)
{
	struct frame_inbox inbox = {.taken = 0};
	struct frame request;

	buf_put_bytes(&inbox.buf, requests);
	while (frame_take(&inbox, &request) == FRAME_WHOLE) {
		OWNED_BUF(out);

		enum wire_status status = run(ops, &request, &out);
		must_be_taken(&request, &out);
		if (status == WIRE_DEVICE_GONE || status == WIRE_PIN)
			break;	/* as the worker does */
	}
	frame_inbox_free(&inbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_over(BYTES(data, size));
	struct bytes requests = reader_take(&reader, reader_u16(&reader));
	struct token *token = any_token(BYTES(reader.next, reader.left));
	OWNED(entropy) entropy = entropy_new(token);
	OWNED(keyring) ring = keyring_new(token);
	OWNED(kek_cache) keks = kek_cache_new(token, entropy, 2);
	struct ops ops = {token, ring, entropy, keks};

	answer(&ops, requests);
	return 0;
}
