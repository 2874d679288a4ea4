// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include "base/clock.h"

static void clock_stands_still_while_frozen(void **state)
{
	int64_t before = clock_mono_us();

	(void)state;
	clock_freeze(1000);
	assert_int_equal(clock_now(), 1000);
	assert_int_equal(clock_now_ms(), 1000000);
	clock_thaw();
	assert_true(clock_now() > 1600000000);
	assert_true(clock_now_ms() / 1000 >= clock_now() - 1);
	assert_true(clock_mono_us() >= before);
	assert_true(clock_mono_ms() >= before / 1000);
}

static void clock_writes_and_reads_rfc_3339(void **state)
{
	const struct {
		int64_t seconds;
		const char *text;
	} times[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {1795513500, "2026-11-24T09:45:00Z"},
	    {951782400, "2000-02-29T00:00:00Z"},
	    {-1, "1969-12-31T23:59:59Z"},
	    {INT64_C(253402300799), "9999-12-31T23:59:59Z"},
	    {INT64_C(-62167219200), "0000-01-01T00:00:00Z"},
	};
	char text[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t seconds = 5;

		assert_string_equal(
		    clock_format(times[i].seconds, text), times[i].text);
		assert_true(clock_parse(times[i].text, &seconds));
		assert_true(seconds == times[i].seconds);
	}
	assert_string_equal(
	    clock_format(INT64_MAX, text), "9999-12-31T23:59:59Z");
	assert_string_equal(
	    clock_format(INT64_MIN, text), "0000-01-01T00:00:00Z");
}

static void clock_refuses_times_that_are_not(void **state)
{
	const char *const bad[] = {"", "2026-11-24", "2026-11-24T09:45:00",
	    "2026-11-24 09:45:00Z", "2026-11-24T09:45:00z",
	    "2026-11-24T09:45:00+00:00", "2026-11-24T09:45:00.5Z",
	    "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
	    "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
	    "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z",
	    "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
	    "2026-11-24T09:45:00Zx", "+026-11-24T09:45:00Z"};
	int64_t seconds = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(clock_parse(bad[i], &seconds));
	assert_false(clock_parse(NULL, &seconds));
	assert_int_equal(seconds, 5);
}

static void clock_reads_durations_as_people_write_them(void **state)
{
	const struct {
		const char *text;
		int64_t seconds;
		const char *written;
	} durations[] = {
	    {"0s", 0, "0s"},
	    {"90s", 90, "1m30s"},
	    {"15m", 900, "15m"},
	    {"24h", 86400, "1d"},
	    {"30d", 30 * 86400, "30d"},
	    {"1y", 365 * 86400, "1y"},
	    {"1h30m", 5400, "1h30m"},
	    {"1y2d3h4m5s", 365 * 86400 + 2 * 86400 + 3 * 3600 + 245,
		"1y2d3h4m5s"},
	    {"100y", INT64_C(100) * 365 * 86400, "100y"},
	};
	char text[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		int64_t seconds = -5;

		assert_true(duration_parse(durations[i].text, &seconds));
		assert_true(seconds == durations[i].seconds);
		assert_string_equal(
		    duration_format(seconds, text), durations[i].written);
	}
	assert_string_equal(duration_format(-61, text), "-1m1s");
	assert_int_equal(duration_format(INT64_MIN, text)[0], '-');
	assert_true(strlen(duration_format(INT64_MIN, text)) <
	    CLOCK_TEXT_SIZE);
}

static void clock_refuses_durations_that_are_not(void **state)
{
	const char *const bad[] = {"", "10", "s", "10x", "-1s", "1.5h", "1m1h",
	    "1h1h", "1h 30m", " 1h", "1h ", "101y", "100y1s", "1M",
	    "99999999999999999999s", "36501d", "1h30"};
	int64_t seconds = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(duration_parse(bad[i], &seconds));
	assert_false(duration_parse(NULL, &seconds));
	assert_int_equal(seconds, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clock_stands_still_while_frozen),
	    cmocka_unit_test(clock_writes_and_reads_rfc_3339),
	    cmocka_unit_test(clock_refuses_times_that_are_not),
	    cmocka_unit_test(clock_reads_durations_as_people_write_them),
	    cmocka_unit_test(clock_refuses_durations_that_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
