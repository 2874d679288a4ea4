// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "hsm/pool.h"

#define WAITING_MAX 1024

/* A call rather waits so long for a worker that is awake than has another one
 * woken, so that requests and replies share crossings.  An operation of a device
 * across a network takes longer, and then calls are spread. */
#define PACK_US 1000

/* When all workers are killed at once, the second try may go to one that is dead
 * already and not yet known to be; the third waits for a new one. */
#define TRIES 3

static unsigned worker_count(unsigned wanted)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted == 0)
		wanted = processors > 0 ? (unsigned)processors : 1;
	return wanted < POOL_WORKERS_MAX ? wanted : POOL_WORKERS_MAX;
}

struct pool *pool_new(const struct hsm_options *options)
{
	struct pool *pool = mem_zalloc(sizeof(*pool));

	pool->spawn = spawn_for_serving(options);
	pool->timeout_ms = options->timeout_ms;
	pool->count = worker_count(options->workers);
	pool->members =
	    mem_zalloc_array(pool->count, sizeof(*pool->members));
	for (unsigned i = 0; i < pool->count; i++) {
		pool->members[i] = (struct member){
		    .pool = pool, .link = link_new(), .number = i};
	}
	pool->lost_ms = clock_mono_ms();
	pthread_mutex_init(&pool->starting, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

/* Ends supervisors FROM.. that were never started. */
static void forget_members(struct pool *pool, unsigned from)
{
	for (unsigned i = from; i < pool->count; i++)
		link_free(pool->members[i].link);
	pool->count = from;
}

enum err_code pool_start(struct pool *pool, struct err *err)
{
	for (unsigned i = 0; i < pool->count; i++) {
		struct member *member = &pool->members[i];
		enum err_code code = thread_start(&member->thread,
		    "hsm-supervisor", supervisor_run, member, err);

		if (code != ERR_OK) {
			forget_members(pool, i);
			return code;
		}
		member->running = true;
	}
	return ERR_OK;
}

/* With the lock held: waits for a change, at most until UNTIL_MS. */
static void await_change(struct pool *pool, int64_t until_ms)
{
	(void)condition_wait(&pool->changed, &pool->lock, until_ms);
}

enum err_code pool_wait_started(struct pool *pool, struct err *err)
{
	int64_t deadline = clock_mono_ms() + POOL_START_MS + 1000;
	bool started, failed;

	pthread_mutex_lock(&pool->lock);
	while (pool->ready == 0 && !pool->start_failed &&
	    clock_mono_ms() < deadline)
		await_change(pool, deadline);
	started = pool->ready > 0;
	failed = pool->start_failed;
	if (!started && failed)
		*err = pool->start_err;
	pthread_mutex_unlock(&pool->lock);
	if (started)
		return ERR_OK;
	if (failed)
		return err->code;
	return err_fail(err, ERR_HSM_UNAVAILABLE, "no worker logged in");
}

void pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	condition_tell(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++)
		link_shut(pool->members[i].link);
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->members[i].running)
			pthread_join(pool->members[i].thread, NULL);
		link_free(pool->members[i].link);
	}
	pthread_mutex_destroy(&pool->lock);
	pthread_mutex_destroy(&pool->starting);
	free(pool->members);
	spawn_free(pool->spawn);
	free(pool);
}

/* The busiest of those that are awake and will soon have time; NULL: none. */
static struct link *soon_free(const struct pool *pool)
{
	struct link *found = NULL;
	uint32_t most = 0;

	for (unsigned i = 0; i < pool->count; i++) {
		struct link *link = pool->members[i].link;
		uint32_t backlog = link_backlog_us(link);

		if (backlog > most && backlog < PACK_US) {
			most = backlog;
			found = link;
		}
	}
	return found;
}

static struct link *least_loaded(const struct pool *pool)
{
	uint32_t least = LINK_CLOSED;
	struct link *link = NULL;

	for (unsigned i = 0; i < pool->count; i++) {
		uint32_t load = link_load(pool->members[i].link);

		if (load < least) {
			least = load;
			link = pool->members[i].link;
		}
	}
	return link;
}

/* With the lock held. */
static bool breaker_open(const struct pool *pool, int64_t now)
{
	return pool->ready == 0 &&
	    (pool->tripped || pool->pin_refused || pool->stopping ||
		now >= pool->lost_ms + POOL_GRACE_MS);
}

static enum err_code unavailable(const struct pool *pool, struct err *err)
{
	const struct err *start = &pool->start_err;

	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "no worker is logged in to the token: %s",
	    start->cause[0] != '\0' ? start->cause
		: start->detail[0] != '\0' ? start->detail
					   : "starting");
}

