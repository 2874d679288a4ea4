// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/hsm.h"
#include "hsm/spawn.h"
#include "hsm/wire.h"

#define INIT_MS 60000
#define TEXT_MAX 4096

/* What the worker says, until it closes its standard error or DEADLINE. */
static void read_text(int fd, int64_t deadline, struct buf *text)
{
	while (text->len < TEXT_MAX) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd waited = {.fd = fd, .events = POLLIN};
		uint8_t chunk[512];
		ssize_t got;

		if (left <= 0 || (poll(&waited, 1, (int)left) < 0 &&
				     errno != EINTR))
			return;
		if (waited.revents == 0)
			continue;
		got = read(fd, chunk, sizeof(chunk));
		if (got <= 0)
			return;
		buf_put(text, chunk, (size_t)got);
	}
}

/* The last line, which is the worker's own; a driver may have chattered first. */
static struct bytes last_line(struct bytes text)
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

static enum err_code init_error(int status, struct bytes text, struct err *err)
{
	int len = text.len < 280 ? (int)text.len : 280;
	const char *said = text.len > 0 ? (const char *)text.data : "";
	char ended[32];

	if (!WIFEXITED(status) || WEXITSTATUS(status) > WIRE_CONFIG)
		return err_fail(err, ERR_HSM_UNAVAILABLE,
		    "worker could not make the token: %s: %.*s",
		    spawn_status_text(status, ended), len, said);
	switch ((enum wire_status)WEXITSTATUS(status)) {
	case WIRE_OK:
		return ERR_OK;
	case WIRE_EXISTS:
		return err_refuse(err, ERR_EXISTS,
		    len > 0 ? "%.*s" : "A token of that label exists%.*s",
		    len, said);
	case WIRE_PIN:
	case WIRE_CONFIG:
		return err_refuse(err, ERR_CONFIG,
		    len > 0 ? "%.*s"
			    : "The token cannot be made: check module and "
			      "PIN files%.*s",
		    len, said);
	case WIRE_BAD_REQUEST:
	case WIRE_REFUSED:
	case WIRE_NO_KEY:
	case WIRE_UNSAFE:
	case WIRE_UNWRAP:
		return err_fail(err, ERR_HSM_REFUSED,
		    "worker could not make the token: %.*s", len, said);
	case WIRE_DEVICE_GONE:
		break;
	}
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "worker could not make the token: %.*s", len, said);
}

enum err_code hsm_init_token(const struct hsm_options *options,
    const char *label, const char *so_pin_file, const char *pin_file,
    struct err *err)
{
	const char *const arguments[] = {"--init-token", "--module",
	    options->module, "--label", label, "--so-pin-file", so_pin_file,
	    "--pin-file", pin_file, NULL};
	OWNED(spawn) spawn = spawn_new(options, arguments);
	int64_t deadline = clock_mono_ms() + INIT_MS, left;
	OWNED_BUF(text);
	enum err_code code;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_fail(err, ERR_IO, "pipe for a worker: %m");
	code = spawn_start(spawn, -1, ends[1], &pid, err);
	close(ends[1]);
	if (code == ERR_OK)
		read_text(ends[0], deadline, &text);
	close(ends[0]);
	if (code != ERR_OK)
		return code;
	left = deadline - clock_mono_ms();
	return init_error(spawn_reap(pid, left > 0 ? left : 0),
	    last_line(buf_bytes(&text)), err);
}
