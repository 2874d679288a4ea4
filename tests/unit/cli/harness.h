// SPDX-License-Identifier: Apache-2.0
/* What the tests of cli/ share: a folder each, and what a call prints. */
#ifndef TESTS_UNIT_CLI_HARNESS_H
#define TESTS_UNIT_CLI_HARNESS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

/* *state is the path of a folder that is removed with what is in it. */
int harness_begin(void **state);
int harness_end(void **state);
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, harness_begin, harness_end)

/* Between the two, what the process and its children write to descriptor FD (1
 * or 2) is kept; capture_end gives it, malloc'd. */
struct capture {
	int fd, kept, file;
};
struct capture capture_begin(int fd);
char *capture_end(struct capture *capture);

/* Runs the program at the path ARGV[0]; its exit code, or 128 and the signal.
 * What it printed is in the two texts, malloc'd; either may be NULL. */
int run_program(const char *const *argv, char **out, char **errors);

/* The content of DIR/NAME, malloc'd; NULL when it cannot be read. */
char *slurp(const char *dir, const char *name);
void spill(const char *dir, const char *name, mode_t mode, const char *text);
/* How many names in DIR begin with PREFIX. */
int count_names(const char *dir, const char *prefix);

#define assert_has(text, part)                                                 \
	do {                                                                   \
		if (strstr((text), (part)) == NULL)                            \
			fail_msg("\"%s\" lacks \"%s\"", (text), (part));       \
	} while (0)
#define assert_lacks(text, part)                                               \
	do {                                                                   \
		if (strstr((text), (part)) != NULL)                            \
			fail_msg("\"%s\" has \"%s\"", (text), (part));         \
	} while (0)
#define assert_ok(got, err_ptr)                                                \
	do {                                                                   \
		if ((got) != ERR_OK)                                           \
			fail_msg("%s%s", (err_ptr)->detail, (err_ptr)->cause); \
	} while (0)
/* An error of that code, whose text has the part; cleared afterwards. */
#define assert_error(got, want, err_ptr, part)                                 \
	do {                                                                   \
		assert_int_equal((got), (want));                               \
		assert_int_equal((err_ptr)->code, (want));                     \
		if (strstr((err_ptr)->detail, (part)) == NULL &&               \
		    strstr((err_ptr)->cause, (part)) == NULL)                  \
			fail_msg("\"%s%s\" lacks \"%s\"", (err_ptr)->detail,   \
			    (err_ptr)->cause, (part));                         \
		err_clear(err_ptr);                                            \
	} while (0)

#endif
