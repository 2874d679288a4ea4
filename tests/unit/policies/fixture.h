// SPDX-License-Identifier: Apache-2.0
/* What the tests of policies/ share.  Every helper asserts. */
#ifndef TESTS_POLICIES_FIXTURE_H
#define TESTS_POLICIES_FIXTURE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "policies/policy.h"
#include "store/store.h"

#define NOW INT64_C(1800000000)

/* A folder of its own for each test, and a store in it. */
struct fixture {
	char *dir;		/* removed at the end */
	struct store *store;
	struct err err;
};
int fixture_begin(void **state);
int fixture_begin_store(void **state);
int fixture_end(void **state);
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)
#define TEST_STORE(name)                                                       \
	cmocka_unit_test_setup_teardown(name, fixture_begin_store, fixture_end)

/* Asserts a refusal of CODE whose detail holds each of the words (NULL ends). */
#define assert_refused(got, code, err, ...)                                    \
	assert_refused_at((got), (code), (err),                                \
	    (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
void assert_refused_at(enum err_code got, enum err_code code,
    const struct err *err, const char *const *words);

void assert_commit(struct store *store, struct batch *batch);

/*
 * Compares TEXT with the committed file golden/NAME.  With SIGNET_UPDATE_GOLDEN
 * set in the environment the file is written instead: run the test once so,
 * then read the difference that git shows before committing it.
 */
void assert_golden(const char *name, struct bytes text);

/* The policies as shipped. */
struct policy_set *shipped_policies(void);

/* A cluster "orders" under POLICY: db1.example.net, *.orders.example.net,
 * 10.1.0.0/16, fd00:1::/64. */
struct cluster *orders(const char *policy);

/* names_of("CN=app", "DNS:a.example", "IP:10.1.0.1", "URI:x:y") */
#define names_of(...) names_of_list((const char *const[]){__VA_ARGS__, NULL})
struct names *names_of_list(const char *const *texts);

/* A small generator (xorshift) with a known seed, so that a failure repeats. */
uint32_t random_next(uint64_t *seed);

#endif
