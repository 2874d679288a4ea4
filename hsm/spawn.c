// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "hsm/spawn.h"
#include "hsm/spawner.h"
#include "hsm/wire.h"

#define ARGUMENTS_MAX 16
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

/* posix_spawn closes what is left over in the child, so that it does not matter
 * what the rest of this process forgot to mark. */
static int set_descriptors(
    posix_spawn_file_actions_t *actions, int socket_fd, int log_fd)
{
	int first_closed = socket_fd < 0 ? WIRE_FD : WIRE_FD + 1;
	int failed = 0;

	/* The socket first: where the server was started without standard
	 * input or output, it has one of their numbers. */
	if (socket_fd >= 0)
		failed |= posix_spawn_file_actions_adddup2(
		    actions, socket_fd, WIRE_FD);
	failed |= posix_spawn_file_actions_adddup2(
	    actions, log_fd, STDERR_FILENO);
	failed |= posix_spawn_file_actions_adddup2(
	    actions, STDERR_FILENO, STDOUT_FILENO);
	failed |= posix_spawn_file_actions_addopen(
	    actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	failed |= posix_spawn_file_actions_addclosefrom_np(
	    actions, first_closed);
	return failed;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int failed = 0;

	sigemptyset(&none);
	sigfillset(&all);
	failed |= posix_spawnattr_setsigmask(attributes, &none);
	failed |= posix_spawnattr_setsigdefault(attributes, &all);
	failed |= posix_spawnattr_setpgroup(attributes, 0);
	failed |= posix_spawnattr_setflags(attributes,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETPGROUP);
	return failed;
}

enum err_code spawn_refuse(const char *path, int error, struct err *err)
{
	errno = error;
	return err_refuse(err, ERR_CONFIG,
	    "The key store's worker program %s cannot be started: %m; install "
	    "it there or set SIGNET_HSM_WORKER to its path",
	    err_quote_str(path));
}

enum err_code spawn_start(const struct spawn *spawn, int socket_fd,
    int log_fd, pid_t *pid_out, struct err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int failed;

	if (spawn->spawner != NULL)
		return spawner_start(
		    spawn->spawner, socket_fd, log_fd, pid_out, err);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	failed = set_descriptors(&actions, socket_fd, log_fd);
	failed |= set_attributes(&attributes);
	if (failed == 0)
		failed = posix_spawn(pid_out, spawn->path, &actions,
		    &attributes, spawn->argv, spawn->environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
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
