// SPDX-License-Identifier: Apache-2.0
#include "base/fiber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/switch.h"

/* What is deferred waits for at most so many switches to fibers, and there are at
 * most so many things. */
#define DEFER_SWITCHES 8
#define DEFERRED_MAX 8

/* Address space; memory is used where the stack has been. */
#define STACK_SIZE ((size_t)512 * 1024)

/* Free, running (one at most), or in the queue of those that wait. */
struct fiber {
	struct fibers *set;
	struct place place;
	void (*run)(void *arg);
	void *arg;
	struct waiter *waiter;
	int64_t deadline_ms;
	const char *request;	/* whose log lines it writes */
	struct fiber *next;	/* free, or waiting */
};

struct fibers {
	struct place thread;	/* where the thread left off */
	struct fiber *all;
	unsigned count, idle;	/* idle: on the list SPARE */
	struct fiber *spare;
	struct fiber *first, *last; /* waiting, in the order in which they began */
	unsigned waiting;
	struct deferred {
		void (*act)(void *arg);
		void *arg;
	} deferred[DEFERRED_MAX];
	unsigned deferred_count, switches;
};

static _Thread_local struct fiber *running;

bool fiber_is_running(void)
{
	return running != NULL;
}

static void queue(struct fiber *fiber)
{
	struct fibers *set = fiber->set;

	fiber->next = NULL;
	if (set->last != NULL)
		set->last->next = fiber;
	else
		set->first = fiber;
	set->last = fiber;
	set->waiting++;
}

static void release(struct fiber *fiber)
{
	struct fibers *set = fiber->set;

	fiber->next = set->spare;
	set->spare = fiber;
	set->idle++;
}

/* ---- the fiber's side ---- */

static void leave(struct fiber *fiber)
{
	running = NULL;
	place_switch(&fiber->place, &fiber->set->thread);
}

static void live(void)
{
	struct fiber *fiber = running;

	place_entered(&fiber->set->thread);
	for (;;) {
		fiber->run(fiber->arg);
		release(fiber);
		leave(fiber);
	}
}

bool fiber_wait(struct waiter *waiter, int64_t deadline_ms)
{
	struct fiber *fiber = running;

	fiber->waiter = waiter;
	fiber->deadline_ms = deadline_ms;
	fiber->request = log_request();
	queue(fiber);
	leave(fiber);
	log_set_request(fiber->request);
	return waiter_is_over(waiter);
}

/* ---- the thread's side ---- */

void fibers_act(struct fibers *set)
{
	set->switches = 0;
	while (set->deferred_count > 0) {
		struct deferred it = set->deferred[--set->deferred_count];

		it.act(it.arg);
	}
}

void fiber_defer(void (*act)(void *arg), void *arg)
{
	struct fibers *set = running == NULL ? NULL : running->set;

	if (set == NULL || set->deferred_count == DEFERRED_MAX) {
		act(arg);
		return;
	}
	set->deferred[set->deferred_count++] = (struct deferred){act, arg};
}

static void enter(struct fiber *fiber)
{
	struct fibers *set = fiber->set;

	running = fiber;
	place_switch(&set->thread, &fiber->place);
	log_set_request(NULL);
	if (++set->switches >= DEFER_SWITCHES)
		fibers_act(set);
}

void fibers_start(struct fibers *set, void (*run)(void *arg), void *arg)
{
	struct fiber *fiber = set->spare;

	set->spare = fiber->next;
	set->idle--;
	fiber->run = run;
	fiber->arg = arg;
	enter(fiber);
}

static struct fiber *take_first(struct fibers *set)
{
	struct fiber *fiber = set->first;

	set->first = fiber->next;
	if (set->first == NULL)
		set->last = NULL;
	set->waiting--;
	return fiber;
}

bool fibers_go_on(struct fibers *set)
{
	int64_t now = set->waiting > 0 ? clock_mono_ms() : 0;
	bool any = false;

	/* Once round: who waits again meanwhile has its turn next time. */
	for (unsigned left = set->waiting; left > 0; left--) {
		struct fiber *fiber = take_first(set);

		if (waiter_is_over(fiber->waiter) ||
		    fiber->deadline_ms <= now) {
			enter(fiber);
			any = true;
		} else {
			queue(fiber);
		}
	}
	return any;
}

int64_t fibers_deadline(const struct fibers *set)
{
	int64_t least = WAIT_FOREVER;

	for (const struct fiber *it = set->first; it != NULL; it = it->next)
		if (it->deadline_ms < least)
			least = it->deadline_ms;
	return least;
}

unsigned fibers_idle(const struct fibers *set)
{
	return set->idle;
}

unsigned fibers_under_way(const struct fibers *set)
{
	return set->count - set->idle;
}

enum err_code fibers_open(
    unsigned count, struct fibers **fibers_out, struct err *err)
{
	OWNED(fibers) set = mem_zalloc(sizeof(*set));

	set->all = mem_zalloc_array(count, sizeof(*set->all));
	for (; set->count < count; set->count++) {
		struct fiber *fiber = &set->all[set->count];

		fiber->set = set;
		if (!place_open(&fiber->place, STACK_SIZE, live))
			return err_fail(err, ERR_IO, "stack %u of %u: %s",
			    set->count + 1, count, strerror(errno));
		release(fiber);
	}
	*fibers_out = GIVE(set);
	return ERR_OK;
}

void fibers_close(struct fibers *set)
{
	if (set == NULL)
		return;
	for (unsigned i = 0; i < set->count; i++)
		place_close(&set->all[i].place);
	free(set->all);
	free(set);
}
