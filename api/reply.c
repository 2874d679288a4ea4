// SPDX-License-Identifier: Apache-2.0
#include "api/reply.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <microhttpd.h>
#include "api/view.h"
#include "base/json.h"

#define RETRY_AFTER_SECONDS 1
/* Longer when what is missing does not come back by itself at once. */
#define RETRY_AFTER_FAULT_SECONDS 5

struct ready {
	atomic_uint references;
	struct MHD_Response *response;
};

struct ready *ready_new(struct MHD_Response *response)
{
	struct ready *ready = mem_zalloc(sizeof(*ready));
	atomic_store(&ready->references, 1);
	ready->response = response;
	return ready;
}

struct ready *ready_ref(struct ready *ready)
{
	atomic_fetch_add_explicit(
	    &ready->references, 1, memory_order_relaxed);
	return ready;
}

void ready_free(struct ready *ready)
{
	if (ready == NULL || atomic_fetch_sub(&ready->references, 1) != 1)
		return;
	MHD_destroy_response(ready->response);
	free(ready);
}

void reply_reset(struct reply *reply)
{
	buf_free(&reply->body);
	secret_free(reply->secret);
	ready_free(reply->ready);
	*reply = (struct reply){0};
}

void reply_json(struct reply *reply, unsigned status, const json_t *json)
{
	reply->status = status;
	reply->type = "application/json";
	buf_reset(&reply->body);
	json_put(&reply->body, json);
}

void reply_text(struct reply *reply, unsigned status, const char *text)
{
	reply->status = status;
	reply->type = "text/plain; charset=utf-8";
	buf_reset(&reply->body);
	buf_put_str(&reply->body, text);
}

unsigned reply_status(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return MHD_HTTP_OK;
	case ERR_AWAITING:
		return MHD_HTTP_ACCEPTED;
	case ERR_BAD_REQUEST:
	case ERR_BAD_FIELD:
	case ERR_BAD_CSR:
	case ERR_BAD_KEY:
	case ERR_UNWRAP:
		return MHD_HTTP_BAD_REQUEST;
	case ERR_UNAUTHENTICATED:
		return MHD_HTTP_UNAUTHORIZED;
	case ERR_FORBIDDEN:
	case ERR_POLICY:
	case ERR_QUARANTINED:
		return MHD_HTTP_FORBIDDEN;
	case ERR_RATE_LIMITED:
		return MHD_HTTP_TOO_MANY_REQUESTS;
	case ERR_NOT_FOUND:
		return MHD_HTTP_NOT_FOUND;
	case ERR_BAD_METHOD:
		return MHD_HTTP_METHOD_NOT_ALLOWED;
	case ERR_CONFLICT:
	case ERR_EXISTS:
	case ERR_KEY_DISABLED:
		return MHD_HTTP_CONFLICT;
	case ERR_TOO_LARGE:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	case ERR_BAD_MEDIA:
		return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
	case ERR_OVERLOADED:
	case ERR_DEADLINE:
	case ERR_STOPPING:
	case ERR_HSM_UNAVAILABLE:
	case ERR_STORE_FULL:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	case ERR_USAGE:
	case ERR_CONFIG:
	case ERR_HSM_REFUSED:
	case ERR_HSM_KEY_UNSAFE:
	case ERR_STORE:
	case ERR_CORRUPT:
	case ERR_CRYPTO:
	case ERR_UNREACHABLE:
	case ERR_COMMAND:
	case ERR_IO:
	case ERR_INTERNAL:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
	abort();
}

/* A refusal says what to correct; a fault says where its cause is written. */
static const char *problem_detail(const struct err *err, unsigned status)
{
	if (status < MHD_HTTP_INTERNAL_SERVER_ERROR)
		return err->detail;
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		return "Nothing is wrong with the request; send it again "
		       "after the time in Retry-After";
	return "The cause is in the server's log under the request_id";
}

void reply_problem(
    struct reply *reply, const struct err *err, const char *request_id)
{
	unsigned status = reply_status(err->code);
	OWNED_JSON(problem) = json_object();
	view_set_text(problem, "type", "about:blank");
	view_set_text(problem, "title", err_title(err->code));
	view_set(problem, "status", json_integer(status));
	view_set_text(problem, "code", err_slug(err->code));
	view_set_text(problem, "detail", problem_detail(err, status));
	view_set_text(problem, "request_id", request_id);
	const char *allow = reply->allow;
	bool close = reply->close;
	unsigned retry_after = reply->retry_after;
	reply_reset(reply);
	reply_json(reply, status, problem);
	reply->type = "application/problem+json";
	reply->allow = allow;
	reply->close = close;
	reply->challenge = status == MHD_HTTP_UNAUTHORIZED;
	if (status == MHD_HTTP_TOO_MANY_REQUESTS)
		reply->retry_after = retry_after;
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		reply->retry_after = err->code == ERR_OVERLOADED
		    ? RETRY_AFTER_SECONDS
		    : RETRY_AFTER_FAULT_SECONDS;
}

static void free_secret(void *secret)
{
	secret_free(secret);
}

/* The response takes the body over, and frees it when it is sent. */
static struct MHD_Response *response_new(struct reply *reply)
{
	if (reply->secret != NULL) {
		struct secret *secret = GIVE(reply->secret);
		return MHD_create_response_from_buffer_with_free_callback_cls(
		    secret_len(secret), secret_data(secret), free_secret,
		    secret);
	}
	struct buf body = buf_give(&reply->body);
	if (body.len == 0) {
		buf_free(&body);
		return MHD_create_response_from_buffer(
		    0, NULL, MHD_RESPMEM_PERSISTENT);
	}
	return MHD_create_response_from_buffer(
	    body.len, body.data, MHD_RESPMEM_MUST_FREE);
}

static bool header(
    struct MHD_Response *response, const char *name, const char *value)
{
	return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(const struct reply *reply,
    struct MHD_Response *response, const char *request_id)
{
	char seconds[16];
	snprintf(seconds, sizeof(seconds), "%u", reply->retry_after);
	return (reply->type == NULL ||
		   header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
		       reply->type)) &&
	    header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
	    (request_id == NULL ||
		header(response, "X-Request-Id", request_id)) &&
	    (reply->allow == NULL ||
		header(response, MHD_HTTP_HEADER_ALLOW, reply->allow)) &&
	    (reply->retry_after == 0 ||
		header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds)) &&
	    (!reply->challenge ||
		header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer")) &&
	    (!reply->close ||
		header(response, MHD_HTTP_HEADER_CONNECTION, "close"));
}

bool reply_send(struct reply *reply, struct MHD_Connection *connection,
    const char *request_id)
{
	if (reply->ready == NULL) {
		struct MHD_Response *response = response_new(reply);
		if (response == NULL ||
		    !add_headers(reply, response, request_id))
			abort();
		reply->ready = ready_new(response);
	}
	bool queued = MHD_queue_response(connection, reply->status,
			  reply->ready->response) == MHD_YES;
	reply_reset(reply);
	return queued;
}
