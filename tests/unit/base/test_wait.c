// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: whose waiting has ended goes on, whoever else shares the bell,
 * and whose deadline comes first is told so. */
#include "tests/unit/base/harness.h"

#include <pthread.h>
#include "base/clock.h"
#include "base/wait.h"

#define THREADS 150	/* more than there are bells */
#define SOON_MS 20
#define LONG_MS 20000

/* A room in which threads wait, each for itself. */
struct room {
	pthread_mutex_t lock;
	pthread_cond_t entered;
	struct waiter *waiters[THREADS];
	unsigned inside, left;
	struct condition changed;
	unsigned version;
};

static struct room room;

static int open_room(void **state)
{
	(void)state;
	memset(&room, 0, sizeof(room));
	pthread_mutex_init(&room.lock, NULL);
	pthread_cond_init(&room.entered, NULL);
	return 0;
}

static int close_room(void **state)
{
	(void)state;
	pthread_cond_destroy(&room.entered);
	return pthread_mutex_destroy(&room.lock);
}

static void await_inside(unsigned count)
{
	pthread_mutex_lock(&room.lock);
	while (room.inside < count)
		pthread_cond_wait(&room.entered, &room.lock);
	pthread_mutex_unlock(&room.lock);
}

static void *wait_for_own(void *arg)
{
	struct waiter waiter;
	bool *over = arg;

	waiter_init(&waiter);
	pthread_mutex_lock(&room.lock);
	room.waiters[room.inside++] = &waiter;
	pthread_cond_signal(&room.entered);
	pthread_mutex_unlock(&room.lock);
	*over = waiter_wait(&waiter, clock_mono_ms() + LONG_MS);
	return NULL;
}

static void *wait_for_change(void *arg)
{
	bool *over = arg;

	*over = true;
	pthread_mutex_lock(&room.lock);
	room.inside++;
	pthread_cond_signal(&room.entered);
	while (room.version == 0 && *over)
		*over = condition_wait(&room.changed, &room.lock,
		    clock_mono_ms() + LONG_MS);
	room.left++;
	pthread_mutex_unlock(&room.lock);
	return NULL;
}

static void start(pthread_t threads[static THREADS],
    bool overs[static THREADS], void *(*run)(void *arg))
{
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, run, &overs[i]), 0);
	await_inside(THREADS);
}

static void join(
    pthread_t threads[static THREADS], const bool overs[static THREADS])
{
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(overs[i]);
	}
}

static void many_threads_go_on_after_one_ringing(void **state)
{
	pthread_t threads[THREADS];
	bool overs[THREADS] = {false};
	struct bells bells = {0};

	(void)state;
	start(threads, overs, wait_for_own);
	for (unsigned i = 0; i < THREADS; i++)
		waiter_end(room.waiters[i], &bells);
	bells_ring(&bells);
	assert_int_equal(bells.set, 0);
	join(threads, overs);
}

static void each_goes_on_when_its_own_waiting_ends(void **state)
{
	pthread_t threads[THREADS];
	bool overs[THREADS] = {false};

	(void)state;
	start(threads, overs, wait_for_own);
	for (unsigned i = THREADS; i-- > 0;) {
		struct bells bells = {0};

		waiter_end(room.waiters[i], &bells);
		bells_ring(&bells);
	}
	join(threads, overs);
}

static void a_change_is_told_to_all_who_wait_for_it(void **state)
{
	pthread_t threads[THREADS];
	bool overs[THREADS] = {false};

	(void)state;
	start(threads, overs, wait_for_change);
	pthread_mutex_lock(&room.lock);
	room.version++;
	condition_tell(&room.changed);
	assert_null(room.changed.first);
	pthread_mutex_unlock(&room.lock);
	join(threads, overs);
	assert_int_equal(room.left, THREADS);
}

static void a_waiter_whose_deadline_has_come_is_told_so(void **state)
{
	struct waiter waiter;
	int64_t deadline = clock_mono_ms() + SOON_MS;

	(void)state;
	waiter_init(&waiter);
	assert_false(waiter_wait(&waiter, deadline));
	assert_true(clock_mono_ms() >= deadline);
	assert_false(waiter_is_over(&waiter));
}

static void who_gives_up_is_forgotten_by_the_condition(void **state)
{
	(void)state;
	pthread_mutex_lock(&room.lock);
	assert_false(condition_wait(
	    &room.changed, &room.lock, clock_mono_ms() + SOON_MS));
	assert_null(room.changed.first);
	condition_tell(&room.changed);
	pthread_mutex_unlock(&room.lock);
}

static void a_bell_that_rang_since_the_look_lets_nobody_sleep(void **state)
{
	unsigned strokes = bell_strokes();
	struct bells mine = bell_mine();

	(void)state;
	bells_ring(&mine);
	assert_int_not_equal(bell_strokes(), strokes);
	bell_sleep(strokes, WAIT_FOREVER);
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, open_room, close_room)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_ROOM(many_threads_go_on_after_one_ringing),
	    IN_ROOM(each_goes_on_when_its_own_waiting_ends),
	    IN_ROOM(a_change_is_told_to_all_who_wait_for_it),
	    IN_ROOM(a_waiter_whose_deadline_has_come_is_told_so),
	    IN_ROOM(who_gives_up_is_forgotten_by_the_condition),
	    IN_ROOM(a_bell_that_rang_since_the_look_lets_nobody_sleep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
