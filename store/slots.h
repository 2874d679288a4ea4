// SPDX-License-Identifier: Apache-2.0
/* A fixed number of places, each held by one thread at a time. */
#ifndef STORE_SLOTS_H
#define STORE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/own.h"

struct slots;

struct slots *slots_new(unsigned count);
void slots_free(struct slots *slots);
DEFINE_CLEANUP(slots, slots_free)

/*
 * Takes a place, waiting at most WAIT_MS for one; false when none came free.  A
 * thread is given the same place again where it can be: what is kept there is
 * warm, and threads do not contend.  Safe from any thread.
 */
MUST_CHECK bool slots_take(
    struct slots *slots, int64_t wait_ms, unsigned *slot_out);
/* Any thread may give back what another took. */
void slots_give(struct slots *slots, unsigned slot);

#endif
