// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting for what another thread does.  A job on a fiber (base/fiber.h) that
 * waits lets the other jobs of its thread go on; whoever else waits sleeps.
 *
 * Each thread sleeps beside a bell.  Who ends the waiting of many, on few threads,
 * marks each waiter and then rings each bell once: one system call a thread, not
 * one a waiter, and none for a thread that is awake.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WAIT_FOREVER INT64_MAX

/* On the stack of the one who waits; its fields are wait.c's. */
struct waiter {
	atomic_bool over;
	uint8_t bell;
	struct waiter *next;	/* in a condition */
};

/* Bells still to be rung. */
struct bells {
	uint64_t set;
};

/* By the thread, and on the fiber, that is going to wait. */
void waiter_init(struct waiter *waiter);
/* By whoever ends the waiting, at most once; WAITER may be gone at once. */
void waiter_end(struct waiter *waiter, struct bells *bells);
/* Wakes those whose waiting has ended.  To be called soon, without locks. */
void bells_ring(struct bells *bells);

/*
 * Waits until waiter_end(); false when DEADLINE_MS (clock_mono_ms) came first,
 * and then the caller must make sure that nobody ends it any more.
 */
bool waiter_wait(struct waiter *waiter, int64_t deadline_ms);
bool waiter_is_over(const struct waiter *waiter);

/* A change that many may wait for, under the lock of what changes: a condition
 * variable that fibers can wait on.  All zero is nobody waiting. */
struct condition {
	struct waiter *first;
};
/* With LOCK held: releases it, waits for the next condition_tell() or until
 * DEADLINE_MS (then false), and takes it again. */
bool condition_wait(struct condition *condition, pthread_mutex_t *lock,
    int64_t deadline_ms);
/* With the lock held. */
void condition_tell(struct condition *condition);

/* The thread's own bell, for those who look at several things before they sleep:
 * bell_strokes(), look, then bell_sleep() returns at once if it rang since. */
struct bells bell_mine(void);
unsigned bell_strokes(void);
void bell_sleep(unsigned strokes, int64_t deadline_ms);

#endif
