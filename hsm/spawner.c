// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/spawner.h"

/* Above the numbers that a worker's descriptors get. */
#define CONTROL_LEAST 16
/* The process answers by then, whatever became of the start. */
#define ANSWER_PATIENCE_MS(spawn) (2 * (spawn)->patience_ms)

/* The worker, and what else may be started. */
struct programs {
	struct spawn *items[1 + SPAWNER_OTHERS_MAX];
	unsigned count;
};

struct spawner {
	char *paths[1 + SPAWNER_OTHERS_MAX];	/* for messages */
	unsigned count;
	pthread_mutex_t lock;	/* one request at a time */
	int fd;			/* under lock */
	uint32_t number;	/* of the last order; under lock */
	int patience_ms, start_patience_ms;
	pid_t pid;
};

/* Crosses with two descriptors: the program's socket and its log. */
struct order {
	uint32_t number;
	uint32_t program;
	int patience_ms;
};

struct outcome {
	uint32_t number;	/* of the order that it answers */
	pid_t pid;
	int error;		/* errno of the start; 0: started */
};

/* Room for two descriptors, aligned for a header. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

/* ---- In the process that starts ---- */

/* A child of the server and not of this process: who serves a worker reaps it. */
static struct outcome start(const struct programs *programs,
    const struct order *order, const int fds[2])
{
	struct outcome outcome = {.number = order->number, .pid = -1};
	struct spawn *spawn;

	if (order->program >= programs->count) {
		outcome.error = EINVAL;
		return outcome;
	}
	spawn = programs->items[order->program];
	spawn->patience_ms = order->patience_ms;
	outcome.error = spawn_process(spawn, fds, true, &outcome.pid);
	return outcome;
}

/* False at the end of the server. */
static bool take_order(int control, int fds[2], struct order *order)
{
	struct iovec part = {order, sizeof(*order)};
	union control room;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
	    .msg_control = &room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head;
	ssize_t got;

	do
		got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	head = got == (ssize_t)sizeof(*order) ? CMSG_FIRSTHDR(&message) : NULL;
	if (head == NULL || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(head), 2 * sizeof(int));
	return true;
}

