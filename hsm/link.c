// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fiber.h"
#include "hsm/link.h"

#define SLOT(link, seq) (&(link)->slots[(seq) % LINK_CALLS_MAX])

/* More than this need not be told apart. */
#define TURN_MAX_US 1000000

/* Added to the load of a link whose worker has not answered for a tick. */
#define STALLED (1U << 16)

struct slot {
	struct call *call;	/* NULL: the caller gave up */
	int64_t sent_us;
	int64_t limit_ms;
};

/*
 * Under LOCK: slots first..last-1 are the requests not yet answered, in the order
 * sent, which is the order of replies; the request of sequence number S has id
 * (uint32_t)S.  While SENDING one thread writes SPARE to FD without the lock; FD
 * is closed only when nobody sends.  When OUT is not empty, a thread is sending or
 * about to, or the worker has a request, whose reply makes the supervisor send.  A call in a
 * slot is on a living stack: its owner leaves only after taking it out or seeing it
 * answered or lost.
 */
struct link {
	pthread_mutex_t lock;
	pthread_cond_t sent;
	int fd;			/* -1: closed for calls */
	bool sending;
	bool stalled;
	struct buf out;		/* frames that wait to be sent */
	struct buf spare;
	uint64_t first;
	uint64_t last;
	int64_t heard_us;	/* when the worker last answered */
	uint64_t answered;
	struct slot slots[LINK_CALLS_MAX];

	/* Written under LOCK, read by anyone. */
	_Atomic uint32_t load;
	_Atomic uint32_t turn_us; /* what one operation takes, lately */
	struct frame_inbox inbox; /* the supervisor's alone */
};

struct link *link_new(void)
{
	struct link *link = mem_zalloc(sizeof(*link));

	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->sent, NULL);
	link->fd = -1;
	atomic_store(&link->load, LINK_CLOSED);
	return link;
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	buf_wipe(&link->out);
	buf_wipe(&link->spare);
	frame_inbox_free(&link->inbox);
	pthread_cond_destroy(&link->sent);
	pthread_mutex_destroy(&link->lock);
	free(link);
}

uint32_t link_load(const struct link *link)
{
	return atomic_load_explicit(&link->load, memory_order_relaxed);
}

uint32_t link_backlog_us(const struct link *link)
{
	uint64_t backlog = (uint64_t)link_load(link) *
	    atomic_load_explicit(&link->turn_us, memory_order_relaxed);

	return backlog < UINT32_MAX ? (uint32_t)backlog : UINT32_MAX;
}

static void publish_load(struct link *link)
{
	uint32_t load = (uint32_t)(link->last - link->first);

	if (link->fd < 0)
		load = LINK_CLOSED;
	else if (link->stalled)
		load += STALLED;
	atomic_store_explicit(&link->load, load, memory_order_relaxed);
}

/*
 * Sends what waits, and what others add meanwhile.  Blocking is bounded: a
 * worker that does not read does not answer either, and is killed for it.
 */
static void send_waiting(struct link *link)
{
	link->sending = true;
	while (link->out.len > 0 && link->fd >= 0) {
		struct buf frames = link->out;
		int fd = link->fd;
		bool sent;

		link->out = link->spare;
		pthread_mutex_unlock(&link->lock);
		sent = frame_send(fd, &frames);
		frame_drop(&frames, 0);
		pthread_mutex_lock(&link->lock);
		link->spare = frames;
		if (!sent)	/* the supervisor sees the end too */
			shutdown(fd, SHUT_RDWR);
	}
	link->sending = false;
	pthread_cond_broadcast(&link->sent);
}

/*
 * The supervisor's sending, after replies.  It must not wait, for the worker may
 * wait for it to read.  What the socket does not take is sent after the next
 * reply: there is one, or the socket would be empty.
 */
