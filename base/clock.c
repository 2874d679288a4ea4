// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RUNNING INT64_MIN
#define DAY INT64_C(86400)
#define ERA_DAYS INT64_C(146097)	/* of 400 Gregorian years */
#define YEAR (365 * DAY)

/* RFC 3339 has four digits of year. */
#define LEAST_SECONDS INT64_C(-62167219200)	/* 0000-01-01T00:00:00Z */
#define GREATEST_SECONDS INT64_C(253402300799)	/* 9999-12-31T23:59:59Z */

static _Atomic int64_t frozen = RUNNING;

static int64_t read_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
	int64_t held = atomic_load_explicit(&frozen, memory_order_relaxed);

	return held != RUNNING ? held * 1000
			       : read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_now(void)
{
	int64_t held = atomic_load_explicit(&frozen, memory_order_relaxed);

	return held != RUNNING ? held : read_us(CLOCK_REALTIME) / 1000000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

void clock_freeze(int64_t now)
{
	atomic_store(&frozen, now);
}

void clock_thaw(void)
{
	atomic_store(&frozen, RUNNING);
}

/* The last DIGITS of VALUE, in decimal. */
static char *put_digits(char *at, int64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + digits;
}

/*
 * The Gregorian date of DAY, counted from 1970-01-01.  Years are counted from
 * March, so that a leap day is the last of its year, and in eras of 400 years,
 * which all have as many days.
 */
static void civil_date(int64_t day, int64_t *year, int64_t *month, int64_t *dom)
{
	/* Counted from March of the year -400, so never negative. */
	int64_t shifted = day + 719468 + ERA_DAYS;
	int64_t era = shifted / ERA_DAYS - 1, of_era = shifted % ERA_DAYS;
	int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 -
				  of_era / (ERA_DAYS - 1)) / 365;
	int64_t of_year = of_era -
	    (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t from_march = (5 * of_year + 2) / 153;

	*dom = of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = era * 400 + year_of_era + (*month <= 2);
}

/* Not gmtime_r(), which takes a lock of the whole process. */
const char *clock_format(int64_t seconds, char text[static CLOCK_TEXT_SIZE])
{
	static const char separators[] = "--T::Z";
	int64_t at = seconds < LEAST_SECONDS ? LEAST_SECONDS
	    : seconds > GREATEST_SECONDS     ? GREATEST_SECONDS
					     : seconds;
	int64_t second = (at % DAY + DAY) % DAY;
	int64_t parts[6];
	char *end = text;

	civil_date((at - second) / DAY, &parts[0], &parts[1], &parts[2]);
	parts[3] = second / 3600;
	parts[4] = second / 60 % 60;
	parts[5] = second % 60;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		end = put_digits(end, parts[i], i == 0 ? 4 : 2);
		*end++ = separators[i];
	}
	*end = '\0';
	return text;
}

/* The shape YYYY-MM-DDTHH:MM:SSZ, '0' standing for any digit. */
static bool has_shape(const char *text)
{
	static const char shape[] = "0000-00-00T00:00:00Z";

	for (size_t i = 0; i < sizeof(shape); i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';

		if (shape[i] == '0' ? !digit : text[i] != shape[i])
			return false;
	}
	return true;
}

static int number_at(const char *text, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

bool clock_parse(const char *text, int64_t *seconds_out)
{
	char again[CLOCK_TEXT_SIZE];
	struct tm tm = {0};
	int64_t seconds;

	if (text == NULL || !has_shape(text))
		return false;
	tm.tm_year = number_at(text, 4) - 1900;
	tm.tm_mon = number_at(text + 5, 2) - 1;
	tm.tm_mday = number_at(text + 8, 2);
	tm.tm_hour = number_at(text + 11, 2);
	tm.tm_min = number_at(text + 14, 2);
	tm.tm_sec = number_at(text + 17, 2);
	seconds = timegm(&tm);
	/* timegm() carries what is out of range (30 February) over; then the
	 * time is not written as it was read. */
	if (strcmp(clock_format(seconds, again), text) != 0)
		return false;
	*seconds_out = seconds;
	return true;
}

#define SECONDS_LEN 19 /* without the Z */

const char *clock_format_ms(
    int64_t milliseconds, char text[static CLOCK_TEXT_SIZE])
{
	int64_t part = (milliseconds % 1000 + 1000) % 1000;
	char *end = text + SECONDS_LEN;

	clock_format((milliseconds - part) / 1000, text);
	*end++ = '.';
	end = put_digits(end, part, 3);
	*end++ = 'Z';
	*end = '\0';
	return text;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool clock_parse_ms(const char *text, size_t len, int64_t *milliseconds_out)
{
	char seconds[SECONDS_LEN + 2];
	const char *part = text + SECONDS_LEN;
	int64_t value;

	if (len != SECONDS_LEN + 5 || part[0] != '.' || !is_digit(part[1]) ||
	    !is_digit(part[2]) || !is_digit(part[3]) || part[4] != 'Z')
		return false;
	memcpy(seconds, text, SECONDS_LEN);
	seconds[SECONDS_LEN] = 'Z';
	seconds[SECONDS_LEN + 1] = '\0';
	if (!clock_parse(seconds, &value))
		return false;
	*milliseconds_out = value * 1000 + (part[1] - '0') * 100 +
			    (part[2] - '0') * 10 + (part[3] - '0');
	return true;
}

static const struct {
	char letter;
	int64_t seconds;
} units[] = {{'y', YEAR}, {'d', DAY}, {'h', 3600}, {'m', 60}, {'s', 1}};

/* One number with its unit.  *FROM is the first unit still allowed: each part
 * is of a smaller unit than the one before. */
static bool parse_part(
    const char **text, size_t *from, int64_t *part_out)
{
	int64_t count = 0;
	const char *at = *text;

	while (*at >= '0' && *at <= '9' && count <= 100 * YEAR)
		count = count * 10 + (*at++ - '0');
	if (at == *text || count > 100 * YEAR)
		return false;
	for (size_t i = *from; i < ARRAY_LEN(units); i++) {
		if (*at != units[i].letter)
			continue;
		*from = i + 1;
		*text = at + 1;
		*part_out = count * units[i].seconds;
		return true;
	}
	return false;
}

bool duration_parse(const char *text, int64_t *seconds_out)
{
	int64_t total = 0, part = 0;
	size_t from = 0;

	if (text == NULL || *text == '\0')
		return false;
	while (*text != '\0') {
		if (!parse_part(&text, &from, &part))
			return false;
		total += part;
	}
	if (total > 100 * YEAR)
		return false;
	*seconds_out = total;
	return true;
}

const char *duration_format(int64_t seconds, char text[static CLOCK_TEXT_SIZE])
{
	uint64_t left = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
	size_t used = 0;

	if (seconds == 0)
		return memcpy(text, "0s", sizeof("0s"));
	if (seconds < 0)
		text[used++] = '-';
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t unit = (uint64_t)units[i].seconds;

		if (left < unit)
			continue;
		used += (size_t)snprintf(text + used, CLOCK_TEXT_SIZE - used,
		    "%" PRIu64 "%c", left / unit, units[i].letter);
		left %= unit;
	}
	return text;
}
