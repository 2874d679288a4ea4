// SPDX-License-Identifier: Apache-2.0
#include "base/wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fiber.h"

#define BELLS 64
#define CACHE_LINE 64

/*
 * There are as many as there are, whatever the number of threads: two threads may
 * share one, and then wake for nothing at times.  So a bell outlives the threads
 * that sleep beside it, and can be rung without asking whether they still exist.
 */
struct bell {
	_Alignas(CACHE_LINE) _Atomic uint32_t strokes;
	atomic_uint sleepers;
};

static struct bell bells[BELLS];

static unsigned my_number(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned number; /* 0: not yet given */

	if (number == 0)
		number = 1 +
		    atomic_fetch_add_explicit(
			&threads, 1, memory_order_relaxed) % BELLS;
	return number - 1;
}

struct bells bell_mine(void)
{
	return (struct bells){UINT64_C(1) << my_number()};
}

unsigned bell_strokes(void)
{
	return atomic_load(&bells[my_number()].strokes);
}

/* The kernel compares STROKES under a lock that a ringer takes too, and SLEEPERS
 * is raised before: who rings in between either changes what is compared or sees
 * that there is somebody to wake. */
void bell_sleep(unsigned strokes, int64_t deadline_ms)
{
	struct bell *bell = &bells[my_number()];
	const struct timespec until = {
	    .tv_sec = deadline_ms / 1000,
	    .tv_nsec = deadline_ms % 1000 * 1000000,
	};

	atomic_fetch_add(&bell->sleepers, 1);
	(void)syscall(SYS_futex, &bell->strokes, FUTEX_WAIT_BITSET_PRIVATE,
	    strokes, deadline_ms == WAIT_FOREVER ? NULL : &until, NULL,
	    FUTEX_BITSET_MATCH_ANY);
	atomic_fetch_sub(&bell->sleepers, 1);
}

static void ring(struct bell *bell)
{
	atomic_fetch_add(&bell->strokes, 1);
	if (atomic_load(&bell->sleepers) > 0)
		(void)syscall(SYS_futex, &bell->strokes, FUTEX_WAKE_PRIVATE,
		    INT_MAX, NULL, NULL, 0);
}

void bells_ring(struct bells *set)
{
	for (; set->set != 0; set->set &= set->set - 1)
		ring(&bells[__builtin_ctzll(set->set)]);
}

void waiter_init(struct waiter *waiter)
{
	waiter->bell = (uint8_t)my_number();
	waiter->next = NULL;
	atomic_store_explicit(&waiter->over, false, memory_order_relaxed);
}

void waiter_end(struct waiter *waiter, struct bells *set)
{
	set->set |= UINT64_C(1) << waiter->bell;
	atomic_store_explicit(&waiter->over, true, memory_order_release);
}

bool waiter_is_over(const struct waiter *waiter)
{
	return atomic_load_explicit(&waiter->over, memory_order_acquire);
}

bool waiter_wait(struct waiter *waiter, int64_t deadline_ms)
{
	if (waiter_is_over(waiter))
		return true;
	if (fiber_is_running())
		return fiber_wait(waiter, deadline_ms);
	for (;;) {
		unsigned strokes = bell_strokes();

		if (waiter_is_over(waiter))
			return true;
		if (deadline_ms <= clock_mono_ms())
			return false;
		bell_sleep(strokes, deadline_ms);
	}
}

static void forget(struct condition *condition, const struct waiter *waiter)
{
	struct waiter **at = &condition->first;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
}

bool condition_wait(struct condition *condition, pthread_mutex_t *lock,
    int64_t deadline_ms)
{
	struct waiter waiter;

	waiter_init(&waiter);
	waiter.next = condition->first;
	condition->first = &waiter;
	pthread_mutex_unlock(lock);
	(void)waiter_wait(&waiter, deadline_ms);
	pthread_mutex_lock(lock);
	if (waiter_is_over(&waiter))
		return true;
	forget(condition, &waiter);
	return false;
}

void condition_tell(struct condition *condition)
{
	struct waiter *waiter = condition->first;
	struct bells set = {0};

	condition->first = NULL;
	while (waiter != NULL) {
		struct waiter *next = waiter->next;

		waiter_end(waiter, &set);
		waiter = next;
	}
	bells_ring(&set);
}