static void send_gathered(struct link *link)
{
	struct buf frames = link->out;
	int fd = link->fd;
	bool sent;

	if (link->sending || frames.len == 0 || fd < 0)
		return;
	link->sending = true;
	link->out = link->spare;
	pthread_mutex_unlock(&link->lock);
	sent = frame_send_now(fd, &frames);
	pthread_mutex_lock(&link->lock);
	frame_reserve(&frames, link->out.len);
	buf_put_bytes(&frames, buf_bytes(&link->out));
	frame_drop(&link->out, 0);
	link->spare = link->out;
	link->out = frames;
	if (!sent)	/* the next read sees the end too */
		shutdown(fd, SHUT_RDWR);
	link->sending = false;
	pthread_cond_broadcast(&link->sent);
}

/* For an idle worker: what has gathered since the first caller found it so. */
static void send_first(void *arg)
{
	struct link *link = arg;

	pthread_mutex_lock(&link->lock);
	if (!link->sending)
		send_waiting(link);
	pthread_mutex_unlock(&link->lock);
}

static enum link_submit submit(
    struct link *link, struct call *call, int64_t limit_ms)
{
	if (link->fd < 0)
		return LINK_NOT_OPEN;
	if (link->last - link->first >= LINK_CALLS_MAX)
		return LINK_FULL;
	call->link = link;
	call->id = (uint32_t)link->last;
	call->state = CALL_PENDING;
	waiter_init(&call->waiter);
	if (!call_write(call, call->id, &link->out))
		return LINK_TOO_LONG;
	*SLOT(link, link->last) =
	    (struct slot){call, clock_mono_us(), limit_ms};
	link->last++;
	publish_load(link);
	return LINK_SUBMITTED;
}

enum link_submit link_submit(
    struct link *link, struct call *call, int64_t limit_ms)
{
	enum link_submit result;
	bool worker_is_idle;

	pthread_mutex_lock(&link->lock);
	worker_is_idle = link->first == link->last;
	result = submit(link, call, limit_ms);
	pthread_mutex_unlock(&link->lock);
	if (result == LINK_SUBMITTED && worker_is_idle)
		fiber_defer(send_first, link);
	return result;
}

enum call_state link_await(struct call *call, int64_t deadline)
{
	struct link *link = call->link;

	if (waiter_wait(&call->waiter, deadline))
		return call->state;
	pthread_mutex_lock(&link->lock);
	if (call->state == CALL_PENDING)
		SLOT(link, call->id)->call = NULL;
	pthread_mutex_unlock(&link->lock);
	return call->state;
}

uint64_t link_answered(struct link *link)
{
	uint64_t answered;

	pthread_mutex_lock(&link->lock);
	answered = link->answered;
	pthread_mutex_unlock(&link->lock);
	return answered;
}

void link_attach(struct link *link, int fd)
{
	pthread_mutex_lock(&link->lock);
	link->fd = fd;
	link->stalled = false;
	publish_load(link);
	pthread_mutex_unlock(&link->lock);
}

static void settle(struct link *link, uint64_t seq, enum call_state state,
    struct bells *bells)
{
	struct slot *slot = SLOT(link, seq);
	struct call *call = slot->call;

	slot->call = NULL;
	if (call == NULL)
		return;
	call->state = state;
	waiter_end(&call->waiter, bells);	/* gone from here on */
}

/* True when the frame answers the oldest request as the protocol says. */
static bool deliver(
    struct link *link, const struct frame *frame, struct bells *bells)
{
	struct slot *slot = SLOT(link, link->first);

	if (link->first == link->last || frame->id != (uint32_t)link->first)
		return false;
	if (slot->call != NULL && !call_take_reply(slot->call, frame))
		return false;
	settle(link, link->first, CALL_ANSWERED, bells);
	link->first++;
	link->answered++;
	return true;
}

/* Delivers the whole frames of the inbox.  *END_OUT is set on false. */
static bool deliver_all(
    struct link *link, struct bells *bells, enum link_end *end_out)
{
	struct frame frame;
	enum frame_state state;

	while ((state = frame_take(&link->inbox, &frame)) == FRAME_WHOLE) {
		*end_out = LINK_END_GARBAGE;
		if (!deliver(link, &frame, bells))
			return false;
		*end_out = frame.code == WIRE_PIN ? LINK_END_PIN
						  : LINK_END_DEVICE;
		if (frame.code == WIRE_PIN || frame.code == WIRE_DEVICE_GONE)
			return false;
	}
	*end_out = LINK_END_GARBAGE;
	return state == FRAME_PARTIAL;
}

