// SPDX-License-Identifier: Apache-2.0
/*
 * The connection to one worker process, shared by many callers.  A caller that
 * finds the worker busy leaves its request in the out-buffer: one thread, the
 * worker's supervisor, reads the replies, sends all that has gathered meanwhile
 * and wakes each waiter.  So the busier the worker, the more requests and replies
 * share a crossing.  A link outlives the processes it is attached to.
 */
#ifndef HSM_LINK_H
#define HSM_LINK_H

#include "hsm/call.h"

#define LINK_CALLS_MAX 256	/* in flight on one link; a power of two */
#define LINK_TICK_MS 100	/* how soon link_serve notices a hung worker */

struct link;

struct link *link_new(void);
void link_free(struct link *link);	/* detached */

/* Callers. */

/* How busy the link is; one that takes no calls is busiest of all. */
#define LINK_CLOSED UINT32_MAX
uint32_t link_load(const struct link *link);
/* About how long the worker will be at what it has, in microseconds. */
uint32_t link_backlog_us(const struct link *link);

enum link_submit {
	LINK_SUBMITTED,
	LINK_NOT_OPEN,
	LINK_FULL,
	LINK_TOO_LONG,		/* the request does not fit a frame */
};
/* LIMIT_MS: how long the worker may take for it, once it is its turn. */
MUST_CHECK enum link_submit link_submit(
    struct link *link, struct call *call, int64_t limit_ms);
/* Waits for a submitted call.  CALL_PENDING when DEADLINE came first: the call
 * has then been taken back and no thread will touch it again. */
MUST_CHECK enum call_state link_await(struct call *call, int64_t deadline);
uint64_t link_answered(struct link *link);	/* replies since link_new */

/* The supervisor of the link's worker. */

/* Opens the link for calls over FD, whose receive timeout is LINK_TICK_MS; it is
 * the supervisor's to close after link_detach. */
void link_attach(struct link *link, int fd);

enum link_end {
	LINK_END_CLOSED,	/* the worker closed the connection */
	LINK_END_GARBAGE,	/* a reply against the protocol */
	LINK_END_HUNG,		/* an operation took longer than its limit */
	LINK_END_DEVICE,	/* the worker reported its device gone */
	LINK_END_PIN,		/* the token refused the PIN: not to be tried again */
};
/* Reads replies and wakes callers until the worker is of no more use. */
enum link_end link_serve(struct link *link);
const char *link_end_text(enum link_end end);

/* Closes the link for calls; those in flight are lost. */
void link_detach(struct link *link);
/* Any thread: makes link_serve return. */
void link_shut(struct link *link);

#endif
