// SPDX-License-Identifier: Apache-2.0
#include "api/job.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "base/clock.h"
#include "base/fiber.h"
#include "base/log.h"
#include "base/thread.h"

/* One thread and what it carries. */
struct lane {
	struct jobs *jobs;
	pthread_t thread;
	bool started;
	/* The thread's alone. */
	struct fibers *fibers;
	struct log_gathered lines;
	struct job *ran;		/* to be ended */
	/* Under the lock of jobs. */
	struct bells bell;		/* none before the thread runs */
	bool resting;			/* on the list of those */
	struct lane *next_resting;
};

/*
 * Invariants, under lock:
 *   queued   is the length of the list first .. last;
 *   places   counts the places taken: queued, and reserved but not submitted;
 *            it is at most capacity;
 *   running  counts jobs taken off the list that are not yet ended;
 *   resting  lists the lanes that have room for a job and sleep;
 *   waking   is set from the ringing for one of them until it has the lock: it
 *            wakes the next itself when more jobs wait.  So who submits many rings
 *            once, and a lane that just became free takes a job before another
 *            must be woken for it.
 */
struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t idle;		/* places and running became 0 */
	struct job *first, *last;
	unsigned queued, places, running, capacity;
	struct lane *resting;
	bool waking, draining, closing;
	uint64_t done, shed;
	_Atomic uint64_t expired;
	struct lane *lanes;
	unsigned lanes_count;
};

static struct job *take(struct jobs *jobs)
{
	struct job *job = jobs->first;
	jobs->first = job->next;
	if (jobs->first == NULL)
		jobs->last = NULL;
	job->next = NULL;
	jobs->queued--;
	jobs->places--;
	jobs->running++;
	return job;
}

/* Releases the lock, then wakes a lane where one is to be woken. */
static void unlock_and_wake(struct jobs *jobs)
{
	struct bells bells = {0};
	struct lane *lane = jobs->resting;
	if (jobs->first != NULL && lane != NULL && !jobs->waking) {
		jobs->waking = true;
		jobs->resting = lane->next_resting;
		lane->resting = false;
		bells = lane->bell;
	}
	pthread_mutex_unlock(&jobs->lock);
	bells_ring(&bells);
}

/* With the lock held. */
static void count_ended(struct jobs *jobs, unsigned count)
{
	jobs->running -= count;
	jobs->done += count;
	if (jobs->running == 0 && jobs->places == 0)
		pthread_cond_broadcast(&jobs->idle);
}

static void run(struct job *job, bool expired)
{
	if (expired)
		atomic_fetch_add_explicit(
		    &job->jobs->expired, 1, memory_order_relaxed);
	job->run(job, expired);
}

/* ---- Lanes ---- */

/* Once for all that ran in a round: one write of what they logged, and only then
 * does anybody see them ended. */
static void end_jobs(void *arg)
{
	struct lane *lane = arg;
	unsigned count = 0;
	log_write_gathered();
	while (lane->ran != NULL) {
		struct job *job = lane->ran;
		lane->ran = job->next;
		job->end(job);
		count++;
	}
	pthread_mutex_lock(&lane->jobs->lock);
	count_ended(lane->jobs, count);
	pthread_mutex_unlock(&lane->jobs->lock);
}

static void run_job(void *arg)
{
	struct job *job = arg;
	struct lane *lane = job->lane;
	run(job, job->deadline_ms <= clock_mono_ms());
	bool first = lane->ran == NULL;
	job->next = lane->ran;
	lane->ran = job;
	if (first)
		fiber_defer(end_jobs, lane);
}

static struct job *begin_one(struct jobs *jobs)
{
	struct job *job = NULL;
	pthread_mutex_lock(&jobs->lock);
	if (jobs->first != NULL)
		job = take(jobs);
	unlock_and_wake(jobs);
	return job;
}

/* Begins what waits as far as there is room.  False when there was nothing. */
static bool begin_jobs(struct lane *lane)
{
	struct job *job;
	bool any = false;
	while (fibers_idle(lane->fibers) > 0 &&
	    (job = begin_one(lane->jobs)) != NULL) {
		job->lane = lane;
		fibers_start(lane->fibers, run_job, job);
		any = true;
	}
	return any;
}

static void leave_resting(struct lane *lane)
{
	struct lane **at = &lane->jobs->resting;
	while (*at != lane)
		at = &(*at)->next_resting;
	*at = lane->next_resting;
	lane->resting = false;
}

/* Sleeps unless the bell has rung since STROKES, or there is a job to begin.
 * False when the lane is to end. */
static bool rest(struct lane *lane, unsigned strokes)
{
	struct jobs *jobs = lane->jobs;
	bool has_room = fibers_idle(lane->fibers) > 0;
	pthread_mutex_lock(&jobs->lock);
	bool sleep = !has_room || jobs->first == NULL;
	bool end = jobs->closing && jobs->first == NULL &&
	    fibers_under_way(lane->fibers) == 0;
	if (sleep && !end && has_room) {
		lane->next_resting = jobs->resting;
		jobs->resting = lane;
		lane->resting = true;
	}
	pthread_mutex_unlock(&jobs->lock);
	if (!sleep || end)
		return !end;
	bell_sleep(strokes, fibers_deadline(lane->fibers));
	pthread_mutex_lock(&jobs->lock);
	if (lane->resting)
		leave_resting(lane);
	else if (has_room)
		jobs->waking = false;
	pthread_mutex_unlock(&jobs->lock);
	return true;
}

