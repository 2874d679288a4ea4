// SPDX-License-Identifier: Apache-2.0
/* Goal: the same request within the window gets the same certificate, however
 * many ask at once, and what no repeat can ask for any more is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/issuing.h"

static struct err err;

static void the_same_request_gets_the_same_certificate_again(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;

	(void)state;
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &again,
	    &err), ERR_OK);
	assert_null(again);
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &again,
	    &err), ERR_OK);
	assert_non_null(again);
	assert_memory_equal(again->der, issued->der, issued->der_len);
}

static void issuing_refuses_what_a_repeat_would_answer(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) second = NULL;

	(void)state;
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_OK);
	assert_int_equal(issuing_try(fixture, order, &second), ERR_CONFLICT);
	assert_null(second);
}

/* Each of these makes it another request. */
static void another_key_name_profile_or_cluster_is_no_repeat(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(fixture_order) other = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &other->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.profile = "server";
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.profile = "peer";
	assert_int_equal(names_add(order->decision->names, NAME_DNS,
	    bytes_str("b.example.net"), &err), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	names_free(order->decision->names);
	order->decision->names = names_copy(order->request->names);
	free(order->cluster.name);
	order->cluster.name = mem_strdup("db2");
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.cluster = NULL;
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
}

static void a_repeat_after_the_window_is_issued_anew(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = NULL;
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;
	struct certificate *found = NULL;
	int64_t now = clock_now();

	(void)state;
	clock_freeze(now);
	order = fixture_order_new("a.example.net");
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_OK);
	clock_freeze(now + 601);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	assert_int_equal(issuing_try(fixture, order, &again), ERR_OK);
	assert_memory_not_equal(issued->serial.octets, again->serial.octets,
	    issued->serial.len);
	clock_thaw();
}

static void a_revoked_certificate_does_not_answer_a_repeat(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;
	OWNED(batch) batch = batch_new();
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_revoke(fixture->ca, batch, issued, 1, &err),
	    ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	assert_int_equal(issuing_try(fixture, order, &again), ERR_OK);
}

static uint64_t repeat_rows(struct fixture *fixture)
{
	uint64_t count = 0;

	assert_int_equal(store_count(fixture->store, TABLE_CERTS_BY_REQUEST,
	    &count, &err), ERR_OK);
	return count;
}

static void what_no_repeat_can_ask_for_is_pruned(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) early = NULL;
	OWNED(fixture_order) late = NULL;
	OWNED(certificate) first = NULL;
	OWNED(certificate) second = NULL;
	OWNED(certificate) found = NULL;
	OWNED_BUF(cursor);
	int64_t now = clock_now();
	uint64_t others = repeat_rows(fixture);

	(void)state;
	clock_freeze(now);
	early = fixture_order_new("a.example.net");
	assert_int_equal(issuing_try(fixture, early, &first), ERR_OK);
	clock_freeze(now + 601);
	late = fixture_order_new("b.example.net");
	assert_int_equal(issuing_try(fixture, late, &second), ERR_OK);
	/* Past the window, and not yet past what a request may wait. */
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(repeat_rows(fixture), others + 2);
	/* The others were made as the first one was, or before. */
	clock_freeze(now + 601 + 3600);
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(repeat_rows(fixture), 1);
	clock_freeze(now + 602);
	assert_int_equal(ca_find_repeat(fixture->ca, &late->order, &found,
	    &err), ERR_OK);
	assert_non_null(found);
	clock_thaw();
}

static void pruning_goes_on_where_it_ended(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	static const uint8_t value[19] = {1, 1};	/* drawn in 1970 */
	OWNED_BUF(cursor);
	uint64_t others = repeat_rows(fixture);

	(void)state;
	for (uint32_t i = 0; i < 1500; i++) {
		OWNED(batch) batch = batch_new();
		/* Before every real one, whose digests are anything. */
		uint8_t key[32] = {0, 0, (uint8_t)(i >> 8), (uint8_t)i};

		batch_put(batch, TABLE_CERTS_BY_REQUEST, BYTES_OF(key),
		    BYTES_OF(value));
		assert_int_equal(
		    store_commit(fixture->store, batch, &err), ERR_OK);
	}
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 32);
	assert_int_equal(repeat_rows(fixture), others + 1500 - 1024);
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(repeat_rows(fixture), others);
}

