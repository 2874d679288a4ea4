// SPDX-License-Identifier: Apache-2.0
#include "api/exchange.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "api/authn.h"
#include "api/peer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#define HEADERS_MAX (16 * 1024)
/* A body that goes on past its bound is read so far, so that the refusal can be
 * read by a client that first sends everything; then the connection ends. */
#define DISCARD_MAX (256 * 1024)
/* The slowest reader that is waited for. */
#define SEND_OCTETS_PER_SECOND 16384

/* Ids tell requests apart in logs; they are no secret (splitmix64). */
static void draw_request_id(char text[static REQUEST_ID_SIZE])
{
	static _Thread_local uint64_t state;
	static _Thread_local bool seeded;
	if (!seeded) {
		if (getrandom(&state, sizeof(state), 0) != sizeof(state))
			abort();
		seeded = true;
	}
	uint64_t mixed = state += 0x9e3779b97f4a7c15u;
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
	mixed ^= mixed >> 31;
	hex_write(&mixed, sizeof(mixed), text);
}

void exchange_clear(struct exchange *x)
{
	reply_reset(&x->reply);
	/* A secret may have come in a field where none belongs. */
	buf_wipe(&x->body);
	token_free(x->token);
	certificate_free(x->certificate);
	identity_free(x->identity);
	free(x->caller.id);
	free(x->caller.cluster);
	free(x->refusal);
	free(x->withheld);
}

const char *exchange_header(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(
	    x->connection, MHD_HEADER_KIND, name);
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info == NULL ? NULL : info->socket_context;
}

void *exchange_on_target(
    void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct listener *listener = cls;
	struct peer *peer = peer_of(connection);
	size_t len = strlen(uri);
	/* What is too long is cut one octet behind the bound, and refused
	 * for that by begin(). */
	if (len > listener->service->target_max)
		len = listener->service->target_max + 1;
	struct exchange *x = mem_zalloc(sizeof(*x) + len + 1);
	x->app = listener->app;
	x->listener = listener;
	x->text = memcpy(x->target_text, uri, len);
	x->connection = connection;
	x->peer = peer;
	x->source = peer->source_text;
	x->caller.source = peer->source;
	x->started_us = clock_mono_us();
	draw_request_id(x->request_id);
	atomic_fetch_add_explicit(
	    &x->app->exchanges, 1, memory_order_relaxed);
	peer_set_deadline(peer,
	    x->started_us / 1000 + atomic_load(&x->app->request_timeout_ms));
	return x;
}

static size_t reply_size(const struct reply *reply)
{
	return reply->secret != NULL ? secret_len(reply->secret)
				     : reply->body.len;
}

/* Sends what stands in x->reply. */
static bool send_reply(struct exchange *x)
{
	int64_t now_us = clock_mono_us();
	size_t size = reply_size(&x->reply);
	peer_set_deadline(x->peer,
	    now_us / 1000 + atomic_load(&x->app->request_timeout_ms) +
		(int64_t)size * 1000 / SEND_OCTETS_PER_SECOND);
	x->answered = true;
	if (size > 0)
		peer_hold(x->peer);
	x->listener->service->finished(x, now_us - x->started_us);
	return reply_send(&x->reply, x->connection, x->request_id);
}

static void refuse(struct exchange *x, const struct err *err)
{
	x->code = err->code;
	x->listener->service->refuse(x, err);
}

static bool send_refusal(struct exchange *x, const struct err *err)
{
	refuse(x, err);
	return send_reply(x);
}

static struct exchange *exchange_of(struct job *job)
{
	return (struct exchange *)(void *)((char *)job -
	    offsetof(struct exchange, job));
}

/* On a worker thread, or on the timer's when EXPIRED. */
static void run_job(struct job *job, bool expired)
{
	struct exchange *x = exchange_of(job);
	struct err err = {0};
	log_set_request(x->request_id);
	store_join(x->app->store);
	if (expired)
		x->code = err_fail(
		    &err, ERR_DEADLINE, "waited too long for a thread");
	else
		x->code = x->listener->service->work(x, &err);
	if (x->code != ERR_OK)
		refuse(x, &err);
	/* What cannot be queued ends the connection when it is resumed. */
	(void)!send_reply(x);
	store_leave(x->app->store);
	ERR_clear_error();
	log_set_request(NULL);
}

/* The event thread owns the exchange again, and may free it at once. */
static void end_job(struct job *job)
{
	MHD_resume_connection(exchange_of(job)->connection);
}

/* Suspends before the job can be seen by a worker, and never when it would be
 * refused a place. */
static bool run_later(struct exchange *x)
{
	struct err err = {0};
	if (!jobs_reserve(x->listener->jobs)) {
		if (atomic_load(&x->app->stopping))
			(void)err_fail(&err, ERR_STOPPING, "draining");
		else
			(void)err_fail(&err, ERR_OVERLOADED, "queue is full");
		return send_refusal(x, &err);
	}
	x->job.run = run_job;
	x->job.end = end_job;
	x->job.deadline_ms =
	    clock_mono_ms() + atomic_load(&x->app->request_timeout_ms);
	peer_set_deadline(x->peer, 0);
	MHD_suspend_connection(x->connection);
	jobs_submit(x->listener->jobs, &x->job);
	return true;
}

