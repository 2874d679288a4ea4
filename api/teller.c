// SPDX-License-Identifier: Apache-2.0
#include "api/teller.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "hsm/spawner.h"

#define END_MS 1000

struct teller {
	const char *spec;	/* borrowed from the configuration */
	struct spawner *spawner;
	unsigned index;		/* of its program */
	pthread_mutex_t lock;
	int fd;			/* under lock, written by its thread; -1: none */
	bool ending;		/* under lock: never started again */
	pid_t pid;		/* its thread's; 0: none */
	_Atomic uint64_t losses;
	struct tell_answer first;
	bool has_first;
};

struct tellers {
	struct teller items[SPAWNER_OTHERS_MAX];
	struct spawn *programs[SPAWNER_OTHERS_MAX];
	unsigned count;
};

/* ---- The process ---- */

/* Beside the worker. */
static char *find_program(void)
{
	const char *worker = secure_getenv("SIGNET_HSM_WORKER");
	if (worker == NULL || worker[0] == '\0')
		return mem_strdup(SIGNET_LIBEXECDIR "/signet-witness");
	OWNED_STR(dir) = fs_dirname(worker);
	return fs_join(dir, "signet-witness");
}

/* FD (-1: none) becomes its descriptor.  False when it may have none. */
static bool set_descriptor(struct teller *teller, int fd)
{
	pthread_mutex_lock(&teller->lock);
	bool wanted = fd < 0 || !teller->ending;
	if (wanted) {
		if (teller->fd >= 0)
			close(teller->fd);
		teller->fd = fd;
	}
	pthread_mutex_unlock(&teller->lock);
	return wanted;
}

/* Its status as of waitpid(2). */
static int end_process(struct teller *teller, int64_t patience_ms)
{
	pid_t pid = teller->pid;
	teller->pid = 0;
	(void)set_descriptor(teller, -1);
	return spawn_reap(pid, patience_ms);
}

static enum err_code start(struct teller *teller, struct err *err)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return err_fail(err, ERR_IO, "socketpair for a witness: %m");
	const int fds[2] = {ends[1], STDERR_FILENO};
	enum err_code code = spawner_start_other(
	    teller->spawner, teller->index, fds, &teller->pid, err);
	close(ends[1]);
	if (code == ERR_OK && set_descriptor(teller, ends[0]))
		return ERR_OK;
	close(ends[0]);
	if (code != ERR_OK)
		return code;
	(void)end_process(teller, END_MS);
	return err_fail(err, ERR_IO, "audit witness %s: the server ends",
	    teller->spec);
}

static bool is_ending(struct teller *teller)
{
	pthread_mutex_lock(&teller->lock);
	bool ending = teller->ending;
	pthread_mutex_unlock(&teller->lock);
	return ending;
}

static void lose(struct teller *teller, const char *why)
{
	char text[32];
	bool ending = is_ending(teller);
	pid_t pid = teller->pid;
	int status = end_process(teller, 0);
	if (ending)
		return;
	atomic_fetch_add(&teller->losses, 1);
	LOG(WARN, "process of an audit witness lost, to be started again",
	    LOG_STR("witness", teller->spec), LOG_NUM("pid", pid),
	    LOG_STR("why", why),
	    LOG_STR("ended", spawn_status_text(status, text)));
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
		   0 && info.si_pid != 0;
}

/* Has a process that lives, as far as can be seen. */
static enum err_code make_ready(struct teller *teller, struct err *err)
{
	if (teller->pid != 0 && has_ended(teller->pid))
		lose(teller, "ended while idle");
	return teller->pid != 0 ? ERR_OK : start(teller, err);
}

/* ---- All of them ---- */

static struct spawn *program_for(const struct config *config, const char *url)
{
	OWNED_STR(path) = find_program();
	const char *ca = config->audit.witness_ca;
	const char *const arguments[] = {url, ca == NULL ? "-" : ca,
	    config->audit.witness_certificate, config->audit.witness_key, NULL};
	return spawn_for_program(path, arguments);
}

struct tellers *tellers_new(const struct config *config)
{
	struct tellers *tellers = mem_zalloc(sizeof(*tellers));
	for (unsigned i = 0; i < config->audit.witness_count &&
	     tellers->count < SPAWNER_OTHERS_MAX; i++) {
		const char *spec = config->audit.witness[i];
		unsigned index = tellers->count;
		if (!text_has_prefix(spec, "http"))
			continue;
		tellers->programs[index] = program_for(config, spec);
		tellers->items[index].spec = spec;
		tellers->items[index].index = index;
		tellers->items[index].fd = -1;
		pthread_mutex_init(&tellers->items[index].lock, NULL);
		tellers->count++;
	}
	return tellers;
}