static void *work(void *arg)
{
	struct lane *lane = arg;
	bool go_on = true;
	pthread_mutex_lock(&lane->jobs->lock);
	lane->bell = bell_mine();
	pthread_mutex_unlock(&lane->jobs->lock);
	log_gather(&lane->lines);
	while (go_on) {
		unsigned strokes = bell_strokes();
		bool moved = fibers_go_on(lane->fibers);
		moved |= begin_jobs(lane);
		fibers_act(lane->fibers);
		log_write_gathered();
		if (!moved)
			go_on = rest(lane, strokes);
	}
	log_gather(NULL);
	return NULL;
}

/* ---- Life ---- */

static void init_sync(struct jobs *jobs)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static enum err_code open_lane(
    struct lane *lane, unsigned width, struct err *err)
{
	enum err_code code = fibers_open(width, &lane->fibers, err);
	if (code != ERR_OK)
		return code;
	code = thread_start(&lane->thread, "jobs", work, lane, err);
	lane->started = code == ERR_OK;
	return code;
}

enum err_code jobs_open(const struct jobs_options *options,
    struct jobs **jobs_out, struct err *err)
{
	OWNED(jobs) jobs = mem_zalloc(sizeof(*jobs));
	unsigned width = (options->at_once + options->threads - 1) /
	    options->threads;
	init_sync(jobs);
	jobs->capacity = options->capacity;
	jobs->lanes =
	    mem_zalloc_array(options->threads, sizeof(*jobs->lanes));
	while (jobs->lanes_count < options->threads) {
		struct lane *lane = &jobs->lanes[jobs->lanes_count++];
		lane->jobs = jobs;
		enum err_code code = open_lane(lane, width, err);
		if (code != ERR_OK)
			return code;
	}
	*jobs_out = GIVE(jobs);
	return ERR_OK;
}

static void tell_closing(struct jobs *jobs)
{
	struct bells bells = {0};
	pthread_mutex_lock(&jobs->lock);
	jobs->closing = true;
	for (unsigned i = 0; i < jobs->lanes_count; i++)
		bells.set |= jobs->lanes[i].bell.set;
	pthread_mutex_unlock(&jobs->lock);
	bells_ring(&bells);
}

void jobs_close(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	tell_closing(jobs);
	for (unsigned i = 0; i < jobs->lanes_count; i++) {
		if (jobs->lanes[i].started)
			pthread_join(jobs->lanes[i].thread, NULL);
		fibers_close(jobs->lanes[i].fibers);
	}
	pthread_cond_destroy(&jobs->idle);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs->lanes);
	free(jobs);
}

bool jobs_reserve(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	bool room = !jobs->draining && jobs->places < jobs->capacity;
	if (room)
		jobs->places++;
	else
		jobs->shed++;
	pthread_mutex_unlock(&jobs->lock);
	return room;
}

void jobs_submit(struct jobs *jobs, struct job *job)
{
	job->jobs = jobs;
	job->next = NULL;
	pthread_mutex_lock(&jobs->lock);
	if (jobs->last != NULL)
		jobs->last->next = job;
	else
		jobs->first = job;
	jobs->last = job;
	jobs->queued++;
	unlock_and_wake(jobs);
}

/* With the lock held, which is released meanwhile. */
static void expire_one(struct jobs *jobs)
{
	struct job *job = take(jobs);
	unlock_and_wake(jobs);
	run(job, true);
	job->end(job);
	pthread_mutex_lock(&jobs->lock);
	count_ended(jobs, 1);
}

void jobs_expire(struct jobs *jobs, int64_t now_ms)
{
	pthread_mutex_lock(&jobs->lock);
	while (jobs->first != NULL && jobs->first->deadline_ms <= now_ms)
		expire_one(jobs);
	pthread_mutex_unlock(&jobs->lock);
}

bool jobs_drain(struct jobs *jobs, int64_t timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t nanoseconds = until.tv_nsec + timeout_ms % 1000 * 1000000;
	until.tv_sec += timeout_ms / 1000 + nanoseconds / 1000000000;
	until.tv_nsec = nanoseconds % 1000000000;
	pthread_mutex_lock(&jobs->lock);
	jobs->draining = true;
	int waited = 0;
	while ((jobs->places > 0 || jobs->running > 0) && waited != ETIMEDOUT)
		waited =
		    pthread_cond_timedwait(&jobs->idle, &jobs->lock, &until);
	bool idle = jobs->places == 0 && jobs->running == 0;
	pthread_mutex_unlock(&jobs->lock);
	return idle;
}

void jobs_stats(struct jobs *jobs, struct jobs_stats *stats_out)
{
	pthread_mutex_lock(&jobs->lock);
	*stats_out = (struct jobs_stats){jobs->queued, jobs->running,
	    jobs->done, jobs->shed, jobs->expired};
	pthread_mutex_unlock(&jobs->lock);
}
