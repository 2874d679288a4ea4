// SPDX-License-Identifier: Apache-2.0
/*
 * Work that waits: a bounded queue before a fixed number of threads, each of which
 * carries several jobs at once, on fibers (base/fiber.h).  A job is plain code that
 * waits by base/wait.h, for the token or the store; while it does, the thread goes
 * on with the next.
 */
#ifndef API_JOB_H
#define API_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct jobs;
struct lane;

/* Embedded in what it works for, which must live until end() is called. */
struct job {
	/* Does the work; with EXPIRED the deadline passed while it waited, and
	 * only that is to be told.  Called exactly once for each submission. */
	void (*run)(struct job *job, bool expired);
	/* Called once after run(), when what was logged is written; on the same
	 * thread, together with the ends of others.  It may free the job, and
	 * must not wait. */
	void (*end)(struct job *job);
	int64_t deadline_ms;	/* clock_mono_ms(); not later than that of a
				 * job submitted after it */
	struct jobs *jobs;	/* job.c's own, from here on */
	struct lane *lane;
	struct job *next;
};

struct jobs_options {
	unsigned threads;
	unsigned at_once;	/* jobs under way, over all threads; not less
				 * than threads */
	unsigned capacity;	/* jobs that wait for their turn */
};
/* Errors: ERR_IO when threads cannot be started. */
MUST_CHECK enum err_code jobs_open(const struct jobs_options *options,
    struct jobs **jobs_out, struct err *err);
/* Runs what is waiting to its end, then ends the threads. */
void jobs_close(struct jobs *jobs);
DEFINE_CLEANUP(jobs, jobs_close)

/* Takes a place in the queue; false when it is full or draining.  Never waits,
 * so that the caller can refuse at once. */
MUST_CHECK bool jobs_reserve(struct jobs *jobs);
/* Puts JOB in the place that was reserved. */
void jobs_submit(struct jobs *jobs, struct job *job);
/* Ends, on the calling thread, the waiting jobs whose deadline has passed. */
void jobs_expire(struct jobs *jobs, int64_t now_ms);
/* Reserves no more, and waits until none is waiting, running or to be ended.
 * False when TIMEOUT_MS passed before. */
MUST_CHECK bool jobs_drain(struct jobs *jobs, int64_t timeout_ms);

struct jobs_stats {
	unsigned waiting, running;	/* running: not yet ended */
	uint64_t done, shed, expired;
};
void jobs_stats(struct jobs *jobs, struct jobs_stats *stats_out);

#endif
