// SPDX-License-Identifier: Apache-2.0
/* Goal: a rate is kept to the microsecond, for each key alone, and nobody can
 * have what they used forgotten. */
#include "harness.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include "api/limit.h"

#define BEGIN INT64_C(1000000000)
#define KEY(text) BYTES((text), strlen(text))

static const struct config_rate rate = {.interval_us = 1000, .burst = 3};

static void a_burst_may_come_at_once_and_then_one_each_interval(void **state)
{
	OWNED(limit) limit = limit_new();
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN), 0);
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN), 1000);
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN + 999), 1);
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN + 1000), 0);
	assert_int_equal(
	    limit_take(limit, &rate, KEY("a"), BEGIN + 1000), 1000);
}

static void what_is_refused_takes_nothing(void **state)
{
	OWNED(limit) limit = limit_new();
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN + 1), 999);
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN + 1000), 0);
}

static void who_waits_as_told_is_served_and_not_before(void **state)
{
	OWNED(limit) limit = limit_new();
	int64_t now = BEGIN;
	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t wait = limit_take(limit, &rate, KEY("a"), now);
		if (wait == 0)
			continue;
		assert_true(
		    limit_take(limit, &rate, KEY("a"), now + wait - 1) == 1);
		now += wait;
		assert_int_equal(limit_take(limit, &rate, KEY("a"), now), 0);
	}
	/* 3 at once, then each refusal led to one: the rate, exactly. */
	assert_int_equal((now - BEGIN) % 1000, 0);
}

static void a_rest_gives_the_burst_back_and_no_more(void **state)
{
	OWNED(limit) limit = limit_new();
	int taken = 0;
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN), 0);
	while (limit_take(limit, &rate, KEY("a"), BEGIN + 1000000) == 0)
		taken++;
	assert_int_equal(taken, 3);
	/* Half a rest gives half of it. */
	assert_int_equal(
	    limit_take(limit, &rate, KEY("a"), BEGIN + 1001500), 0);
	assert_int_equal(
	    limit_take(limit, &rate, KEY("a"), BEGIN + 1001500), 500);
}

static void a_rate_that_is_off_limits_nothing(void **state)
{
	static const struct config_rate off = {0};
	OWNED(limit) limit = limit_new();
	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_int_equal(limit_take(limit, &off, KEY("a"), BEGIN), 0);
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN), 0);
}

static void a_rate_that_changed_counts_from_then_on(void **state)
{
	static const struct config_rate slower = {
	    .interval_us = 5000, .burst = 1};
	OWNED(limit) limit = limit_new();
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN), 0);
	assert_int_equal(limit_take(limit, &slower, KEY("a"), BEGIN), 3000);
	assert_int_equal(
	    limit_take(limit, &slower, KEY("a"), BEGIN + 3000), 0);
}

/* Ten thousand keys beside each other, which is more than a fleet has active. */
static void keys_do_not_share_what_they_use(void **state)
{
	OWNED(limit) limit = limit_new();
	unsigned early = 0;
	char key[16];
	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "node-%d", i);
		for (int k = 0; k < 3; k++)
			early +=
			    limit_take(limit, &rate, KEY(key), BEGIN) != 0;
	}
	/* Whoever shares all four cells is refused early: one in a thousand,
	 * where the cells are as full as here. */
	assert_true(early < 9000 / 100);
	assert_int_equal(limit_take(limit, &rate, KEY("node-7"), BEGIN) > 0, 1);
}

/* However many others come between, what a key used is remembered. */
static void a_flood_of_other_keys_resets_nobody(void **state)
{
	OWNED(limit) limit = limit_new();
	char key[24];
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    limit_take(limit, &rate, KEY("a"), BEGIN), 0);
	for (int i = 0; i < 300000; i++) {
		snprintf(key, sizeof(key), "other-%d", i);
		(void)!limit_take(limit, &rate, KEY(key), BEGIN + 1);
	}
	assert_true(limit_take(limit, &rate, KEY("a"), BEGIN + 999) > 0);
	/* And time clears what they left. */
	assert_int_equal(limit_take(limit, &rate, KEY("a"), BEGIN + 10000), 0);
}

static void the_longest_rates_do_not_overflow(void **state)
{
	static const struct config_rate longest = {
	    .interval_us = INT64_C(86400000000), .burst = 9999999};
	OWNED(limit) limit = limit_new();
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
		    limit_take(limit, &longest, KEY("a"), INT64_MAX / 4), 0);
}

static void retry_after_is_in_whole_seconds_rounded_up(void **state)
{
	static const struct {
		int64_t wait_us;
		unsigned seconds;
	} cases[] = {{1, 1}, {999999, 1}, {1000000, 1}, {1000001, 2},
	    {59999999, 60}, {INT64_C(86400000000), 86400},
	    {INT64_MAX, UINT32_MAX}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(limit_retry_after(cases[i].wait_us),
		    cases[i].seconds);
}

static void a_hash_depends_on_every_octet_and_on_the_length(void **state)
{
	uint8_t octets[64] = {0};
	(void)state;
	for (size_t len = 0; len < sizeof(octets); len++) {
		uint64_t hash = limit_hash(BYTES(octets, len));
		assert_int_equal(limit_hash(BYTES(octets, len)), hash);
		assert_true(limit_hash(BYTES(octets, len + 1)) != hash);
		for (size_t i = 0; i < len; i++) {
			octets[i] ^= 1;
			assert_true(limit_hash(BYTES(octets, len)) != hash);
			octets[i] ^= 1;
		}
	}
}

struct crowd {
	struct limit *limit;
	_Atomic unsigned taken;
};

static void *take_many(void *arg)
{
	static const struct config_rate crowded = {
	    .interval_us = 1000, .burst = 5000};
	struct crowd *crowd = arg;
	for (int i = 0; i < 4000; i++)
		if (limit_take(crowd->limit, &crowded, KEY("a"), BEGIN) == 0)
			crowd->taken++;
	return NULL;
}

static void threads_together_take_exactly_the_burst(void **state)
{
	OWNED(limit) limit = limit_new();
	struct crowd crowd = {limit, 0};
	pthread_t threads[4];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, take_many, &crowd), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.taken, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_burst_may_come_at_once_and_then_one_each_interval),
	    cmocka_unit_test(what_is_refused_takes_nothing),
	    cmocka_unit_test(who_waits_as_told_is_served_and_not_before),
	    cmocka_unit_test(a_rest_gives_the_burst_back_and_no_more),
	    cmocka_unit_test(a_rate_that_is_off_limits_nothing),
	    cmocka_unit_test(a_rate_that_changed_counts_from_then_on),
	    cmocka_unit_test(keys_do_not_share_what_they_use),
	    cmocka_unit_test(a_flood_of_other_keys_resets_nobody),
	    cmocka_unit_test(the_longest_rates_do_not_overflow),
	    cmocka_unit_test(retry_after_is_in_whole_seconds_rounded_up),
	    cmocka_unit_test(a_hash_depends_on_every_octet_and_on_the_length),
	    cmocka_unit_test(threads_together_take_exactly_the_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
