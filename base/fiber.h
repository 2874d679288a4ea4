// SPDX-License-Identifier: Apache-2.0
/*
 * Fibers: jobs that take turns on one thread, each on a stack of its own.  One that
 * waits (base/wait.h) gives the thread to the next, so that code which waits reads
 * from top to bottom, and a thread sleeps only when all that it carries wait.
 *
 * A set belongs to the thread that uses it first, and a fiber never changes threads: what
 * is the thread's own may be used between two waits, and not across one.  A fiber
 * that blocks in another way (a lock held long, a sleep) blocks all of its thread.
 */
#ifndef BASE_FIBER_H
#define BASE_FIBER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/wait.h"

struct fibers;

/* COUNT fibers, at least 1, for the thread that starts the first.
 * Errors: ERR_IO. */
MUST_CHECK enum err_code fibers_open(
    unsigned count, struct fibers **fibers_out, struct err *err);
/* None may be under way. */
void fibers_close(struct fibers *fibers);
DEFINE_CLEANUP(fibers, fibers_close)

unsigned fibers_idle(const struct fibers *fibers);
unsigned fibers_under_way(const struct fibers *fibers);

/* Runs RUN(ARG) on a free fiber, of which there must be one, until it ends or
 * waits. */
void fibers_start(struct fibers *fibers, void (*run)(void *arg), void *arg);
/* Lets each go on whose waiting has ended or is past its deadline, until it ends
 * or waits again.  False when there was none. */
bool fibers_go_on(struct fibers *fibers);
/* When the next one's deadline comes (clock_mono_ms), or WAIT_FOREVER. */
int64_t fibers_deadline(const struct fibers *fibers);

/*
 * Has ACT(ARG) called by the thread soon: before it sleeps, and after a few more
 * fibers at the latest; at once where the caller is on no fiber.  So what many
 * fibers have for another thread is handed over once.  ACT must not wait.
 */
void fiber_defer(void (*act)(void *arg), void *arg);
/* Calls what was deferred. */
void fibers_act(struct fibers *fibers);

/* For base/wait.c: whether the caller is on a fiber, and its waiter_wait(). */
bool fiber_is_running(void);
bool fiber_wait(struct waiter *waiter, int64_t deadline_ms);

#endif
