// SPDX-License-Identifier: Apache-2.0
#include "store/slots.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A cache line of its own, so that takers of neighbours do not meet. */
struct slot {
	_Alignas(64) atomic_bool taken;
};

/* "free" counts the places that are not taken, and so never more than there
 * are: whoever it lets in finds one. */
struct slots {
	sem_t free;
	unsigned count;
	struct slot slot[];
};

struct slots *slots_new(unsigned count)
{
	size_t size = sizeof(struct slots) + count * sizeof(struct slot);
	struct slots *slots = aligned_alloc(64, (size + 63) / 64 * 64);

	if (slots == NULL)
		abort();
	memset(slots, 0, size);
	slots->count = count;
	sem_init(&slots->free, 0, count);
	return slots;
}

void slots_free(struct slots *slots)
{
	if (slots == NULL)
		return;
	sem_destroy(&slots->free);
	free(slots);
}

static bool wait_for_one(struct slots *slots, int64_t wait_ms)
{
	struct timespec until;

	if (sem_trywait(&slots->free) == 0)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += wait_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (sem_clockwait(&slots->free, CLOCK_MONOTONIC, &until) != 0)
		if (errno != EINTR)
			return false;
	return true;
}

static bool claim(struct slot *slot)
{
	return !atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
	       !atomic_exchange_explicit(
		   &slot->taken, true, memory_order_acquire);
}

bool slots_take(struct slots *slots, int64_t wait_ms, unsigned *slot_out)
{
	static atomic_uint threads;
	static _Thread_local unsigned home; /* 0: not yet given */
	unsigned i;

	if (!wait_for_one(slots, wait_ms))
		return false;
	if (home == 0)
		home = 1 + atomic_fetch_add(&threads, 1) % (1U << 30);
	for (i = home - 1; !claim(&slots->slot[i % slots->count]); i++)
		continue;
	*slot_out = i % slots->count;
	return true;
}

void slots_give(struct slots *slots, unsigned slot)
{
	atomic_store_explicit(
	    &slots->slot[slot].taken, false, memory_order_release);
	sem_post(&slots->free);
}