static bool answer(struct exchange *x)
{
	struct err err = {0};
	bool later = false;
	if (atomic_load_explicit(&x->app->stopping, memory_order_relaxed))
		x->reply.close = true;
	if (x->refusal != NULL)
		return send_refusal(x, x->refusal);
	if (x->discarded > 0) {
		(void)err_refuse(&err, ERR_TOO_LARGE,
		    "The body is larger than the %zu octets this path takes",
		    x->body_max);
		return send_refusal(x, &err);
	}
	log_set_request(x->request_id);
	x->code = x->listener->service->answer(x, &later, &err);
	bool sent;
	if (x->code != ERR_OK)
		sent = send_refusal(x, &err);
	else
		sent = later ? true : send_reply(x);
	log_set_request(NULL);
	return later && x->code == ERR_OK ? run_later(x) : sent;
}

/* Leaves nothing behind where it grows. */
static void add_to_body(struct exchange *x, const char *data, size_t size)
{
	struct buf *body = &x->body;
	if (size > body->cap - body->len) {
		struct buf grown = BUF_INIT;
		size_t wanted = body->len + size;
		/* The first piece is often the whole. */
		buf_reserve(&grown, body->len == 0 ? wanted : 2 * wanted);
		buf_put_bytes(&grown, buf_bytes(body));
		buf_wipe(body);
		*body = grown;
	}
	buf_put(body, data, size);
}

static void take_body(struct exchange *x, const char *data, size_t size)
{
	/* The body may be longer than its bound: OCSP by GET has its own. */
	if (x->discarded > 0 || x->body.len > x->body_max ||
	    size > x->body_max - x->body.len)
		x->discarded += size;
	else
		add_to_body(x, data, size);
}

/* The length the headers announce; SIZE_MAX when chunks are to come. */
static size_t announced(const struct exchange *x)
{
	if (exchange_header(x, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
		return SIZE_MAX;
	const char *text = exchange_header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (text == NULL)
		return 0;
	/* libmicrohttpd has refused what is no number. */
	unsigned long long length = strtoull(text, NULL, 10);
	return length >= SIZE_MAX ? SIZE_MAX - 1 : (size_t)length;
}

static enum err_code check_announced(const struct exchange *x, struct err *err)
{
	size_t length = announced(x);
	if (x->body_max == 0 && length > 0)
		return err_refuse(err, ERR_TOO_LARGE,
		    "This method takes no body here");
	if (length != SIZE_MAX && length > x->body_max)
		return err_refuse(err, ERR_TOO_LARGE,
		    "The body of %zu octets is larger than the %zu that this "
		    "path takes", length, x->body_max);
	return ERR_OK;
}

static enum err_code check_headers(const struct exchange *x, struct err *err)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	if (info != NULL && info->header_size > HEADERS_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "The headers have more than %d octets", HEADERS_MAX);
	return ERR_OK;
}

/* For the log: what others invent is not repeated there. */
static const char *known_method(const char *method)
{
	static const char *const known[] = {MHD_HTTP_METHOD_GET,
	    MHD_HTTP_METHOD_HEAD, MHD_HTTP_METHOD_POST, MHD_HTTP_METHOD_PUT,
	    MHD_HTTP_METHOD_DELETE, MHD_HTTP_METHOD_OPTIONS,
	    MHD_HTTP_METHOD_PATCH};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i], method) == 0)
			return known[i];
	return "other";
}

/*
 * An answer before the whole request is here ends the connection, and who is
 * still sending may then not read it.  So a body of bearable size is read first
 * and dropped, unless the client waits to be told.
 */
static bool refuse_at_begin(struct exchange *x, const struct err *err)
{
	size_t length = announced(x);
	bool waits = exchange_header(x, MHD_HTTP_HEADER_EXPECT) != NULL;
	if (length == 0 ||
	    (!waits && (length <= DISCARD_MAX || length == SIZE_MAX))) {
		x->body_max = 0;
		x->refusal = mem_zalloc(sizeof(*x->refusal));
		*x->refusal = *err;
		return true;
	}
	x->reply.close = true;
	return send_refusal(x, err);
}

static enum MHD_Result begin(struct exchange *x, const char *method)
{
	struct err err = {0};
	x->begun = true;
	x->method = known_method(method);
	enum err_code code = check_headers(x, &err);
	if (code == ERR_OK)
		code = x->listener->service->begin(x, method, &err);
	if (code == ERR_OK)
		code = check_announced(x, &err);
	if (code == ERR_OK)
		return MHD_YES;
	return refuse_at_begin(x, &err) ? MHD_YES : MHD_NO;
}

enum MHD_Result exchange_on_request(void *cls,
    struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *data_size, void **state)
{
	(void)cls, (void)connection, (void)url, (void)version;
	struct exchange *x = *state;
	/* An answer that could not be queued: the connection is to end. */
	if (x->answered)
		return MHD_NO;
	if (!x->begun)
		return begin(x, method);
	if (*data_size > 0) {
		take_body(x, data, *data_size);
		*data_size = 0;
		return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
	}
	return answer(x) ? MHD_YES : MHD_NO;
}

void exchange_on_completed(void *cls, struct MHD_Connection *connection,
    void **state, enum MHD_RequestTerminationCode why)
{
	(void)cls, (void)connection, (void)why;
	struct exchange *x = GIVE(*state);
	if (x == NULL)
		return;
	/* Silence is ended by libmicrohttpd; this bounds a request line that
	 * comes octet by octet. */
	peer_set_deadline(x->peer, clock_mono_ms() + IDLE_TIMEOUT_MS +
		atomic_load(&x->app->request_timeout_ms));
	/* It may end the connection, which is then no slow one. */
	peer_release(x->peer);
	atomic_fetch_sub_explicit(
	    &x->app->exchanges, 1, memory_order_relaxed);
	authn_keep(x);
	exchange_clear(x);
	free(x);
}
