// SPDX-License-Identifier: Apache-2.0
/* How often something may happen for each of many names, in bounded memory. */
#ifndef API_THROTTLE_H
#define API_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/own.h"

#define THROTTLE_SLOTS 1024

/*
 * One moment a slot (generic cell rate algorithm).  Names share a slot by their
 * hash; sharing can only refuse more.
 */
struct throttle {
	int64_t interval_us;	/* one each, in the long run */
	int64_t burst_us;	/* interval times what may come at once */
	_Atomic int64_t slots[THROTTLE_SLOTS];
};

/* Takes one for NAME; false when there is none to take.  Any thread. */
MUST_CHECK bool throttle_take(
    struct throttle *throttle, const char *name, int64_t now_us);

#endif
