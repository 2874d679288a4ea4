// SPDX-License-Identifier: Apache-2.0
#include "api/teller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "hsm/spawn.h"

#define TELLERS_MAX 8
#define END_MS 1000

struct teller {
	const char *spec;	/* borrowed from the configuration */
	int fd;
	pid_t pid;
};

struct tellers {
	struct teller items[TELLERS_MAX];
	unsigned count;
};

/* Beside the worker. */
static char *find_program(void)
{
	const char *worker = secure_getenv("SIGNET_HSM_WORKER");
	if (worker == NULL || worker[0] == '\0')
		return mem_strdup(SIGNET_LIBEXECDIR "/signet-witness");
	OWNED_STR(dir) = fs_dirname(worker);
	return fs_join(dir, "signet-witness");
}

/* Standard input and output are empty, the log is the server's.  SIGTERM stays
 * blocked: it ends when its server has told all. */
static int start(const char *path, char *const *argv, int fd, pid_t *pid_out)
{
	char *const environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(
	    &actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, TELL_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, TELL_FD + 1);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	int failed = posix_spawn(
	    pid_out, path, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static enum err_code open_teller(const struct config *config,
    const char *spec, struct teller *teller, struct err *err)
{
	OWNED_STR(path) = find_program();
	OWNED_STR(url) = mem_strdup(spec);
	OWNED_STR(none) = mem_strdup("-");
	char *const argv[] = {path, url,
	    config->audit.witness_ca == NULL ? none : config->audit.witness_ca,
	    config->audit.witness_certificate, config->audit.witness_key, NULL};
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return err_fail(err, ERR_IO, "socketpair for a witness: %m");
	int failed = start(path, argv, ends[1], &teller->pid);
	close(ends[1]);
	if (failed != 0) {
		close(ends[0]);
		return spawn_refuse(path, failed, err);
	}
	teller->spec = spec;
	teller->fd = ends[0];
	return ERR_OK;
}

enum err_code tellers_open(const struct config *config,
    struct tellers **tellers_out, struct err *err)
{
	OWNED(tellers) tellers = mem_zalloc(sizeof(*tellers));
	for (unsigned i = 0; i < config->audit.witness_count; i++) {
		const char *spec = config->audit.witness[i];
		if (!text_has_prefix(spec, "http"))
			continue;
		enum err_code code = open_teller(
		    config, spec, &tellers->items[tellers->count], err);
		if (code != ERR_OK)
			return code;
		tellers->count++;
	}
	*tellers_out = GIVE(tellers);
	return ERR_OK;
}

void tellers_close(struct tellers *tellers)
{
	if (tellers == NULL)
		return;
	for (unsigned i = 0; i < tellers->count; i++) {
		close(tellers->items[i].fd);
		(void)spawn_reap(tellers->items[i].pid, END_MS);
	}
	free(tellers);
}

struct teller *tellers_find(struct tellers *tellers, const char *spec)
{
	for (unsigned i = 0; tellers != NULL && i < tellers->count; i++)
		if (strcmp(tellers->items[i].spec, spec) == 0)
			return &tellers->items[i];
	return NULL;
}

static bool wait_for(int fd, short events, int64_t until_ms)
{
	int64_t left = until_ms - clock_mono_ms();
	struct pollfd look = {.fd = fd, .events = events};
	if (left <= 0)
		return false;
	int ready = poll(&look, 1, (int)left);
	return ready > 0 || (ready < 0 && errno == EINTR);
}

static bool send_all(int fd, struct bytes data, int64_t until_ms)
{
	while (data.len > 0) {
		if (!wait_for(fd, POLLOUT, until_ms))
			return false;
		ssize_t sent = send(fd, data.data, data.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (sent <= 0)
			return false;
		data = BYTES(data.data + sent, data.len - (size_t)sent);
	}
	return true;
}

static bool receive_all(int fd, void *into, size_t len, int64_t until_ms)
{
	uint8_t *at = into;
	while (len > 0) {
		if (!wait_for(fd, POLLIN, until_ms))
			return false;
		ssize_t got = recv(fd, at, len, MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

enum err_code teller_ask(struct teller *teller, char op, struct bytes lines,
    struct tell_answer *answer_out, struct err *err)
{
	int64_t until_ms = clock_mono_ms() + TELL_PATIENCE_MS;
	uint32_t len = (uint32_t)lines.len;
	uint8_t head[1 + sizeof(len)] = {(uint8_t)op};
	if (lines.len > TELL_MAX)
		return err_fail(err, ERR_IO, "audit witness %s: %zu octets are "
		    "too many at once", teller->spec, lines.len);
	memcpy(head + 1, &len, sizeof(len));
	if (!send_all(teller->fd, BYTES_OF(head), until_ms) ||
	    !send_all(teller->fd, lines, until_ms) ||
	    !receive_all(teller->fd, answer_out, sizeof(*answer_out),
		until_ms)) {
		/* An answer that comes later would be taken for the next. */
		teller_cut(teller);
		return err_fail(err, ERR_IO, "audit witness %s: the process "
		    "that tells it has ended or hangs: restart signetd",
		    teller->spec);
	}
	answer_out->why[sizeof(answer_out->why) - 1] = '\0';
	if (answer_out->taken)
		return ERR_OK;
	return err_fail(err, ERR_IO, "audit witness %s: %s", teller->spec,
	    err_quote_str(answer_out->why));
}

void teller_cut(struct teller *teller)
{
	(void)shutdown(teller->fd, SHUT_RDWR);
}