/* With the lock held. */
static enum err_code wait_for_link(
    struct pool *pool, int64_t deadline, struct err *err)
{
	while (least_loaded(pool) == NULL) {
		int64_t now = clock_mono_ms(), until = deadline;

		if (breaker_open(pool, now))
			return unavailable(pool, err);
		if (now >= deadline)
			return err_fail(err, ERR_DEADLINE,
			    "no worker was ready in time");
		if (pool->ready == 0 && pool->lost_ms + POOL_GRACE_MS < until)
			until = pool->lost_ms + POOL_GRACE_MS;
		await_change(pool, until);
	}
	return ERR_OK;
}

static enum err_code await_link(
    struct pool *pool, int64_t deadline, struct err *err)
{
	enum err_code code;

	pthread_mutex_lock(&pool->lock);
	if (pool->waiting >= WAITING_MAX) {
		pthread_mutex_unlock(&pool->lock);
		return err_fail(err, ERR_OVERLOADED,
		    "%d operations wait for a worker", WAITING_MAX);
	}
	pool->waiting++;
	code = wait_for_link(pool, deadline, err);
	pool->waiting--;
	pthread_mutex_unlock(&pool->lock);
	return code;
}

static enum err_code submit(struct pool *pool, struct call *call,
    int64_t limit_ms, int64_t deadline, struct err *err)
{
	for (;;) {
		struct link *link = soon_free(pool);
		enum err_code code;

		if (link == NULL)
			link = least_loaded(pool);
		if (link == NULL) {
			code = await_link(pool, deadline, err);
			if (code != ERR_OK)
				return code;
			continue;
		}
		switch (link_submit(link, call, limit_ms)) {
		case LINK_SUBMITTED:
			return ERR_OK;
		case LINK_NOT_OPEN:
			break;
		case LINK_FULL:
			return err_fail(err, ERR_OVERLOADED,
			    "%d operations in flight on every worker",
			    LINK_CALLS_MAX);
		case LINK_TOO_LONG:
			return err_fail(err, ERR_INTERNAL,
			    "request longer than a frame");
		}
	}
}

static enum err_code run(struct pool *pool, struct call *call, struct err *err)
{
	int64_t limit =
	    call_is_slow(call->op) ? POOL_SLOW_MS : pool->timeout_ms;
	int64_t deadline = clock_mono_ms() + limit;
	int tries = call_may_repeat(call->op) ? TRIES : 1;
	enum err_code code;

	while (tries-- > 0) {
		code = submit(pool, call, limit, deadline, err);
		if (code != ERR_OK)
			return code;
		switch (link_await(call, deadline)) {
		case CALL_PENDING:
			return err_fail(err, ERR_DEADLINE,
			    "operation %d took more than %d ms",
			    (int)call->op, (int)limit);
		case CALL_ANSWERED:
			if (call->status != WIRE_DEVICE_GONE)
				return ERR_OK;
			break;
		case CALL_LOST:
			break;
		}
	}
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "the worker ended during operation %d %s", (int)call->op,
	    call->text);
}

enum err_code pool_run(struct pool *pool, struct call *call, struct err *err)
{
	enum err_code code = run(pool, call, err);

	if (code != ERR_OK)
		atomic_fetch_add_explicit(
		    &pool->failures, 1, memory_order_relaxed);
	return code;
}

void pool_stats(struct pool *pool, struct hsm_stats *stats_out)
{
	*stats_out = (struct hsm_stats){0};
	pthread_mutex_lock(&pool->lock);
	stats_out->workers = pool->ready;
	stats_out->restarts =
	    pool->starts > pool->count ? pool->starts - pool->count : 0;
	stats_out->breaker_open = breaker_open(pool, clock_mono_ms());
	pthread_mutex_unlock(&pool->lock);
	stats_out->failures = atomic_load(&pool->failures);
	for (unsigned i = 0; i < pool->count; i++)
		stats_out->operations += link_answered(pool->members[i].link);
}

void pool_member_up(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->ready++;
	pool->tripped = false;
	condition_tell(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void pool_member_down(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	if (--pool->ready == 0)
		pool->lost_ms = clock_mono_ms();
	condition_tell(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void pool_start_failed(
    struct pool *pool, const struct err *err, bool hopeless, bool pin_refused)
{
	pthread_mutex_lock(&pool->lock);
	pool->start_failed = true;
	pool->start_err = *err;
	pool->tripped |= hopeless && pool->ready == 0;
	pool->pin_refused |= pin_refused;
	condition_tell(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

bool pool_may_start(struct pool *pool)
{
	bool may;

	pthread_mutex_lock(&pool->lock);
	may = !pool->stopping && !pool->pin_refused;
	pool->starts += may;
	pthread_mutex_unlock(&pool->lock);
	return may;
}

bool pool_stopping(struct pool *pool)
{
	bool stopping;

	pthread_mutex_lock(&pool->lock);
	stopping = pool->stopping;
	pthread_mutex_unlock(&pool->lock);
	return stopping;
}

void pool_pause(struct pool *pool, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping && clock_mono_ms() < until)
		await_change(pool, until);
	pthread_mutex_unlock(&pool->lock);
}
