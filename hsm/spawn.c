// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "hsm/spawn.h"
#include "hsm/spawner.h"
#include "hsm/wire.h"

#define ARGUMENTS_MAX 16
/* A program on a file system that hangs starts never. */
#define START_PATIENCE_MS 5000
/* Above the numbers that a program's descriptors get. */
#define DESCRIPTOR_LEAST 16
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static char *find_worker(const struct hsm_options *options)
{
	const char *path = options->worker;

	if (path == NULL)
		path = secure_getenv("SIGNET_HSM_WORKER");
	if (path == NULL || path[0] == '\0')
		path = SIGNET_LIBEXECDIR "/signet-hsm";
	return mem_strdup(path);
}

static char **copy_environment(const struct hsm_options *options)
{
	unsigned count = options->environment_count, used = 0;
	char **copy = mem_zalloc_array((size_t)count + 2, sizeof(*copy));
	bool has_path = false;

	for (; used < count; used++) {
		copy[used] = mem_strdup(options->environment[used]);
		has_path |= text_has_prefix(copy[used], "PATH=");
	}
	if (!has_path)
		copy[used] = mem_strdup(DEFAULT_PATH);
	return copy;
}

struct spawn *spawn_new(
    const struct hsm_options *options, const char *const *arguments)
{
	struct spawn *spawn = mem_zalloc(sizeof(*spawn));
	const char *sandbox =
	    options->sandbox == NULL ? "strict" : options->sandbox;
	int count = 0;

	spawn->patience_ms = START_PATIENCE_MS;
	spawn->path = find_worker(options);
	spawn->environment = copy_environment(options);
	spawn->argv = mem_zalloc_array(ARGUMENTS_MAX + 3, sizeof(char *));
	spawn->argv[count++] = mem_strdup("signet-hsm");
	spawn->argv[count++] = mem_printf("--sandbox=%s", sandbox);
	for (int i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++)
		spawn->argv[count++] = mem_strdup(arguments[i]);
	return spawn;
}

struct spawn *spawn_for_serving(const struct hsm_options *options)
{
	const char *const arguments[] = {"--module", options->module,
	    "--token", options->token, "--pin-file", options->pin_file, NULL};
	struct spawn *spawn = spawn_new(options, arguments);

	spawn->spawner = options->spawner;
	return spawn;
}

struct spawn *spawn_for_program(
    const char *path, const char *const *arguments)
{
	struct spawn *spawn = mem_zalloc(sizeof(*spawn));
	int count = 0;

	spawn->patience_ms = START_PATIENCE_MS;
	spawn->path = mem_strdup(path);
	spawn->environment = mem_zalloc_array(1, sizeof(char *));
	spawn->argv = mem_zalloc_array(ARGUMENTS_MAX + 2, sizeof(char *));
	spawn->argv[count++] = mem_strdup(path);
	for (int i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++)
		spawn->argv[count++] = mem_strdup(arguments[i]);
	return spawn;
}

static void free_strings(char **strings)
{
	for (char **at = strings; at != NULL && *at != NULL; at++)
		free(*at);
	free(strings);
}

void spawn_free(struct spawn *spawn)
{
	if (spawn == NULL)
		return;
	free_strings(spawn->argv);
	free_strings(spawn->environment);
	free(spawn->path);
	free(spawn);
}

/* ---- In the new process: of the C library only what may stand behind a fork of
 * a process with threads ---- */

static void signals_as_by_default(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All above the numbers that the program gets, and none passed on by mistake,
 * whatever the rest of this process forgot to mark. */
static bool lift(int *fd)
{
	if (*fd >= 0)
		*fd = fcntl(*fd, F_DUPFD_CLOEXEC, DESCRIPTOR_LEAST);
	return *fd >= 0;
}

static bool settle_descriptors(int socket_fd, int log_fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (!lift(&null) || !lift(&log_fd) ||
	    (socket_fd >= 0 && !lift(&socket_fd)) ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0)
		return false;
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	return socket_fd < 0 || dup2(socket_fd, WIRE_FD) >= 0;
}

/* Never returns.  REPORT is closed by success. */
static void become_program(
    const struct spawn *spawn, const int fds[2], int report)
{
	ssize_t ignored;
	int error;

	(void)setpgid(0, 0);
	signals_as_by_default();
	if (lift(&report) && settle_descriptors(fds[0], fds[1]))
		(void)execve(spawn->path, spawn->argv, spawn->environment);
	error = errno;
	ignored = write(report, &error, sizeof(error));
	(void)ignored;
	_exit(127);
}

/* ---- In the one that starts it ---- */

/* Without signals: no handler of this process runs in the new one. */
static pid_t fork_off(bool beside)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = beside ? (pid_t)syscall(SYS_clone,
			   (long)(CLONE_PARENT | SIGCHLD), 0L, 0L, 0L, 0L)
		     : fork();
	if (pid != 0)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* The errno of a start that FD tells of, ended if it does not within PATIENCE_MS. */
static int await_start(int fd, int patience_ms, pid_t pid)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int error = 0, got;
	ssize_t len;

	do
		got = poll(&ready, 1, patience_ms);
	while (got < 0 && errno == EINTR);
	if (got <= 0) {
		(void)kill(pid, SIGKILL);
		return ETIMEDOUT;
	}
	do
		len = read(fd, &error, sizeof(error));
	while (len < 0 && errno == EINTR);
	return error;
}

int spawn_process(
    const struct spawn *spawn, const int fds[2], bool beside, pid_t *pid_out)
{
	int ends[2], error;

	*pid_out = -1;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	pid_t pid = fork_off(beside);
	if (pid == 0)
		become_program(spawn, fds, ends[1]);
	error = errno;
	close(ends[1]);
	if (pid > 0)
		error = await_start(ends[0], spawn->patience_ms, pid);
	close(ends[0]);
	if (error != 0 && pid > 0 && !beside)
		(void)spawn_reap(pid, 0);
	*pid_out = pid;
	return error;
}

enum err_code spawn_refuse(const char *path, int error, struct err *err)
{
	errno = error;
	return err_refuse(err, ERR_CONFIG,
	    "The program %s cannot be started: %m; install it there, or set "
	    "SIGNET_HSM_WORKER to where signet-hsm is",
	    err_quote_str(path));
}

enum err_code spawn_start(const struct spawn *spawn, int socket_fd,
    int log_fd, pid_t *pid_out, struct err *err)
{
	const int fds[2] = {socket_fd, log_fd};

	if (spawn->spawner != NULL)
		return spawner_start(
		    spawn->spawner, socket_fd, log_fd, pid_out, err);
	int failed = spawn_process(spawn, fds, false, pid_out);
	return failed == 0 ? ERR_OK : spawn_refuse(spawn->path, failed, err);
}

static void await_exit(pid_t pid, int64_t patience_ms)
{
	OWNED_FD(fd) = pidfd_open(pid, 0);
	struct pollfd ended = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return;
	while (poll(&ended, 1, (int)patience_ms) < 0 && errno == EINTR)
		continue;
}

int spawn_reap(pid_t pid, int64_t patience_ms)
{
	int status = 0;

	if (patience_ms > 0)
		await_exit(pid, patience_ms);
	/* Not reaped yet, so the number still belongs to the child. */
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

const char *spawn_status_text(int status, char text[static 32])
{
	if (WIFSIGNALED(status))
		snprintf(text, 32, "signal %d", WTERMSIG(status));
	else
		snprintf(text, 32, "exit status %d", WEXITSTATUS(status));
	return text;
}
