// SPDX-License-Identifier: Apache-2.0
#include "cli/reload.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static void run_child(const char *command)
{
	sigset_t none;

	/* The agent blocks the signals that end it; the command must not. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	/* Data goes to standard output, and this is none. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* True when CHILD ended in time. */
static bool wait_end(pid_t child, int seconds)
{
	OWNED_FD(fd) = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	int64_t until = clock_mono_ms() + (int64_t)seconds * 1000;
	int got = -1;

	while (fd >= 0 && got < 0) {
		int64_t left = until - clock_mono_ms();
		got = poll(&end, 1, left > 0 ? (int)left : 0);
		if (got < 0 && errno != EINTR)
			break;
	}
	return got > 0;
}

enum err_code reload_run(const char *command, int seconds, struct err *err)
{
	pid_t child = fork();
	int status = -1;

	if (child < 0)
		return err_fail(err, ERR_COMMAND, "fork: %m");
	if (child == 0)
		run_child(command);
	setpgid(child, child);
	bool ended = wait_end(child, seconds);
	if (!ended)
		(void)kill(-child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!ended)
		return err_fail(err, ERR_COMMAND,
		    "--reload did not end within %d seconds", seconds);
	if (WIFSIGNALED(status))
		return err_fail(err, ERR_COMMAND,
		    "--reload was ended by signal %d", WTERMSIG(status));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_fail(err, ERR_COMMAND,
		    "--reload ended with status %d", WEXITSTATUS(status));
	return ERR_OK;
}
