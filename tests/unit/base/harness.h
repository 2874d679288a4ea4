// SPDX-License-Identifier: Apache-2.0
/* What the tests of base/ share: cmocka, a folder per test, and refusals. */
#ifndef TESTS_UNIT_BASE_HARNESS_H
#define TESTS_UNIT_BASE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/err.h"
#include "base/fs.h"

/* The call succeeds; otherwise its error is shown. */
#define assert_ok(call)                                                        \
	do {                                                                   \
		if ((call) != ERR_OK)                                          \
			fail_msg("%s: %s%s", #call, err.detail, err.cause);    \
	} while (0)

/* The call refuses by CODE, and a detail that holds TEXT. */
#define assert_refused(call, want, text)                                       \
	do {                                                                   \
		if ((call) != (want))                                          \
			fail_msg("no refusal that holds \"%s\"", (text));      \
		assert_int_equal(err.code, (want));                            \
		assert_string_equal(err.cause, "");                            \
		if (strstr(err.detail, (text)) == NULL)                        \
			fail_msg("\"%s\" lacks \"%s\"", err.detail, (text));   \
	} while (0)

/* The call fails by a fault whose cause holds TEXT. */
#define assert_failed(call, want, text)                                        \
	do {                                                                   \
		assert_int_equal((call), (want));                              \
		assert_int_equal(err.code, (want));                            \
		assert_string_equal(err.detail, "");                           \
		if (strstr(err.cause, (text)) == NULL)                         \
			fail_msg("\"%s\" lacks \"%s\"", err.cause, (text));    \
	} while (0)

/* True when CALL ends its process by abort(). */
#define aborts(call)                                                           \
	__extension__({                                                        \
		int status_ = 0;                                               \
		pid_t pid_ = fork();                                           \
		if (pid_ == 0) {                                               \
			signal(SIGABRT, SIG_DFL);                              \
			close(STDERR_FILENO);                                  \
			call;                                                  \
			_exit(0);                                              \
		}                                                              \
		assert_int_equal(waitpid(pid_, &status_, 0), pid_);            \
		WIFSIGNALED(status_) && WTERMSIG(status_) == SIGABRT;          \
	})

/* A folder of the test's own in *state, gone afterwards (one level deep). */
int harness_dir_setup(void **state);
int harness_dir_teardown(void **state);
/* How many names the folder holds. */
int harness_dir_count(const char *dir);
/* Writes TEXT to DIR/NAME; returns the path, malloc'd. */
char *harness_file(const char *dir, const char *name, const char *text);

#define DIR_TEST(test)                                                         \
	cmocka_unit_test_setup_teardown(                                       \
	    test, harness_dir_setup, harness_dir_teardown)

#endif
