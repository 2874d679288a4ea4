// SPDX-License-Identifier: Apache-2.0
/* The life of one worker: started, greeted, probed, served, ended, started
 * again.  The thread that reads a worker's replies is also the one that kills
 * and reaps it, so that nobody else needs to know its process. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hsm/pool.h"

/* How long a worker may take to end by itself once its socket is closed. */
#define PATIENCE_MS 2000

#define PROBE_ID UINT32_MAX

enum start_result {
	START_OK,
	START_FAILED,		/* died or was silent: the next may succeed */
	START_HOPELESS,		/* said why it cannot work */
	START_PIN,		/* must not be tried again */
};

struct process {
	pid_t pid;
	int fd;
};

static enum start_result await_frame(struct pool *pool, int fd,
    int64_t deadline, struct frame_inbox *inbox, struct frame *frame_out)
{
	enum frame_state state;

	while ((state = frame_take(inbox, frame_out)) == FRAME_PARTIAL) {
		enum frame_io io = frame_fill(inbox, fd);

		if (io == FRAME_IO_END || io == FRAME_IO_FAILED)
			return START_FAILED;
		if (clock_mono_ms() >= deadline || pool_stopping(pool))
			return START_FAILED;
	}
	return state == FRAME_WHOLE ? START_OK : START_FAILED;
}

/* What a worker that could not start has to say to the admin. */
static enum start_result refused(
    enum wire_status status, struct reader fields, struct err *err)
{
	struct bytes text = reader_lv(&fields);
	int len = text.len < 280 ? (int)text.len : 280;
	const char *said = text.len > 0 ? (const char *)text.data : "";

	switch (status) {
	case WIRE_PIN:
		(void)err_refuse(err, ERR_CONFIG,
		    len > 0 ? "%.*s" : "The token refused the PIN%.*s", len,
		    said);
		return START_PIN;
	case WIRE_CONFIG:
		(void)err_refuse(err, ERR_CONFIG,
		    len > 0 ? "%.*s"
			    : "The token cannot be used: check module, token "
			      "and PIN file%.*s",
		    len, said);
		return START_HOPELESS;
	case WIRE_OK:
	case WIRE_BAD_REQUEST:
	case WIRE_REFUSED:
	case WIRE_NO_KEY:
	case WIRE_EXISTS:
	case WIRE_UNSAFE:
	case WIRE_UNWRAP:
	case WIRE_DEVICE_GONE:
		break;
	}
	(void)err_fail(err, ERR_HSM_UNAVAILABLE,
	    "worker could not start: status %d: %.*s", (int)status, len, said);
	return START_HOPELESS;
}

/* Half-open: logged in is not enough, the token must answer. */
static enum start_result probe(struct pool *pool, int fd, int64_t deadline,
    struct frame_inbox *inbox, struct err *err)
{
	OWNED_BUF(out);
	struct frame frame;
	size_t mark = frame_begin(&out, PROBE_ID, WIRE_PING, 0);

	if (frame_end(&out, mark) && frame_send(fd, &out) &&
	    await_frame(pool, fd, deadline, inbox, &frame) == START_OK &&
	    frame.id == PROBE_ID && frame.code == WIRE_OK)
		return START_OK;
	(void)err_fail(
	    err, ERR_HSM_UNAVAILABLE, "worker did not answer its first ping");
	return START_FAILED;
}

static enum start_result greet(struct pool *pool, int fd, struct err *err)
{
	int64_t deadline = clock_mono_ms() + POOL_START_MS;
	struct frame_inbox inbox = {BUF_INIT, 0};
	enum start_result result;
	struct frame frame;

	result = await_frame(pool, fd, deadline, &inbox, &frame);
	if (result != START_OK || frame.id != 0 || frame.code > WIRE_CONFIG) {
		(void)err_fail(err, ERR_HSM_UNAVAILABLE,
		    "worker ended, was silent or spoke nonsense at its start");
		result = START_FAILED;
	} else if (frame.code != WIRE_OK) {
		result = refused(
		    (enum wire_status)frame.code, frame.fields, err);
	} else {
		result = probe(pool, fd, deadline, &inbox, err);
	}
	frame_inbox_free(&inbox);
	return result;
}

static bool connect_pair(int ends[2])
{
	struct timeval tick = {.tv_usec = LINK_TICK_MS * 1000};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	/* A receive timeout costs nothing while replies come in. */
	return setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tick,
		   sizeof(tick)) == 0;
}

static int reap(const struct process *process, int64_t patience_ms)
{
	close(process->fd);
	return spawn_reap(process->pid, patience_ms);
}

static enum start_result start(
    struct pool *pool, struct process *process_out, struct err *err)
{
	int ends[2] = {-1, -1};
	enum start_result result = START_FAILED;
	enum err_code code;

