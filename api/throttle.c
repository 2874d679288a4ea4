// SPDX-License-Identifier: Apache-2.0
#include "api/throttle.h"

/* FNV-1a: spreads names that nobody chooses freely (serials, token ids). */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;
	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

bool throttle_take(struct throttle *throttle, const char *name, int64_t now_us)
{
	_Atomic int64_t *slot =
	    &throttle->slots[hash_name(name) % THROTTLE_SLOTS];
	int64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
	int64_t next;
	do {
		int64_t from = seen > now_us ? seen : now_us;
		next = from + throttle->interval_us;
		if (next - now_us > throttle->burst_us)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    slot, &seen, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}
