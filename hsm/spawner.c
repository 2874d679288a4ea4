// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/spawner.h"
#include "hsm/wire.h"

/* Above the numbers that a worker's descriptors get. */
#define CONTROL_LEAST 16
/* A program on a file system that hangs starts never. */
#define START_PATIENCE_MS 5000
/* The process answers by then, whatever became of the start. */
#define ANSWER_PATIENCE_MS (2 * START_PATIENCE_MS)

struct spawner {
	char *path;		/* for messages */
	pthread_mutex_t lock;	/* one request at a time */
	int fd;			/* under lock */
	uint32_t number;	/* of the last order; under lock */
	int patience_ms;
	pid_t pid;
};

/* Crosses with two descriptors: the worker's socket and its log. */
struct order {
	uint32_t number;
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

static void signals_as_by_default(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool settle_descriptors(const int fds[2])
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* The log first: the socket may take its number. */
	return null >= 0 && dup2(fds[1], STDERR_FILENO) >= 0 &&
	       dup2(fds[1], STDOUT_FILENO) >= 0 &&
	       dup2(null, STDIN_FILENO) >= 0 &&
	       (fds[0] == WIRE_FD ? fcntl(WIRE_FD, F_SETFD, 0) == 0
				  : dup2(fds[0], WIRE_FD) >= 0);
}

/* Never returns.  REPORT is closed by success. */
static void become_worker(
    const struct spawn *spawn, const int fds[2], int report)
{
	ssize_t ignored;
	int error;

	(void)setpgid(0, 0);
	signals_as_by_default();
	if (settle_descriptors(fds))
		(void)execve(spawn->path, spawn->argv, spawn->environment);
	error = errno;
	ignored = write(report, &error, sizeof(error));
	(void)ignored;
	_exit(127);
}

/* A child of the server and not of this process: who serves a worker reaps it. */
static struct outcome start(const struct spawn *spawn, const int fds[2])
{
	struct outcome outcome = {.pid = -1};
	ssize_t got;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return (struct outcome){.pid = -1, .error = errno};
	outcome.pid = (pid_t)syscall(
	    SYS_clone, (long)(CLONE_PARENT | SIGCHLD), 0L, 0L, 0L, 0L);
	if (outcome.pid == 0)
		become_worker(spawn, fds, ends[1]);
	if (outcome.pid < 0)
		outcome.error = errno;
	close(ends[1]);
	if (outcome.pid > 0 && !await(ends[0], START_PATIENCE_MS)) {
		(void)kill(outcome.pid, SIGKILL);
		outcome.error = ETIMEDOUT;
	} else {
		do
			got = read(ends[0], &outcome.error,
			    sizeof(outcome.error));
		while (got < 0 && errno == EINTR);
	}
	close(ends[0]);
	return outcome;
}

/* False at the end of the server. */
static bool take_order(int control, int fds[2], uint32_t *number_out)
{
	struct order order;
	struct iovec part = {&order, sizeof(order)};
	union control room;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
	    .msg_control = &room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head;
	ssize_t got;

	do
		got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (head == NULL || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(head), 2 * sizeof(int));
	*number_out = order.number;
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

static void serve(const struct spawn *spawn, int control, pid_t server)
{
	uint32_t number;
	int fds[2];

	(void)prctl(PR_SET_NAME, "signet-spawn", 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)setpgid(0, 0);
	if (getppid() != server)
		_exit(1);
	control = keep_descriptors(control);
	while (take_order(control, fds, &number)) {
		struct outcome outcome = start(spawn, fds);

		outcome.number = number;
		close(fds[0]);
		close(fds[1]);
		if (send(control, &outcome, sizeof(outcome), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* ---- In the server ---- */

enum err_code spawner_open(const struct hsm_options *options,
    struct spawner **spawner_out, struct err *err)
{
	OWNED(spawn) spawn = spawn_for_serving(options);
	struct spawner *spawner;
	pid_t server = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return err_fail(err, ERR_IO, "socketpair for the spawner: %m");
	pid_t pid = fork();
	if (pid == 0)
		serve(spawn, ends[1], server);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_fail(err, ERR_IO, "fork the spawner: %m");
	}
	spawner = mem_zalloc(sizeof(*spawner));
	pthread_mutex_init(&spawner->lock, NULL);
	spawner->path = mem_strdup(spawn->path);
	spawner->fd = ends[0];
	spawner->pid = pid;
	spawner->patience_ms = ANSWER_PATIENCE_MS;
	*spawner_out = spawner;
	return ERR_OK;
}

void spawner_close(struct spawner *spawner)
{
	if (spawner == NULL)
		return;
	close(spawner->fd);
	(void)spawn_reap(spawner->pid, 1000);
	pthread_mutex_destroy(&spawner->lock);
	free(spawner->path);
	free(spawner);
}

static bool send_order(
    int fd, uint32_t number, int socket_fd, int log_fd)
{
	const int fds[2] = {socket_fd, log_fd};
	struct order order = {number};
	struct iovec part = {&order, sizeof(order)};
	union control room = {.room = {0}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
	    .msg_control = &room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(head), fds, sizeof(fds));
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
static enum err_code exchange(struct spawner *spawner, const int fds[2],
    struct outcome *outcome, struct err *err)
{
	enum err_code code;

	if (!send_order(spawner->fd, ++spawner->number, fds[0], fds[1]))
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

enum err_code spawner_start(struct spawner *spawner, int socket_fd,
    int log_fd, pid_t *pid_out, struct err *err)
{
	const int fds[2] = {socket_fd, log_fd};
	struct outcome outcome;
	enum err_code code;

	pthread_mutex_lock(&spawner->lock);
	code = exchange(spawner, fds, &outcome, err);
	pthread_mutex_unlock(&spawner->lock);
	if (code != ERR_OK)
		return code;
	if (outcome.error == 0) {
		*pid_out = outcome.pid;
		return ERR_OK;
	}
	if (outcome.pid > 0)
		(void)spawn_reap(outcome.pid, 1000);
	return spawn_refuse(spawner->path, outcome.error, err);
}

void spawner_set_patience(struct spawner *spawner, int patience_ms)
{
	spawner->patience_ms = patience_ms;
}

bool spawner_alive(struct spawner *spawner)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)spawner->pid, &info,
		   WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}
