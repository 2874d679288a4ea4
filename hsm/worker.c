// SPDX-License-Identifier: Apache-2.0
#include "hsm/worker.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "hsm/frame.h"
#include "hsm/ops.h"

/* Requests and replies carry plaintexts: room for all but the largest, which is
 * kept out of swap. */
#define ROOM (256 * 1024)
#define REPLY_ROOM (10 * 1024)
/* Replies wait for each other to share a write, but not for a slow token. */
#define FLUSH_OCTETS (64 * 1024)
#define FLUSH_US 2000

struct worker {
	struct ops ops;
	struct frame_inbox inbox;
	struct buf out;
	int64_t first_reply_us; /* when out became not empty */
	int fd;
};

/* Best effort: the limit on locked memory is first for the heap of secrets. */
static void keep_from_swap(struct buf *buf)
{
	frame_reserve(buf, ROOM);
	if (mlock(buf->data, buf->cap) != 0)
		LOG(WARN, "buffers of the worker are not locked in memory");
}

static void put_status(struct worker *worker, uint32_t id,
    enum wire_status status, const char *text)
{
	size_t mark = frame_begin(&worker->out, id, (uint8_t)status,
	    sizeof(((struct fault *)0)->text));

	if (text != NULL)
		buf_put_lv_str(&worker->out, text);
	if (!frame_end(&worker->out, mark)) /* text is bounded */
		LOG(ERROR, "a status did not fit a frame");
}

static void log_fault(uint8_t op, const struct fault *fault)
{
	/* Bad data and absent keys are the caller's business. */
	enum log_level level = fault->status == WIRE_DEVICE_GONE ||
				       fault->status == WIRE_PIN ||
				       fault->status == WIRE_CONFIG
				   ? LOG_ERROR
				   : LOG_DEBUG;

	log_write(level, "operation failed",
	    (const struct log_field[]){LOG_NUM("op", op),
		LOG_STR("status", wire_status_name(fault->status)),
		LOG_STR("cause", fault->text), {0}});
}

static enum wire_status answer(struct worker *worker, const struct frame *frame)
{
	struct fault fault = {.status = WIRE_OK};
	const size_t mark =
	    frame_begin(&worker->out, frame->id, WIRE_OK, REPLY_ROOM);
	enum wire_status status = ops_run(
	    &worker->ops, frame->code, frame->fields, &worker->out, &fault);

	if (status == WIRE_OK && !frame_end(&worker->out, mark))
		status = fault_set(
		    &fault, WIRE_REFUSED, "the answer does not fit a frame");
	if (status == WIRE_OK)
		return WIRE_OK;
	frame_drop(&worker->out, mark);
	put_status(worker, frame->id, status, fault.text);
	log_fault(frame->code, &fault);
	return status;
}

static bool is_last(enum wire_status status)
{
	return status == WIRE_DEVICE_GONE || status == WIRE_PIN ||
	       status == WIRE_CONFIG;
}

static bool flush_due(struct worker *worker)
{
	return worker->out.len >= FLUSH_OCTETS ||
	       clock_mono_us() - worker->first_reply_us >= FLUSH_US;
}

enum turn { TURN_GO_ON, TURN_END, TURN_FAILED };

/* Does every whole request of the inbox. */
static enum turn do_waiting(struct worker *worker, enum wire_status *status_out)
{
	struct frame frame;
	enum frame_state state;

	while ((state = frame_take(&worker->inbox, &frame)) == FRAME_WHOLE) {
		if (worker->out.len == 0)
			worker->first_reply_us = clock_mono_us();
		*status_out = answer(worker, &frame);
		if (is_last(*status_out))
			return frame_send(worker->fd, &worker->out)
				   ? TURN_END
				   : TURN_FAILED;
		if (flush_due(worker) && !frame_send(worker->fd, &worker->out))
			return TURN_FAILED;
	}
	*status_out = WIRE_OK;
	if (!frame_send(worker->fd, &worker->out))
		return TURN_FAILED;
	if (state == FRAME_BAD) {
		LOG(ERROR, "request longer than the protocol allows");
		*status_out = WIRE_BAD_REQUEST;
		return TURN_END;
	}
	return TURN_GO_ON;
}

static enum wire_status serve(struct worker *worker)
{
	enum wire_status status = WIRE_OK;
	enum frame_io io;

	while ((io = frame_fill(&worker->inbox, worker->fd)) == FRAME_IO_OK)
		switch (do_waiting(worker, &status)) {
		case TURN_GO_ON:
			break;
		case TURN_END:
			return status;
		case TURN_FAILED:
			return WIRE_OK; /* the other side is gone */
		}
	return WIRE_OK;
}

static enum wire_status serve_token(struct worker *worker,
    const struct worker_options *options, struct token *token)
{
	OWNED(entropy) entropy = entropy_new(token);
	OWNED(keyring) ring = keyring_new(token);
	OWNED(kek_cache) keks = kek_cache_new(token, entropy,
	    options->kek_limit > 0 ? options->kek_limit : KEK_CACHE_DEFAULT);

	worker->ops = (struct ops){token, ring, entropy, keks};
	put_status(worker, 0, WIRE_OK, NULL);
	if (!frame_send(worker->fd, &worker->out))
		return WIRE_OK;
	return serve(worker);
}

static enum wire_status open_and_serve(
    struct worker *worker, const struct worker_options *options)
{
	const struct token_options token_options = {
	    options->token, options->pin_file};
	struct fault fault = {.status = WIRE_OK};
	OWNED(module) module = NULL;
	OWNED(token) token = NULL;
	enum wire_status status = module_open(options->module, &module, &fault);

	if (status == WIRE_OK)
		status = token_open(module, &token_options, &token, &fault);
	if (status == WIRE_OK)
		return serve_token(worker, options, token);
	/* Whoever started it says so, once. */
	put_status(worker, 0, status, fault.text);
	if (!frame_send(worker->fd, &worker->out))
		LOG(ERROR, "worker cannot start, and nobody listens",
		    LOG_STR("status", wire_status_name(status)),
		    LOG_STR("cause", fault.text));
	return status;
}

enum wire_status worker_run(const struct worker_options *options, int fd)
{
	struct worker worker = {.fd = fd, .out = BUF_INIT};
	enum wire_status status;

	keep_from_swap(&worker.out);
	keep_from_swap(&worker.inbox.buf);
	status = open_and_serve(&worker, options);
	frame_inbox_free(&worker.inbox);
	buf_wipe(&worker.out);
	return status;
}