/*
 * What an operation takes, from how long the worker was at the last COUNT.  Waking
 * it is part of that where there were few, so a smaller figure counts for more.
 */
static void note_turns(struct link *link, int64_t began_us, uint64_t count)
{
	int64_t now = clock_mono_us();
	int64_t since = began_us > link->heard_us ? began_us : link->heard_us;
	int64_t seen = (now - since) / (int64_t)count;
	int64_t turn = atomic_load_explicit(
	    &link->turn_us, memory_order_relaxed);

	turn += (seen - turn) / (seen < turn ? 4 : 64);
	if (seen > turn)
		turn++;
	atomic_store_explicit(&link->turn_us,
	    turn < TURN_MAX_US ? (uint32_t)turn : TURN_MAX_US,
	    memory_order_relaxed);
	link->heard_us = now;
}

static bool take_replies(struct link *link, enum link_end *end_out)
{
	struct bells bells = {0};
	uint64_t first = link->first;
	int64_t began_us;
	bool more;

	pthread_mutex_lock(&link->lock);
	began_us = SLOT(link, first)->sent_us;
	more = deliver_all(link, &bells, end_out);
	if (link->first != first) {
		note_turns(link, began_us, link->first - first);
		link->stalled = false;
	}
	publish_load(link);
	if (more)
		send_gathered(link);
	pthread_mutex_unlock(&link->lock);
	bells_ring(&bells);
	frame_forget(&link->inbox);
	return more;
}

/*
 * A worker does one request after the other, so the oldest one has had its turn
 * since the worker last answered.
 */
static bool is_hung(struct link *link)
{
	struct slot *oldest = SLOT(link, link->first);
	bool hung = false;

	pthread_mutex_lock(&link->lock);
	if (link->first < link->last) {
		int64_t since = oldest->sent_us > link->heard_us
		    ? oldest->sent_us
		    : link->heard_us;
		int64_t waited = (clock_mono_us() - since) / 1000;

		link->stalled = waited >= LINK_TICK_MS;
		hung = waited >= oldest->limit_ms;
	}
	publish_load(link);
	pthread_mutex_unlock(&link->lock);
	return hung;
}

enum link_end link_serve(struct link *link)
{
	enum link_end end;

	for (;;) {
		enum frame_io io = frame_fill(&link->inbox, link->fd);
		uint64_t first = link->first;

		if (io == FRAME_IO_END || io == FRAME_IO_FAILED)
			return LINK_END_CLOSED;
		if (io == FRAME_IO_OK && !take_replies(link, &end))
			return end;
		if (link->first == first && is_hung(link))
			return LINK_END_HUNG;
	}
}

const char *link_end_text(enum link_end end)
{
	switch (end) {
	case LINK_END_CLOSED:
		return "connection closed";
	case LINK_END_GARBAGE:
		return "reply against the protocol";
	case LINK_END_HUNG:
		return "operation took too long";
	case LINK_END_DEVICE:
		return "device gone";
	case LINK_END_PIN:
		return "PIN refused";
	}
	return "unknown";
}

void link_detach(struct link *link)
{
	struct bells bells = {0};

	pthread_mutex_lock(&link->lock);
	if (link->fd >= 0)
		shutdown(link->fd, SHUT_RDWR);
	link->fd = -1;
	while (link->sending)
		pthread_cond_wait(&link->sent, &link->lock);
	for (; link->first < link->last; link->first++)
		settle(link, link->first, CALL_LOST, &bells);
	frame_drop(&link->out, 0);
	publish_load(link);
	pthread_mutex_unlock(&link->lock);
	bells_ring(&bells);
	frame_inbox_free(&link->inbox);
}

void link_shut(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	if (link->fd >= 0)
		shutdown(link->fd, SHUT_RDWR);
	pthread_mutex_unlock(&link->lock);
}