/* Keeps standard input, output and error, each open, and the control socket. */
static int keep_descriptors(int control)
{
	int null, high = fcntl(control, F_DUPFD_CLOEXEC, CONTROL_LEAST);

	if (high < 0)
		_exit(1);
	while ((null = open("/dev/null", O_RDWR)) >= 0 && null <= STDERR_FILENO)
		continue;
	(void)close_range(STDERR_FILENO + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
	return high;
}

static void serve(const struct programs *programs, int control, pid_t server)
{
	struct order order;
	int fds[2];

	(void)prctl(PR_SET_NAME, "signet-spawn", 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)setpgid(0, 0);
	if (getppid() != server)
		_exit(1);
	control = keep_descriptors(control);
	while (take_order(control, fds, &order)) {
		struct outcome outcome = start(programs, &order, fds);

		close(fds[0]);
		close(fds[1]);
		if (send(control, &outcome, sizeof(outcome), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* ---- In the server ---- */

/* False when nothing came, and no end, within PATIENCE_MS. */
static bool await(int fd, int patience_ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int got;

	do
		got = poll(&ready, 1, patience_ms);
	while (got < 0 && errno == EINTR);
	return got > 0;
}

static struct spawner *spawner_new(
    const struct programs *programs, int fd, pid_t pid)
{
	struct spawner *spawner = mem_zalloc(sizeof(*spawner));

	pthread_mutex_init(&spawner->lock, NULL);
	for (unsigned i = 0; i < programs->count; i++)
		spawner->paths[i] = mem_strdup(programs->items[i]->path);
	spawner->count = programs->count;
	spawner->fd = fd;
	spawner->pid = pid;
	spawner->start_patience_ms = programs->items[0]->patience_ms;
	spawner->patience_ms = ANSWER_PATIENCE_MS(programs->items[0]);
	return spawner;
}

enum err_code spawner_open(const struct hsm_options *options,
    struct spawner **spawner_out, struct err *err)
{
	return spawner_open_with(options, NULL, 0, spawner_out, err);
}

enum err_code spawner_open_with(const struct hsm_options *options,
    struct spawn *const *others, unsigned count, struct spawner **spawner_out,
    struct err *err)
{
	OWNED(spawn) worker = spawn_for_serving(options);
	struct programs programs = {{worker}, 1};
	pid_t server = getpid();
	int ends[2];

	for (unsigned i = 0; i < count && i < SPAWNER_OTHERS_MAX; i++)
		programs.items[programs.count++] = others[i];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return err_fail(err, ERR_IO, "socketpair for the spawner: %m");
	pid_t pid = fork();
	if (pid == 0)
		serve(&programs, ends[1], server);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_fail(err, ERR_IO, "fork the spawner: %m");
	}
	*spawner_out = spawner_new(&programs, ends[0], pid);
	return ERR_OK;
}

void spawner_close(struct spawner *spawner)
{
	if (spawner == NULL)
		return;
	close(spawner->fd);
	(void)spawn_reap(spawner->pid, 1000);
	pthread_mutex_destroy(&spawner->lock);
	for (unsigned i = 0; i < spawner->count; i++)
		free(spawner->paths[i]);
	free(spawner);
}

static bool send_order(int fd, struct order order, const int fds[2])
{
	const size_t len = 2 * sizeof(fds[0]);
	struct iovec part = {&order, sizeof(order)};
	union control room = {.room = {0}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
	    .msg_control = &room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(head), fds, len);
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)sizeof(order);
}

static enum err_code refuse_gone(struct err *err)
{
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "the process that starts workers has ended: restart signetd");
}

static enum err_code take_outcome(
    struct spawner *spawner, struct outcome *outcome, struct err *err)
{
	ssize_t got;

	if (!await(spawner->fd, spawner->patience_ms))
		return err_fail(err, ERR_HSM_UNAVAILABLE,
		    "the process that starts workers has not answered within "
		    "%d ms", spawner->patience_ms);
	do
		got = recv(spawner->fd, outcome, sizeof(*outcome), 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(*outcome) ? ERR_OK : refuse_gone(err);
}

/* What comes late, to an order that nobody waits for, is ended. */
static enum err_code exchange(struct spawner *spawner, uint32_t program,
    const int fds[2], struct outcome *outcome, struct err *err)
{
	const struct order order = {
	    ++spawner->number, program, spawner->start_patience_ms};
	enum err_code code;

	if (!send_order(spawner->fd, order, fds))
		return errno == EAGAIN
		    ? err_fail(err, ERR_HSM_UNAVAILABLE,
			  "the process that starts workers takes no orders")
		    : refuse_gone(err);
	while ((code = take_outcome(spawner, outcome, err)) == ERR_OK &&
	    outcome->number != spawner->number) {
		if (outcome->pid > 0)
			(void)spawn_reap(outcome->pid, 0);
	}
	return code;
}

static enum err_code start_program(struct spawner *spawner, uint32_t program,
    const int fds[2], pid_t *pid_out, struct err *err)
{
	struct outcome outcome;
	enum err_code code;

	pthread_mutex_lock(&spawner->lock);
	code = exchange(spawner, program, fds, &outcome, err);
	pthread_mutex_unlock(&spawner->lock);
	if (code != ERR_OK)
		return code;
	if (outcome.error == 0) {
		*pid_out = outcome.pid;
		return ERR_OK;
	}
	if (outcome.pid > 0)
		(void)spawn_reap(outcome.pid, 1000);
	return spawn_refuse(spawner->paths[program], outcome.error, err);
}

enum err_code spawner_start(struct spawner *spawner, int socket_fd,
    int log_fd, pid_t *pid_out, struct err *err)
{
	const int fds[2] = {socket_fd, log_fd};

	return start_program(spawner, 0, fds, pid_out, err);
}

enum err_code spawner_start_other(struct spawner *spawner, unsigned index,
    const int fds[2], pid_t *pid_out, struct err *err)
{
	if (index + 1 >= spawner->count)
		abort();
	return start_program(spawner, index + 1, fds, pid_out, err);
}

void spawner_set_patience(struct spawner *spawner, int patience_ms)
{
	spawner->patience_ms = patience_ms;
}

void spawner_set_start_patience(struct spawner *spawner, int patience_ms)
{
	spawner->start_patience_ms = patience_ms;
}

bool spawner_alive(struct spawner *spawner)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)spawner->pid, &info,
		   WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}
