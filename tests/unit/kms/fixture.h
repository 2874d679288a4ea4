// SPDX-License-Identifier: Apache-2.0
/* What the tests of kms/ share: a store, a token that is a fake, a keyring. */
#ifndef TESTS_UNIT_KMS_FIXTURE_H
#define TESTS_UNIT_KMS_FIXTURE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "kms/datakey.h"
#include "kms/record.h"
#include "tests/unit/kms/fake_hsm.h"

#define NOW INT64_C(1800000000)

struct fixture {
	char *dir; /* removed at the end */
	struct store *store;
	struct hsm *hsm;
	struct keyring *ring;
	struct err err;
};
int fixture_begin(void **state);
/* Fails the test that leaves a secret behind. */
int fixture_end(void **state);
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

/* Octets of the locked heap that secrets take now. */
size_t fixture_secrets(void);

/* Runs the tests with a locked heap and a clock that stands at NOW. */
#define RUN_TESTS(tests)                                                       \
	(fixture_process(), cmocka_run_group_tests(tests, NULL, NULL))
void fixture_process(void);

/* A new keyring over the same store and token, which remembers nothing. */
void fixture_reopen(struct fixture *fixture);
/* Makes and commits a key; the caller's. */
struct key_info *fixture_key(
    struct fixture *fixture, const char *cluster, const char *name);
void fixture_put(struct fixture *fixture, enum table table,
    const struct key *row, struct bytes value);
void fixture_get(struct fixture *fixture, enum table table,
    const struct key *row, struct buf *value);

/* context_of("k", "v", …) */
#define context_of(...)                                                        \
	context_of_list((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
struct context *context_of_list(const char *const *texts);

#define assert_refused(got, want, err_ptr, word)                               \
	do {                                                                   \
		assert_int_equal((got), (want));                               \
		assert_int_equal((err_ptr)->code, (want));                     \
		assert_string_equal((err_ptr)->cause, "");                     \
		if (strstr((err_ptr)->detail, (word)) == NULL)                 \
			fail_msg("\"%s\" lacks \"%s\"", (err_ptr)->detail,     \
			    (word));                                           \
		err_clear(err_ptr);                                            \
	} while (0)
#define assert_failed(got, want, err_ptr)                                      \
	do {                                                                   \
		assert_int_equal((got), (want));                               \
		assert_int_equal((err_ptr)->code, (want));                     \
		assert_string_equal((err_ptr)->detail, "");                    \
		err_clear(err_ptr);                                            \
	} while (0)
#define assert_ok(got, err_ptr)                                                \
	do {                                                                   \
		if ((got) != ERR_OK)                                           \
			fail_msg("%s%s", (err_ptr)->detail, (err_ptr)->cause); \
	} while (0)

#endif