	if (!connect_pair(ends)) {
		(void)err_fail(
		    err, ERR_HSM_UNAVAILABLE, "socketpair for a worker: %m");
		return START_FAILED;
	}
	code = spawn_start(
	    pool->spawn, ends[1], STDERR_FILENO, &process_out->pid, err);
	close(ends[1]);
	process_out->fd = ends[0];
	if (code != ERR_OK) {
		close(ends[0]);
		return START_HOPELESS;
	}
	result = greet(pool, ends[0], err);
	if (result != START_OK)
		reap(process_out, result == START_FAILED ? 0 : PATIENCE_MS);
	return result;
}

static void log_pin(const struct err *err)
{
	log_err(LOG_ERROR,
	    "The token refused the PIN. No worker is started any more, lest "
	    "the token lock itself. Correct the PIN file, then restart.",
	    err);
}

/* One start at a time; the pool hears how it went before the next begins. */
static enum start_result start_in_turn(
    struct member *member, struct process *process_out)
{
	struct pool *pool = member->pool;
	enum start_result result;
	struct err err = {0};

	pthread_mutex_lock(&pool->starting);
	if (!pool_may_start(pool)) {
		pthread_mutex_unlock(&pool->starting);
		return START_PIN;
	}
	result = start(pool, process_out, &err);
	if (result == START_PIN)
		log_pin(&err);
	else if (result != START_OK && !pool_stopping(pool))
		log_err(LOG_WARN, "HSM worker did not start", &err);
	if (result != START_OK)
		pool_start_failed(pool, &err, result != START_FAILED,
		    result == START_PIN);
	pthread_mutex_unlock(&pool->starting);
	return result;
}

static void log_end(const struct member *member, const struct process *process,
    enum link_end end, int status)
{
	char text[32];

	LOG(WARN, "HSM worker lost", LOG_NUM("worker", member->number),
	    LOG_NUM("pid", process->pid), LOG_STR("why", link_end_text(end)),
	    LOG_STR("ended", spawn_status_text(status, text)));
}

/* The PIN was good when the worker started and is not now. */
static void stop_starting(struct pool *pool)
{
	struct err err = {0};

	(void)err_fail(&err, ERR_HSM_UNAVAILABLE,
	    "the token refused the PIN when a worker logged in again");
	log_pin(&err);
	pool_start_failed(pool, &err, true, true);
}

/* How long a worker that its link has done with may take to end. */
static int64_t patience_ms(enum link_end end)
{
	switch (end) {
	case LINK_END_DEVICE:
	case LINK_END_PIN:
		return PATIENCE_MS;	/* it said so itself */
	case LINK_END_CLOSED:
	case LINK_END_GARBAGE:
	case LINK_END_HUNG:
		return 0;
	}
	return 0;
}

/* Serves until the worker is of no more use; true when it answered anything. */
static bool serve(struct member *member, const struct process *process)
{
	struct pool *pool = member->pool;
	uint64_t before = link_answered(member->link);
	enum link_end end;
	bool stopping;
	int status;

	LOG(INFO, "HSM worker ready", LOG_NUM("worker", member->number),
	    LOG_NUM("pid", process->pid));
	link_attach(member->link, process->fd);
	pool_member_up(pool);
	if (pool_stopping(pool))	/* pool_free shut the link before */
		link_shut(member->link);
	end = link_serve(member->link);
	if (end == LINK_END_PIN)
		stop_starting(pool);
	link_detach(member->link);
	pool_member_down(pool);
	stopping = pool_stopping(pool);
	status = reap(process, stopping ? PATIENCE_MS : patience_ms(end));
	if (!stopping)
		log_end(member, process, end, status);
	return link_answered(member->link) > before;
}

/* Half of the delay is fixed, half by chance, so that workers that fell
 * together do not rise together. */
static int64_t backoff_ms(unsigned failures)
{
	int64_t delay = POOL_BACKOFF_MIN_MS;

	while (failures-- > 0 && delay < POOL_BACKOFF_MAX_MS)
		delay *= 2;
	if (delay > POOL_BACKOFF_MAX_MS)
		delay = POOL_BACKOFF_MAX_MS;
	return delay / 2 + clock_mono_us() % (delay / 2);
}

void *supervisor_run(void *arg)
{
	struct member *member = arg;
	struct pool *pool = member->pool;
	unsigned failures = 0;

	while (!pool_stopping(pool)) {
		struct process process;
		enum start_result result = start_in_turn(member, &process);

		if (result == START_PIN)
			break;
		if (result == START_OK && serve(member, &process))
			failures = 0;
		else if (failures < 16)
			failures++;
		pool_pause(pool, backoff_ms(failures));
	}
	return NULL;
}
