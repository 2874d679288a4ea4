// SPDX-License-Identifier: Apache-2.0
#include "api/job.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"

#define STACK_SIZE (1024 * 1024)

/*
 * Invariants, under lock:
 *   queued   is the length of the list first .. last;
 *   places   counts the places taken: queued, and reserved but not submitted;
 *            it is at most capacity;
 *   running  counts jobs taken off the list whose run() has not returned;
 *   resting  counts threads that wait for a job;
 *   waking   is set from the signal to one of them until it has the lock: it
 *            wakes the next itself when more jobs wait.  So who submits many
 *            signals once, and a thread that just became free takes a job before
 *            another must be woken for it.
 */
struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t submitted;	/* a job waits, or closing */
	pthread_cond_t idle;		/* places and running became 0 */
	struct job *first, *last;
	unsigned queued, places, running, resting, capacity;
	bool waking, draining, closing;
	uint64_t done, shed, expired;
	pthread_t *threads;
	unsigned threads_count;
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

/* Releases the lock; then wakes a thread where one is to be woken, which so
 * does not find the lock held. */
static void unlock_and_wake(struct jobs *jobs)
{
	bool wake = jobs->first != NULL && jobs->resting > 0 && !jobs->waking;
	jobs->waking |= wake;
	pthread_mutex_unlock(&jobs->lock);
	if (wake)
		pthread_cond_signal(&jobs->submitted);
}

/* Runs JOB with the lock released. */
static void run_unlocked(struct jobs *jobs, struct job *job, bool expired)
{
	unlock_and_wake(jobs);
	job->run(job, expired);
	pthread_mutex_lock(&jobs->lock);
	jobs->running--;
	jobs->done++;
	if (expired)
		jobs->expired++;
	if (jobs->running == 0 && jobs->places == 0)
		pthread_cond_broadcast(&jobs->idle);
}

static void await_job(struct jobs *jobs)
{
	while (jobs->first == NULL && !jobs->closing) {
		jobs->resting++;
		pthread_cond_wait(&jobs->submitted, &jobs->lock);
		jobs->resting--;
		jobs->waking = false;
	}
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;
	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		await_job(jobs);
		if (jobs->first == NULL)
			break;
		struct job *job = take(jobs);
		run_unlocked(
		    jobs, job, job->deadline_ms <= clock_mono_ms());
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

static void init_sync(struct jobs *jobs)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->submitted, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

enum err_code jobs_open(unsigned threads, unsigned capacity,
    struct jobs **jobs_out, struct err *err)
{
	OWNED(jobs) jobs = mem_zalloc(sizeof(*jobs));
	init_sync(jobs);
	jobs->capacity = capacity;
	jobs->threads = mem_zalloc_array(threads, sizeof(*jobs->threads));
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	int failed = 0;
	while (failed == 0 && jobs->threads_count < threads) {
		failed = pthread_create(&jobs->threads[jobs->threads_count],
		    &attr, work, jobs);
		if (failed == 0)
			jobs->threads_count++;
	}
	pthread_attr_destroy(&attr);
	if (failed != 0)
		return err_fail(err, ERR_IO, "thread %u of %u: %s",
		    jobs->threads_count + 1, threads, strerror(failed));
	*jobs_out = GIVE(jobs);
	return ERR_OK;
}

void jobs_close(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->closing = true;
	pthread_cond_broadcast(&jobs->submitted);
	pthread_mutex_unlock(&jobs->lock);
	for (unsigned i = 0; i < jobs->threads_count; i++)
		pthread_join(jobs->threads[i], NULL);
	pthread_cond_destroy(&jobs->submitted);
	pthread_cond_destroy(&jobs->idle);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs->threads);
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

void jobs_expire(struct jobs *jobs, int64_t now_ms)
{
	pthread_mutex_lock(&jobs->lock);
	while (jobs->first != NULL && jobs->first->deadline_ms <= now_ms)
		run_unlocked(jobs, take(jobs), true);
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
