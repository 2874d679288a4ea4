// SPDX-License-Identifier: Apache-2.0
/* The workers and who may use them: chooses a link for each call, sends again
 * what a dead worker left undone, and knows when there is no use in trying. */
#ifndef HSM_POOL_H
#define HSM_POOL_H

#include <pthread.h>
#include "hsm/hsm.h"
#include "hsm/link.h"
#include "hsm/spawn.h"

#define POOL_WORKERS_MAX 64
/* How long calls wait for a worker after the last one was lost. */
#define POOL_GRACE_MS 1500
/* From the start of a worker until it has logged in. */
#define POOL_START_MS 30000
/* Making a key may take this long, RSA of 4,096 bits in a small device. */
#define POOL_SLOW_MS 120000
#define POOL_BACKOFF_MIN_MS 100
#define POOL_BACKOFF_MAX_MS 10000

/* One worker with its link and the thread that supervises it. */
struct member {
	struct pool *pool;
	struct link *link;
	pthread_t thread;
	bool running;		/* the thread was started */
	unsigned number;
};

struct pool {
	/* Fixed while the pool is open. */
	struct spawn *spawn;
	int64_t timeout_ms;
	unsigned count;
	struct member *members;

	/* Workers start one at a time: a wrong PIN is tried once, not once for
	 * each worker. */
	pthread_mutex_t starting;

	pthread_mutex_t lock;
	/* Under lock. */
	struct condition changed;
	bool stopping;
	bool pin_refused;	/* no worker is started any more */
	bool tripped;		/* a start told that there is no use in waiting */
	unsigned ready;		/* workers whose link is open */
	unsigned waiting;	/* calls that wait for one */
	int64_t lost_ms;	/* when READY became 0 */
	bool start_failed;	/* since the pool was opened; START_ERR says why */
	struct err start_err;	/* of the latest failed start */
	uint64_t starts;

	_Atomic uint64_t failures;
};

struct pool *pool_new(const struct hsm_options *options);
/* Starts the supervisors. */
MUST_CHECK enum err_code pool_start(struct pool *pool, struct err *err);
/* Waits for the first login or the first failed start, whose error it returns. */
MUST_CHECK enum err_code pool_wait_started(struct pool *pool, struct err *err);
/* Ends the workers and frees the pool. */
void pool_free(struct pool *pool);
DEFINE_CLEANUP(pool, pool_free)

/*
 * Runs CALL: on ERR_OK a worker has answered it, with whatever status but
 * WIRE_DEVICE_GONE.  Errors: ERR_HSM_UNAVAILABLE, ERR_DEADLINE, ERR_OVERLOADED.
 */
MUST_CHECK enum err_code pool_run(
    struct pool *pool, struct call *call, struct err *err);
void pool_stats(struct pool *pool, struct hsm_stats *stats_out);

/* What supervisors tell the pool. */
void pool_member_up(struct pool *pool);
void pool_member_down(struct pool *pool);
/* A start failed with ERR; HOPELESS: calls need not wait for the next one. */
void pool_start_failed(
    struct pool *pool, const struct err *err, bool hopeless, bool pin_refused);
/* False when no worker may be started: the pool stops or the PIN was refused. */
bool pool_may_start(struct pool *pool);
/* Blocks for MS, less when the pool stops. */
void pool_pause(struct pool *pool, int64_t ms);
bool pool_stopping(struct pool *pool);

/* supervisor.c: the thread of one member. */
void *supervisor_run(void *member);

#endif