struct spawn *const *tellers_programs(
    const struct tellers *tellers, unsigned *count_out)
{
	*count_out = tellers->count;
	return tellers->programs;
}

enum err_code tellers_start(
    struct tellers *tellers, struct spawner *spawner, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; code == ERR_OK && i < tellers->count; i++) {
		tellers->items[i].spawner = spawner;
		code = start(&tellers->items[i], err);
	}
	return code;
}

void tellers_close(struct tellers *tellers)
{
	if (tellers == NULL)
		return;
	for (unsigned i = 0; i < tellers->count; i++) {
		if (tellers->items[i].pid != 0)
			(void)end_process(&tellers->items[i], END_MS);
		pthread_mutex_destroy(&tellers->items[i].lock);
		spawn_free(tellers->programs[i]);
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

/* ---- Asking ---- */

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

static bool send_request(
    struct teller *teller, char op, struct bytes lines, int64_t until_ms)
{
	uint32_t len = (uint32_t)lines.len;
	uint8_t head[1 + sizeof(len)] = {(uint8_t)op};
	memcpy(head + 1, &len, sizeof(len));
	return send_all(teller->fd, BYTES_OF(head), until_ms) &&
	    send_all(teller->fd, lines, until_ms);
}

static bool take_answer(struct teller *teller,
    struct tell_answer *answer_out, int64_t until_ms)
{
	if (!receive_all(
		teller->fd, answer_out, sizeof(*answer_out), until_ms))
		return false;
	answer_out->why[sizeof(answer_out->why) - 1] = '\0';
	if (answer_out->ends)
		(void)end_process(teller, END_MS);
	return true;
}

/* An answer that comes later would be taken for the next: so it is ended. */
static enum err_code fail_lost(
    struct teller *teller, int64_t until_ms, struct err *err)
{
	bool hangs = clock_mono_ms() >= until_ms;
	lose(teller, hangs ? "no answer" : "connection closed");
	return err_fail(err, ERR_IO, "audit witness %s: the process that tells "
	    "it %s", teller->spec, hangs ? "hangs" : "has ended");
}

enum err_code teller_ask(struct teller *teller, char op, struct bytes lines,
    struct tell_answer *answer_out, struct err *err)
{
	if (lines.len > TELL_MAX)
		return err_fail(err, ERR_IO, "audit witness %s: %zu octets are "
		    "too many at once", teller->spec, lines.len);
	enum err_code code = make_ready(teller, err);
	if (code != ERR_OK)
		return code;
	int64_t until_ms = clock_mono_ms() + TELL_PATIENCE_MS;
	if (!send_request(teller, op, lines, until_ms) ||
	    !take_answer(teller, answer_out, until_ms))
		return fail_lost(teller, until_ms, err);
	if (answer_out->taken)
		return ERR_OK;
	return err_fail(err, ERR_IO, "audit witness %s: %s", teller->spec,
	    err_quote_str(answer_out->why));
}

void tellers_look(struct tellers *tellers)
{
	int64_t until_ms = clock_mono_ms() + TELL_FIRST_MS;
	bool asked[SPAWNER_OTHERS_MAX];
	for (unsigned i = 0; tellers != NULL && i < tellers->count; i++)
		asked[i] = send_request(&tellers->items[i], TELL_ASK,
		    BYTES(NULL, 0), until_ms);
	for (unsigned i = 0; tellers != NULL && i < tellers->count; i++) {
		struct teller *teller = &tellers->items[i];
		if (asked[i] &&
		    take_answer(teller, &teller->first, until_ms))
			teller->has_first = teller->first.taken;
		else
			(void)end_process(teller, 0);
	}
}

const struct tell_answer *teller_first(const struct teller *teller)
{
	return teller->has_first ? &teller->first : NULL;
}

void teller_cut(struct teller *teller)
{
	pthread_mutex_lock(&teller->lock);
	teller->ending = true;
	if (teller->fd >= 0)
		(void)shutdown(teller->fd, SHUT_RDWR);
	pthread_mutex_unlock(&teller->lock);
}

uint64_t teller_losses(const struct teller *teller)
{
	return atomic_load(&teller->losses);
}
