// SPDX-License-Identifier: Apache-2.0
/* A copy as a stream: a thread of its own has the engine write into a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "store/backup.h"
#include "store/inside.h"

#define PIECE ((size_t)256 << 10)

struct pump {
	struct engine *engine;
	const struct store_sink *sink;
	bool compact;
	bool unfit;	/* set by the thread, as are all below */
	int out;	/* the pipe's end, closed when all is written */
	enum err_code code;
	struct err err;
};

static void *run_copy(void *arg)
{
	struct pump *pump = arg;

	pump->code = pump->engine->ops->copy(pump->engine, pump->out,
	    pump->compact, &pump->unfit, &pump->err);
	close(pump->out);
	return NULL;
}

static ssize_t read_some(int fd, uint8_t *into, size_t len)
{
	ssize_t got;

	do
		got = read(fd, into, len);
	while (got < 0 && errno == EINTR);
	return got;
}

static enum err_code pour(const struct store_sink *sink, int in,
    uint64_t *octets_out, struct err *err)
{
	OWNED_BUF(piece);
	uint8_t *into = buf_extend(&piece, PIECE);
	ssize_t got;
	enum err_code code = ERR_OK;

	*octets_out = 0;
	while (code == ERR_OK && (got = read_some(in, into, PIECE)) != 0) {
		if (got < 0)
			return err_fail(err, ERR_IO, "copy: %s",
			    strerrordesc_np(errno));
		*octets_out += (uint64_t)got;
		code = sink->put(sink->arg, BYTES(into, (size_t)got), err);
	}
	return code;
}

/* What was never written of the file's last pages is zero. */
static enum err_code pad(
    struct pump *pump, uint64_t octets, struct err *err)
{
	static const uint8_t zero[4096];
	const struct store_sink *sink = pump->sink;
	uint64_t used, size;
	enum err_code code = ERR_OK;

	pump->engine->ops->usage(pump->engine, &used, &size);
	while (code == ERR_OK && octets < used) {
		uint64_t left = used - octets;
		size_t len = left < sizeof(zero) ? (size_t)left : sizeof(zero);

		code = sink->put(sink->arg, BYTES(zero, len), err);
		octets += len;
	}
	return code;
}

/* Ends when the thread has: a sink that fails closes the pipe upon it. */
static enum err_code run(struct pump *pump, struct err *err)
{
	OWNED_FD(in) = -1;
	pthread_t thread;
	uint64_t octets;
	int ends[2];
	enum err_code code;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_fail(
		    err, ERR_IO, "pipe: %s", strerrordesc_np(errno));
	in = ends[0];
	pump->out = ends[1];
	/* A larger one spares changes of thread; where it cannot be, so be it. */
	(void)fcntl(in, F_SETPIPE_SZ, PIECE);
	code = thread_start(&thread, "store-copy", run_copy, pump, err);
	if (code != ERR_OK) {
		close(pump->out);
		return code;
	}
	code = pour(pump->sink, in, &octets, err);
	close(in);
	in = -1;
	pthread_join(thread, NULL);
	if (code != ERR_OK)
		return code;
	if (pump->code != ERR_OK) {
		*err = pump->err;
		return pump->code;
	}
	return pump->compact ? ERR_OK : pad(pump, octets, err);
}

enum err_code store_copy(
    struct store *store, const struct store_sink *sink, struct err *err)
{
	struct pump compact = {
	    .engine = store->engine, .sink = sink, .compact = true};
	struct pump whole = {.engine = store->engine, .sink = sink};
	enum err_code code = run(&compact, err);

	if (code != ERR_OK || !compact.unfit)
		return code;
	code = sink->restart(sink->arg, err);
	return code == ERR_OK ? run(&whole, err) : code;
}
