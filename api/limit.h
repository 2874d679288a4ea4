// SPDX-License-Identifier: Apache-2.0
/*
 * How often something may happen for each of many keys: addresses, callers,
 * clusters, sets of names.
 *
 * The generic cell rate algorithm: a cell is the moment by which everything
 * taken so far will have been due, so that time alone empties it.  A key has one
 * cell in each of several rows, found by a hash that nobody outside can compute,
 * and the one that says the least counts: nothing is ever evicted, so nobody can
 * have their own use forgotten, and who shares cells with others in every row is
 * refused too early at worst.  Memory is fixed; taking is O(1) and allocates
 * nothing.
 */
#ifndef API_LIMIT_H
#define API_LIMIT_H

#include "base/buf.h"
#include "base/config.h"

struct limit;

struct limit *limit_new(void);
void limit_free(struct limit *limit);
DEFINE_CLEANUP(limit, limit_free)

/*
 * Takes one for KEY.  0: it may happen now.  Else it may not, nothing was taken,
 * and the answer is in how many microseconds it may, if nobody takes one until
 * then.  NOW_US is clock_mono_us(); a RATE without interval limits nothing.
 * Safe from any thread.
 */
MUST_CHECK int64_t limit_take(struct limit *limit,
    const struct config_rate *rate, struct bytes key, int64_t now_us);

/* WAIT_US as the value of Retry-After: whole seconds, rounded up. */
unsigned limit_retry_after(int64_t wait_us);

/* SipHash-1-3 under a key drawn when this process first asks: no two processes
 * agree, and nobody outside can aim at a value. */
uint64_t limit_hash(struct bytes octets);

#endif
