// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define EVERY_MS 500
#define WIPE "\r\033[K"

static void put_size(struct buf *line, uint64_t octets)
{
	static const char *const units[] = {"octets", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (octets >= 10240 && unit + 1 < ARRAY_LEN(units)) {
		octets /= 1024;
		unit++;
	}
	buf_printf(line, "%llu %s", (unsigned long long)octets, units[unit]);
}

/* The total is a guess: there are no 100 % before the end. */
void progress_line(
    struct buf *line, const char *what, uint64_t octets, uint64_t total)
{
	buf_printf(line, "%s: ", what);
	if (total == 0) {
		put_size(line, octets);
		return;
	}
	double part = 100.0 * (double)octets / (double)total;
	buf_printf(line, "%d %% of ", part < 99.0 ? (int)part : 99);
	put_size(line, total);
}

static void tell(void *arg, uint64_t octets)
{
	struct progress *progress = arg;
	int64_t now;
	OWNED_BUF(line);

	if (!progress->terminal ||
	    (now = clock_mono_ms()) < progress->next_ms)
		return;
	progress->next_ms = now + EVERY_MS;
	progress_line(&line, progress->what, octets, progress->total);
	fprintf(stderr, WIPE "%.*s", (int)line.len, (const char *)line.data);
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){.hook = {tell, progress},
	    .what = what,
	    .total = total,
	    .next_ms = clock_mono_ms() + EVERY_MS,
	    .terminal = isatty(STDERR_FILENO) == 1};
	if (progress->terminal)
		fprintf(stderr, "%s …", what);
}

void progress_end(struct progress *progress)
{
	if (progress->terminal)
		fprintf(stderr, WIPE "%s\n", progress->what);
}
