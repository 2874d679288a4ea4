// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "api/approvals.h"
#include "api/authn.h"
#include "api/gate.h"
#include "api/metrics.h"
#include "api/peer.h"
#include "api/trail.h"
#include "base/json.h"
#include "base/text.h"

enum err_code api_get_active(const struct exchange *x, const char *name,
    struct cluster **cluster_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code = cluster_get(x->app->store, name, &cluster, err);
	if (code != ERR_OK)
		return code;
	code = cluster_check_usable(cluster, err);
	if (code == ERR_QUARANTINED)
		metrics_turned(TURNED_QUARANTINE);
	if (code != ERR_OK)
		return code;
	*cluster_out = GIVE(cluster);
	return ERR_OK;
}

enum err_code api_active_cluster(
    const struct exchange *x, struct cluster **cluster_out, struct err *err)
{
	return api_get_active(x, x->params.cluster, cluster_out, err);
}

void api_reply_shown_once(struct exchange *x, const json_t *view,
    const char *key, const struct secret *shown)
{
	OWNED_BUF(text);
	json_put(&text, view);
	text.len--;	/* the brace that closes it comes last */
	buf_printf(&text, ",\"%s\":\"", key);
	struct bytes secret = secret_bytes(shown);
	struct secret *body = secret_new(text.len + secret.len + 2);
	uint8_t *at = secret_data(body);
	memcpy(at, text.data, text.len);
	memcpy(at + text.len, secret.data, secret.len);
	memcpy(at + text.len + secret.len, "\"}", 2);
	x->reply.status = MHD_HTTP_CREATED;
	x->reply.type = "application/json";
	x->reply.secret = body;
}

bool api_again(enum err_code code, unsigned *attempt)
{
	if (code != ERR_CONFLICT || ++*attempt >= API_ATTEMPTS)
		return false;
	metrics_count(METRIC_STORE_RETRIES);
	return true;
}

/* RFC 8259 has no charset parameter; who sends one must mean UTF-8. */
static enum err_code check_media(const struct exchange *x, struct err *err)
{
	static const char json[] = "application/json";
	const char *type = exchange_header(x, MHD_HTTP_HEADER_CONTENT_TYPE);
	if (type == NULL)
		return err_refuse(err, ERR_BAD_MEDIA,
		    "The request has no Content-Type; bodies here are %s", json);
	const char *rest = type + strlen(json);
	if (strncasecmp(type, json, strlen(json)) == 0) {
		rest += strspn(rest, " \t");
		if (*rest == '\0' ||
		    strcasecmp(rest, "; charset=utf-8") == 0 ||
		    strcasecmp(rest, ";charset=utf-8") == 0)
			return ERR_OK;
	}
	return err_refuse(err, ERR_BAD_MEDIA,
	    "Content-Type is \"%s\"; bodies here are %s", err_quote_str(type),
	    json);
}

static enum err_code api_begin(
    struct exchange *x, const char *method, struct err *err)
{
	if (strlen(x->text) > TARGET_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "The target of the request is longer than %d octets",
		    TARGET_MAX);
	if (!text_has_prefix(x->text, API_PREFIX "/"))
		return err_refuse(err, ERR_NOT_FOUND,
		    "Every path of the API begins with " API_PREFIX "/");
	enum err_code code =
	    target_parse(x->text + strlen(API_PREFIX), &x->target, err);
	if (code != ERR_OK)
		return code;
	code = route_find(method, &x->target, &x->route, &x->params,
	    &x->reply.allow, err);
	if (code != ERR_OK)
		return code;
	x->body_max = x->route->body_max;
	return route_check_query(x->route, &x->target, err);
}

/* What is for everybody is also for who brings a certificate that has expired. */
static enum err_code admit(struct exchange *x, struct err *err)
{
	if (x->route->permission == PERM_PUBLIC)
		return gate_nobody(x, err);
	const struct credentials credentials = {
	    exchange_header(x, MHD_HTTP_HEADER_AUTHORIZATION),
	    x->peer->session == NULL
		? (struct bytes){0}
		: tls_peer_certificate(x->peer->session),
	};
	enum err_code code = ERR_OK;
	if (authn_is_nobody(&credentials))
		code = gate_nobody(x, err);
	if (code == ERR_OK)
		code = authn_identify(x, &credentials, err);
	if (code == ERR_OK)
		code = gate_identity(x, err);
	if (code == ERR_OK)
		code = gate_check_cluster(x, err);
	if (code == ERR_OK)
		code = authn_may_route(x, err);
	if (code == ERR_OK && x->body.len > 0)
		code = check_media(x, err);
	return code;
}

/* A refusal that the audit log wants waits for its commit. */
static enum err_code refuse_later(
    struct exchange *x, const struct err *err, bool *later_out)
{
	if (!trail_wants(x, err))
		return err->code;
	x->refusal = mem_zalloc(sizeof(*x->refusal));
	*x->refusal = *err;
	*later_out = true;
	return ERR_OK;
}

static enum err_code api_answer(
    struct exchange *x, bool *later_out, struct err *err)
{
	enum err_code code = admit(x, err);
	if (code == ERR_OK && (x->route->flags & ROUTE_JOB) != 0) {
		*later_out = true;
		return ERR_OK;
	}
	if (code == ERR_OK)
		code = x->route->handler(x, err);
	return code == ERR_OK ? ERR_OK : refuse_later(x, err, later_out);
}

static enum err_code handle(struct exchange *x, struct err *err)
{
	OWNED(approval) spent = NULL;
	bool run = true;
	enum err_code code = approvals_admit(x, &spent, &run, err);
	if (code != ERR_OK || !run)
		return code;
	code = x->route->handler(x, err);
	if (code != ERR_OK && spent != NULL)
		approvals_give_back(x, spent, err);
	/* Told to nobody before the log has it. */
	if (code == ERR_OK && trail_is_read(x))
		code = trail_read(x, err);
	return code;
}

static enum err_code api_work(struct exchange *x, struct err *err)
{
	enum err_code code;
	if (x->refusal != NULL) {
		*err = *x->refusal;
		code = err->code;
	} else {
		code = authn_still_holds(x, err);
		if (code == ERR_OK)
			code = handle(x, err);
	}
	if (code != ERR_OK && trail_wants(x, err))
		trail_refusal(x, err);
	return code;
}

static void api_refuse(struct exchange *x, const struct err *err)
{
	/* Shedding load is counted, and no time to write much. */
	if (err->code == ERR_OVERLOADED || err->code == ERR_STOPPING ||
	    err->code == ERR_RATE_LIMITED)
		log_err(LOG_DEBUG, "request not taken", err);
	else if (reply_status(err->code) >= 500)
		log_err(LOG_ERROR, "request failed", err);
	reply_problem(&x->reply, err, x->request_id);
}

static void api_finished(struct exchange *x, int64_t duration_us)
{
	const char *route = x->route == NULL ? "none" : x->route->path;
	metrics_request(x->route, x->reply.status, duration_us);
	if (x->code == ERR_RATE_LIMITED)
		return;
	LOG(INFO, "request", LOG_STR("method", x->method),
	    LOG_STR("route", route), LOG_NUM("status", x->reply.status),
	    LOG_NUM("duration_us", duration_us),
	    LOG_STR("caller", x->caller.id), LOG_STR("source", x->source));
}

const struct service api_service = {
    .name = "api",
    .target_max = TARGET_MAX,
    .begin = api_begin,
    .answer = api_answer,
    .work = api_work,
    .refuse = api_refuse,
    .finished = api_finished,
};
