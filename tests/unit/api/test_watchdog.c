// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: a writer that hangs is told from one that has nothing to do,
 * is at work, or can only refuse. */
#include "harness.h"
#include "api/watchdog.h"

static const struct {
	struct store_stats before, now;
	bool moves;
} looks[] = {
    {{.waiting = 3, .batches = 7, .commits = 5, .writable = true},
	{.waiting = 1, .batches = 7, .commits = 5, .writable = true}, false},
    {{.waiting = 0, .batches = 7, .commits = 5, .writable = true},
	{.waiting = 1, .batches = 7, .commits = 5, .writable = true}, true},
    {{.waiting = 3, .batches = 7, .commits = 5, .writable = true},
	{.waiting = 0, .batches = 7, .commits = 5, .writable = true}, true},
    {{.waiting = 3, .batches = 7, .commits = 5, .writable = true},
	{.waiting = 3, .batches = 8, .commits = 6, .writable = true}, true},
    /* Batches that were all refused make a commit, too. */
    {{.waiting = 3, .batches = 7, .commits = 5, .writable = true},
	{.waiting = 3, .batches = 7, .commits = 6, .writable = true}, true},
    {{.waiting = 3, .batches = 7, .commits = 5, .writable = false},
	{.waiting = 3, .batches = 7, .commits = 5, .writable = false}, true},
};

static void only_a_writer_that_hangs_stands_still(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		assert_int_equal(
		    watchdog_moves(&looks[i].before, &looks[i].now),
		    looks[i].moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_a_writer_that_hangs_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
