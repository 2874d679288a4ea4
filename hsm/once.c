// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "hsm/once.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/spawn.h"

/* What the worker says, until it closes its standard error or DEADLINE. */
static void read_text(int fd, int64_t deadline, struct buf *text)
{
	while (text->len < ONCE_TEXT_MAX) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd waited = {.fd = fd, .events = POLLIN};
		uint8_t chunk[512];
		ssize_t got;

		if (left <= 0 ||
		    (poll(&waited, 1, (int)left) < 0 && errno != EINTR))
			return;
		if (waited.revents == 0)
			continue;
		got = read(fd, chunk, sizeof(chunk));
		if (got <= 0)
			return;
		buf_put(text, chunk, (size_t)got);
	}
}

struct bytes once_last_line(struct bytes text)
{
	const uint8_t *start;

	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (text.len == 0)
		return text;
	start = memrchr(text.data, '\n', text.len);
	if (start == NULL)
		return text;
	start++;
	return BYTES(start, text.len - (size_t)(start - text.data));
}

enum err_code once_run(const struct hsm_options *options,
    const char *const *arguments, int64_t patience_ms, struct buf *text,
    int *status_out, struct err *err)
{
	OWNED(spawn) spawn = spawn_new(options, arguments);
	int64_t deadline = clock_mono_ms() + patience_ms, left;
	enum err_code code;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_fail(err, ERR_IO, "pipe for a worker: %m");
	code = spawn_start(spawn, -1, ends[1], &pid, err);
	close(ends[1]);
	if (code == ERR_OK)
		read_text(ends[0], deadline, text);
	close(ends[0]);
	if (code != ERR_OK)
		return code;
	left = deadline - clock_mono_ms();
	*status_out = spawn_reap(pid, left > 0 ? left : 0);
	return ERR_OK;
}