/* A certificate of an identity, which ends at NOT_AFTER. */
static void put_of_identity(
    struct fixture *fixture, uint8_t n, int64_t not_after)
{
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) record = NULL;
	OWNED(batch) batch = batch_new();

	assert_int_equal(issuing_try(fixture, order, &record), ERR_OK);
	memset(record->serial.octets + 9, n, record->serial.len - 9);
	memset(record->identity, 0xdd, sizeof(record->identity));
	record->not_after = not_after;
	record->revision = 0;
	certificate_put(batch, record);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
}

static void what_an_identity_held_is_pruned_a_day_after_its_end(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED_BUF(cursor);
	int64_t end = clock_now() + 86400;
	uint64_t others, all;

	(void)state;
	others = fixture_count(fixture, TABLE_CERTS_BY_IDENTITY);
	put_of_identity(fixture, 1, end);
	put_of_identity(fixture, 2, end + 1);
	all = fixture_count(fixture, TABLE_CERTIFICATES);
	clock_freeze(end + 86400);
	assert_int_equal(
	    ca_prune_identities(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_IDENTITY),
	    others + 2);
	clock_freeze(end + 86401);
	assert_int_equal(
	    ca_prune_identities(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_IDENTITY),
	    others + 1);
	/* The certificates themselves stay. */
	assert_int_equal(fixture_count(fixture, TABLE_CERTIFICATES), all);
	clock_thaw();
}

#define THREADS 16

struct race {
	struct fixture *fixture;
	const struct fixture_order *order;
	pthread_barrier_t *start;
	struct certificate *certificate;
	enum err_code code;
};

/* What a caller in api/ does. */
static void *find_or_issue(void *arg)
{
	struct race *race = arg;
	struct err mine;

	pthread_barrier_wait(race->start);
	do {
		OWNED(batch) intent = batch_new();

		race->code = ca_find_repeat(race->fixture->ca,
		    &race->order->order, &race->certificate, &mine);
		if (race->code == ERR_OK && race->certificate == NULL)
			race->code = ca_issue(race->fixture->ca,
			    &race->order->order, intent, &race->certificate,
			    &mine);
	} while (race->code == ERR_CONFLICT);
	return NULL;
}

static void run_race(struct race *races, pthread_barrier_t *start)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(start, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		races[i].start = start;
		assert_int_equal(pthread_create(&threads[i], NULL,
		    find_or_issue, &races[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(start);
}

static void sixteen_threads_with_one_request_get_one_certificate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct race races[THREADS];
	pthread_barrier_t start;
	unsigned signatures = fake_hsm_signatures(fixture->hsm);
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		races[i] = (struct race){.fixture = fixture, .order = order};
	run_race(races, &start);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(races[i].code, ERR_OK);
		assert_memory_equal(races[i].certificate->der,
		    races[0].certificate->der, races[0].certificate->der_len);
	}
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + 1);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fake_hsm_signatures(fixture->hsm), signatures + 1);
	for (size_t i = 0; i < THREADS; i++)
		certificate_free(races[i].certificate);
}

static void sixteen_threads_with_own_requests_get_own_serials(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct fixture_order *orders[THREADS];
	struct race races[THREADS];
	pthread_barrier_t start;
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		orders[i] = fixture_order_new("a.example.net");
		races[i] =
		    (struct race){.fixture = fixture, .order = orders[i]};
	}
	run_race(races, &start);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(races[i].code, ERR_OK);
		certificate_free(races[i].certificate);
		fixture_order_free(orders[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_request_gets_the_same_certificate_again),
	    cmocka_unit_test(issuing_refuses_what_a_repeat_would_answer),
	    cmocka_unit_test(another_key_name_profile_or_cluster_is_no_repeat),
	    cmocka_unit_test(a_repeat_after_the_window_is_issued_anew),
	    cmocka_unit_test(what_no_repeat_can_ask_for_is_pruned),
	    cmocka_unit_test(pruning_goes_on_where_it_ended),
	    cmocka_unit_test(
		what_an_identity_held_is_pruned_a_day_after_its_end),
	    cmocka_unit_test(a_revoked_certificate_does_not_answer_a_repeat),
	    cmocka_unit_test(
		sixteen_threads_with_one_request_get_one_certificate),
	    cmocka_unit_test(sixteen_threads_with_own_requests_get_own_serials),
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
