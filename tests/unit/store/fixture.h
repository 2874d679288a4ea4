// SPDX-License-Identifier: Apache-2.0
/* A store in a folder of its own for each test, and short names for what tests
 * of the store do all the time.  Every helper asserts. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "store/audit.h"
#include "store/store.h"

struct fixture {
	char *dir;		/* removed at the end */
	char *path;		/* the store's folder in it, made by open */
	struct store *store;	/* closed at the end unless NULL */
	struct err err;
};

int fixture_begin(void **state);	/* without a store */
int fixture_begin_open(void **state);	/* with an empty one */
int fixture_end(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(                            \
	name, fixture_begin_open, fixture_end)
#define TEST_CLOSED(name) cmocka_unit_test_setup_teardown(                     \
	name, fixture_begin, fixture_end)

enum err_code fixture_open(struct fixture *fixture, uint64_t map_size);
struct store *fixture_open_read_only(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);
/* DIR/NAME; malloc'd */
char *fixture_path(const struct fixture *fixture, const char *name);

enum err_code put(struct store *store, const char *key, const char *value);
void assert_put(struct store *store, const char *key, const char *value);
/* VALUE NULL: absent.  Returns the revision. */
uint64_t assert_value(
    struct store *store, const char *key, const char *value);
void assert_absent(struct store *store, const char *key);
/* Adds an entry that is told from others by OBJECT. */
void add_audit(struct batch *batch, const char *object);
void assert_audit(struct store *store, const char *object);
/* "entry 1" to "entry COUNT", each by a commit of its own. */
void assert_audits(struct store *store, unsigned count);
uint64_t assert_verifies(struct store *store);
void assert_contains(const char *text, const char *part);

#endif
