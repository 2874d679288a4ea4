// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "store/slots.h"

static void every_slot_is_given_once(void **state)
{
	OWNED(slots) slots = slots_new(5);
	bool seen[5] = {false};
	unsigned slot;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_true(slots_take(slots, 0, &slot));
		assert_true(slot < 5);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
}

static void no_slot_is_given_when_all_are_taken(void **state)
{
	OWNED(slots) slots = slots_new(2);
	unsigned a, b, c;

	(void)state;
	assert_true(slots_take(slots, 0, &a));
	assert_true(slots_take(slots, 0, &b));
	assert_false(slots_take(slots, 0, &c));
	assert_false(slots_take(slots, 5, &c));
	slots_give(slots, a);
	assert_true(slots_take(slots, 0, &c));
	assert_int_equal(c, a);
	assert_false(slots_take(slots, 0, &c));
}

static void a_thread_is_given_its_slot_again(void **state)
{
	OWNED(slots) slots = slots_new(8);
	unsigned first, again;

	(void)state;
	assert_true(slots_take(slots, 0, &first));
	slots_give(slots, first);
	assert_true(slots_take(slots, 0, &again));
	assert_int_equal(first, again);
}

/* Not atomic on purpose: a slot that two threads hold loses counts, and the
 * thread sanitizer sees it. */
static unsigned long counts[3];
#define THREADS 12
#define ROUNDS 3000

static void *take_and_count(void *arg)
{
	struct slots *slots = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned slot;

		if (!slots_take(slots, 60000, &slot))
			abort();
		counts[slot]++;
		if (i % 8 == 0)
			sched_yield();
		slots_give(slots, slot);
	}
	return NULL;
}

static void threads_never_hold_the_same_slot(void **state)
{
	OWNED(slots) slots = slots_new(ARRAY_LEN(counts));
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, take_and_count, slots),
		    0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counts[0] + counts[1] + counts[2], THREADS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_slot_is_given_once),
	    cmocka_unit_test(no_slot_is_given_when_all_are_taken),
	    cmocka_unit_test(a_thread_is_given_its_slot_again),
	    cmocka_unit_test(threads_never_hold_the_same_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
