// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: how far a long command has come is told in one line, and never
 * as the whole before the end. */
#include "harness.h"

#include "cli/progress.h"

static void assert_line(uint64_t octets, uint64_t total, const char *want)
{
	OWNED_BUF(line);
	OWNED_STR(text) = NULL;

	progress_line(&line, "copying", octets, total);
	text = buf_to_str(&line);
	assert_string_equal(text, want);
}

static void a_line_tells_the_part_and_the_whole(void **state)
{
	(void)state;
	assert_line(0, 1000, "copying: 0 % of 1000 octets");
	assert_line(505, 1000, "copying: 50 % of 1000 octets");
	assert_line(1 << 30, UINT64_C(1) << 34, "copying: 6 % of 16 GiB");
}

static void the_whole_is_a_guess_and_is_not_reached(void **state)
{
	(void)state;
	assert_line(1000, 1000, "copying: 99 % of 1000 octets");
	assert_line(UINT64_MAX, 1000, "copying: 99 % of 1000 octets");
	assert_line(UINT64_MAX, UINT64_MAX, "copying: 99 % of 16777215 TiB");
}

static void without_a_whole_the_octets_are_told(void **state)
{
	(void)state;
	assert_line(70000, 0, "copying: 68 KiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_tells_the_part_and_the_whole),
	    cmocka_unit_test(the_whole_is_a_guess_and_is_not_reached),
	    cmocka_unit_test(without_a_whole_the_octets_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
