// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "ca/ocsp_cache.h"

static struct ocsp_response *response_new(uint64_t revision)
{
	struct ocsp_response *response = mem_zalloc(sizeof(*response));

	response->revision = revision;
	atomic_init(&response->refs, 1);
	return response;
}

static void put(struct ocsp_cache *cache, uint32_t n, uint64_t revision)
{
	OWNED(ocsp_response) response = response_new(revision);

	ocsp_cache_put(cache, BYTES(&n, sizeof(n)), response);
}

/* The revision that stands there; 0: nothing. */
static uint64_t find(struct ocsp_cache *cache, uint32_t n)
{
	OWNED(ocsp_response) response =
	    ocsp_cache_find(cache, BYTES(&n, sizeof(n)));

	return response == NULL ? 0 : response->revision;
}

static void what_was_put_is_found_and_nothing_else(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(64);

	(void)state;
	assert_int_equal(find(cache, 1), 0);
	put(cache, 1, 11);
	put(cache, 2, 22);
	assert_int_equal(find(cache, 1), 11);
	assert_int_equal(find(cache, 2), 22);
	assert_int_equal(find(cache, 3), 0);
	assert_int_equal(ocsp_cache_entries(cache), 2);
}

static void requests_differ_by_any_octet_and_by_length(void **state)
{
	static uint8_t request[100];
	OWNED(ocsp_cache) cache = ocsp_cache_new(4096);
	OWNED(ocsp_response) response = response_new(1);

	(void)state;
	ocsp_cache_put(cache, BYTES_OF(request), response);
	for (size_t i = 0; i < sizeof(request); i++) {
		request[i] ^= 1;
		assert_null(ocsp_cache_find(cache, BYTES_OF(request)));
		request[i] ^= 1;
		assert_null(ocsp_cache_find(cache, BYTES(request, i)));
	}
}

static void a_newer_response_takes_the_place_of_the_older(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(64);

	(void)state;
	put(cache, 1, 11);
	put(cache, 1, 12);
	assert_int_equal(find(cache, 1), 12);
	assert_int_equal(ocsp_cache_entries(cache), 1);
}

static void only_the_response_that_was_seen_is_dropped(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(64);
	OWNED(ocsp_response) seen = NULL;
	uint32_t n = 1;

	(void)state;
	put(cache, n, 11);
	seen = ocsp_cache_find(cache, BYTES(&n, sizeof(n)));
	put(cache, n, 12);
	ocsp_cache_drop(cache, BYTES(&n, sizeof(n)), seen);
	assert_int_equal(find(cache, n), 12);
	ocsp_response_free(seen);
	seen = ocsp_cache_find(cache, BYTES(&n, sizeof(n)));
	ocsp_cache_drop(cache, BYTES(&n, sizeof(n)), seen);
	assert_int_equal(find(cache, n), 0);
	assert_int_equal(ocsp_cache_entries(cache), 0);
	ocsp_cache_drop(cache, BYTES(&n, sizeof(n)), seen);
}

static void it_holds_no_more_than_its_bound(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(100);	/* 128 places */
	uint32_t found = 0;

	(void)state;
	for (uint32_t n = 0; n < 10000; n++) {
		put(cache, n, n + 1);
		assert_in_range(ocsp_cache_entries(cache), 1, 128);
		/* The newest is never the one thrown out. */
		assert_int_equal(find(cache, n), n + 1);
	}
	for (uint32_t n = 0; n < 10000; n++)
		found += find(cache, n) != 0;
	assert_int_equal(found, ocsp_cache_entries(cache));
	assert_int_equal(found, 128);
}

static void what_is_asked_for_stays_while_others_pass(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(8);	/* one set */

	(void)state;
	put(cache, 0, 99);
	for (uint32_t n = 1; n < 1000; n++) {
		assert_int_equal(find(cache, 0), 99);
		put(cache, n, n);
	}
}

struct crowd {
	struct ocsp_cache *cache;
	uint32_t seed;
};

static void *put_and_find(void *arg)
{
	struct crowd *crowd = arg;

	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t n = (i * 2654435761u + crowd->seed) % 200;
		uint64_t revision = find(crowd->cache, n);

		if (revision != 0 && revision != n + 1)
			abort();
		put(crowd->cache, n, n + 1);
	}
	return NULL;
}

static void threads_find_whole_entries_while_others_replace_them(void **state)
{
	OWNED(ocsp_cache) cache = ocsp_cache_new(64);
	struct crowd crowds[4];
	pthread_t threads[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		crowds[i] = (struct crowd){cache, i * 7919};
		assert_int_equal(pthread_create(&threads[i], NULL,
		    put_and_find, &crowds[i]), 0);
	}
	for (uint32_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_in_range(ocsp_cache_entries(cache), 1, 64);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_put_is_found_and_nothing_else),
	    cmocka_unit_test(requests_differ_by_any_octet_and_by_length),
	    cmocka_unit_test(a_newer_response_takes_the_place_of_the_older),
	    cmocka_unit_test(only_the_response_that_was_seen_is_dropped),
	    cmocka_unit_test(it_holds_no_more_than_its_bound),
	    cmocka_unit_test(what_is_asked_for_stays_while_others_pass),
	    cmocka_unit_test(
		threads_find_whole_entries_while_others_replace_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
