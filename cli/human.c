// SPDX-License-Identifier: Apache-2.0
#include "cli/human.h"

#include "base/clock.h"

static const struct {
	int64_t seconds;
	const char *name;
} parts[] = {
    {365 * 86400, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

void human_seconds(int64_t seconds, struct buf *out)
{
	size_t first = 0;

	if (seconds < 0)
		seconds = 0;
	while (first < ARRAY_LEN(parts) - 1 && seconds < parts[first].seconds)
		first++;
	buf_printf(out, "%lld %s",
	    (long long)(seconds / parts[first].seconds), parts[first].name);
	seconds %= parts[first].seconds;
	if (first + 1 < ARRAY_LEN(parts) && seconds >= parts[first + 1].seconds)
		buf_printf(out, " %lld %s",
		    (long long)(seconds / parts[first + 1].seconds),
		    parts[first + 1].name);
}

void human_octets(uint64_t octets, struct buf *out)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;
	uint64_t size = 1024;

	if (octets < 1024) {
		buf_printf(out, "%llu B", (unsigned long long)octets);
		return;
	}
	while (unit + 1 < ARRAY_LEN(units) && octets / size >= 1024) {
		size *= 1024;
		unit++;
	}
	buf_printf(out, "%llu", (unsigned long long)(octets / size));
	if (octets / size < 10 && octets % size / (size / 10) > 0)
		buf_printf(out, ".%llu",
		    (unsigned long long)(octets % size * 10 / size));
	buf_printf(out, " %s", units[unit]);
}

void human_time(const char *text, int64_t now, struct buf *out)
{
	int64_t at;

	if (!clock_parse(text, &at)) {
		buf_put_str(out, text);
		return;
	}
	/* "2026-11-24T19:50:43Z" */
	buf_printf(out, "%.10s %.8s UTC (", text, text + 11);
	if (at > now)
		buf_put_str(out, "in ");
	human_seconds(at > now ? at - now : now - at, out);
	buf_put_str(out, at > now ? ")" : " ago)");
}

void human_put_time(json_t *object, const char *field, int64_t now)
{
	const char *text = json_string_value(json_object_get(object, field));
	OWNED_BUF(said);

	if (text == NULL)
		return;
	human_time(text, now, &said);
	OWNED_STR(words) = buf_to_str(&said);
	json_object_set_new(object, field, json_string(words));
}

void human_put_absent(json_t *object, const char *field, const char *words)
{
	const json_t *value = json_object_get(object, field);

	if (value == NULL ||
	    (json_is_array(value) && json_array_size(value) == 0))
		json_object_set_new(object, field, json_string(words));
}
