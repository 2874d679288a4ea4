// SPDX-License-Identifier: Apache-2.0
#include "api/public.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/gate.h"
#include "api/httpdate.h"
#include "api/metrics.h"
#include "api/peer.h"
#include "base/clock.h"
#include "base/text.h"

/* A request of OCSP_REQUEST_MAX octets in base64, each digit percent-encoded. */
#define PUBLIC_TARGET_MAX (OCSP_REQUEST_MAX * 4 + 64)
#define ISSUER_ID_MAX 63
/* How long responses with their ages are kept before they are told anew. */
#define KEEP_SECONDS 30
#define CA_MAX_AGE 86400
/* A CRL may be followed by the next at any moment; who asks anew with the ETag
 * gets few octets. */
#define CRL_MAX_AGE 300

enum what { WHAT_OCSP, WHAT_CA_DER, WHAT_CA_PEM, WHAT_CRL_DER, WHAT_CRL_PEM };

/* ---- Which document ---- */

static const struct {
	const char *folder, *ending;
	enum what what;
} documents[] = {
    {"/ca/", ".cer", WHAT_CA_DER},
    {"/ca/", ".pem", WHAT_CA_PEM},
    {"/crl/", ".crl", WHAT_CRL_DER},
    {"/crl/", ".pem", WHAT_CRL_PEM},
};

/* "/crl/issuing-1.crl": cuts the ending off and leaves the id. */
static bool find_document(struct exchange *x)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		if (!text_has_prefix(x->text, documents[i].folder) ||
		    !text_has_suffix(x->text, documents[i].ending))
			continue;
		char *id = x->text + strlen(documents[i].folder);
		size_t len = strlen(id) - strlen(documents[i].ending);
		if (len < 1 || len > ISSUER_ID_MAX)
			return false;
		id[len] = '\0';
		x->params.item = id;
		x->what = documents[i].what;
		return text_is_label(id);
	}
	return false;
}

/*
 * RFC 6960 A.1: base64 of the request, percent-encoded, behind the path of the
 * responder.  Base64 has '/' and "//" of its own, so nothing is normalised.
 * What does not decode stays empty, and gets the answer "malformed request".
 */
static void read_ocsp_path(struct exchange *x)
{
	char *text = x->text + strlen("/ocsp/");
	OWNED_BUF(der);
	const char *end = target_decode(text, text + strlen(text), false);
	if (end == NULL ||
	    !base64_parse(BYTES(text, (size_t)(end - text)), &der) ||
	    der.len > OCSP_REQUEST_MAX)
		return;
	x->body = buf_give(&der);
}

static enum err_code begin_ocsp_post(
    struct exchange *x, bool is_post, struct err *err)
{
	const char *type = exchange_header(x, MHD_HTTP_HEADER_CONTENT_TYPE);
	if (!is_post) {
		x->reply.allow = "POST";
		return err_refuse(
		    err, ERR_BAD_METHOD, "An OCSP request is sent by POST here");
	}
	if (type == NULL || strcmp(type, "application/ocsp-request") != 0)
		return err_refuse(err, ERR_BAD_MEDIA,
		    "The content type is to be application/ocsp-request");
	x->what = WHAT_OCSP;
	x->body_max = OCSP_REQUEST_MAX;
	return ERR_OK;
}

static enum err_code begin_get(struct exchange *x, struct err *err)
{
	if (text_has_prefix(x->text, "/ocsp/")) {
		x->what = WHAT_OCSP;
		read_ocsp_path(x);
		return ERR_OK;
	}
	if (!find_document(x))
		return err_refuse(
		    err, ERR_NOT_FOUND, "There is nothing at this path");
	return ERR_OK;
}

static enum err_code public_begin(
    struct exchange *x, const char *method, struct err *err)
{
	bool is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
	bool is_get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	    strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	if (strlen(x->text) > PUBLIC_TARGET_MAX)
		return err_refuse(
		    err, ERR_TOO_LARGE, "The target is too long");
	if (strcmp(x->text, "/ocsp") == 0)
		return begin_ocsp_post(x, is_post, err);
	if (is_get)
		return begin_get(x, err);
	x->reply.allow = "GET, HEAD";
	return err_refuse(
	    err, ERR_BAD_METHOD, "This path has the methods GET and HEAD");
}

/* ---- Responses ---- */

static void header(
    struct MHD_Response *response, const char *name, const char *value)
{
	if (MHD_add_response_header(response, name, value) != MHD_YES)
		abort();
}

/* How a document may be cached. */
struct freshness {
	const char *type, *etag;
	int64_t changed, until, now;	/* seconds */
};

static void add_freshness(
    struct MHD_Response *response, const struct freshness *fresh)
{
	char text[80], date[HTTP_DATE_SIZE];
	int64_t age = fresh->until > fresh->now ? fresh->until - fresh->now : 0;
	header(response, MHD_HTTP_HEADER_CONTENT_TYPE, fresh->type);
	snprintf(text, sizeof(text),
	    "max-age=%lld, public, no-transform, must-revalidate",
	    (long long)age);
	header(response, MHD_HTTP_HEADER_CACHE_CONTROL, text);
	header(response, MHD_HTTP_HEADER_ETAG, fresh->etag);
	header(response, MHD_HTTP_HEADER_LAST_MODIFIED,
	    http_date_format(fresh->changed, date));
	header(response, MHD_HTTP_HEADER_EXPIRES,
	    http_date_format(fresh->until, date));
}

/* RFC 9110 13.2.2: If-None-Match comes before If-Modified-Since. */
static bool has_it_already(
    const struct exchange *x, const struct freshness *fresh)
{
	const char *list = exchange_header(x, MHD_HTTP_HEADER_IF_NONE_MATCH);
	int64_t since;
	if (list != NULL)
		return http_etag_in(list, fresh->etag);
	const char *date =
	    exchange_header(x, MHD_HTTP_HEADER_IF_MODIFIED_SINCE);
	return date != NULL && http_date_parse(date, &since) &&
	    fresh->changed <= since;
}

static void reply_not_modified(
    struct exchange *x, const struct freshness *fresh)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
		abort();
	add_freshness(response, fresh);
	x->reply.status = MHD_HTTP_NOT_MODIFIED;
	x->reply.ready = ready_new(response);
}

/* ---- OCSP ---- */

static void drop_ocsp_response(void *response)
{
	ocsp_response_free(response);
}

static struct MHD_Response *wrap_ocsp(struct ocsp_response *answer)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer_with_free_callback_cls(
		answer->der_len, answer->der, drop_ocsp_response, answer);
	if (response == NULL)
		abort();
	return response;
}

/* Takes ANSWER over. */
static void reply_ocsp(struct exchange *x, struct ocsp_response *answer)
{
	const struct freshness fresh = {
	    .type = "application/ocsp-response",
	    .etag = answer->etag,
	    .changed = answer->this_update,
	    .until = answer->next_update,
	    .now = clock_now(),
	};
	if (answer->this_update != 0)
		metrics_ocsp_age(fresh.now - answer->this_update);
	x->reply.status = MHD_HTTP_OK;
	if (answer->cacheable && has_it_already(x, &fresh)) {
		ocsp_response_free(answer);
		reply_not_modified(x, &fresh);
		return;
	}
	bool cacheable = answer->cacheable;
	struct MHD_Response *response = wrap_ocsp(answer);
	if (cacheable) {
		add_freshness(response, &fresh);
	} else {
		header(response, MHD_HTTP_HEADER_CONTENT_TYPE, fresh.type);
		header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	}
	x->reply.ready = ready_new(response);
}

static enum err_code public_work(struct exchange *x, struct err *err)
{
	(void)err;
	reply_ocsp(x, ocsp_answer(x->app->ocsp, buf_bytes(&x->body)));
	return ERR_OK;
}

/* What the cache does not answer costs a signature: a nonce has no other way. */
static enum err_code answer_ocsp(
    struct exchange *x, bool *later_out, struct err *err)
{
	struct ocsp_response *answer =
	    ocsp_cached(x->app->ocsp, buf_bytes(&x->body));
	if (answer != NULL) {
		reply_ocsp(x, answer);
		return ERR_OK;
	}
	*later_out = true;
	return gate_ocsp_signature(x, err);
}

/* ---- CA certificates ---- */

static enum err_code answer_ca(struct exchange *x, struct err *err)
{
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	const struct issuer *issuer =
	    issuer_set_find(issuers, x->params.item);
	if (issuer == NULL)
		return err_refuse(
		    err, ERR_NOT_FOUND, "There is nothing at this path");
	OWNED_BUF(body);
	struct bytes der = BYTES(issuer->der, issuer->der_len);
	if (x->what == WHAT_CA_PEM)
		pem_put(&body, "CERTIFICATE", der);
	else
		buf_put_bytes(&body, der);
	char etag[2 * sizeof(issuer->fingerprint) + 3] = "\"";
	hex_write(issuer->fingerprint, sizeof(issuer->fingerprint), etag + 1);
	etag[sizeof(etag) - 2] = '"';
	etag[sizeof(etag) - 1] = '\0';
	int64_t now = clock_now();
	const struct freshness fresh = {
	    .type = x->what == WHAT_CA_PEM ? "application/x-pem-file"
					   : "application/pkix-cert",
	    .etag = etag,
	    .changed = issuer->not_before,
	    .until = now + CA_MAX_AGE,
	    .now = now,
	};
	if (has_it_already(x, &fresh)) {
		reply_not_modified(x, &fresh);
		return ERR_OK;
	}
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    body.len, body.data, MHD_RESPMEM_MUST_COPY);
	if (response == NULL)
		abort();
	add_freshness(response, &fresh);
	x->reply.status = MHD_HTTP_OK;
	x->reply.ready = ready_new(response);
	return ERR_OK;
}

/* ---- CRLs: one response, sent to everybody ---- */

#define KEPT_MAX 64

/* Invariant, under lock: ready is made from crl, at made. */
static struct kept {
	struct crl *crl;
	bool pem;
	int64_t made;		/* seconds */
	struct ready *ready;
} kept[KEPT_MAX];
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static void drop_crl(void *crl)
{
	crl_free(crl);
}

static struct MHD_Response *wrap_crl(struct crl *crl, bool pem)
{
	if (!pem)
		return MHD_create_response_from_buffer_with_free_callback_cls(
		    crl->der_len, (void *)(uintptr_t)crl->der, drop_crl,
		    crl_ref(crl));
	OWNED_BUF(text);
	pem_put(&text, "X509 CRL", BYTES(crl->der, crl->der_len));
	struct buf body = buf_give(&text);
	return MHD_create_response_from_buffer(
	    body.len, body.data, MHD_RESPMEM_MUST_FREE);
}

static struct ready *make_crl(
    struct crl *crl, bool pem, const struct freshness *fresh)
{
	struct MHD_Response *response = wrap_crl(crl, pem);
	if (response == NULL)
		abort();
	add_freshness(response, fresh);
	return ready_new(response);
}

/* The slot of this issuer and form, or a free one; NULL when all are taken. */
static struct kept *find_kept(const char *issuer, bool pem)
{
	for (size_t i = 0; i < KEPT_MAX; i++)
		if (kept[i].crl == NULL ||
		    (kept[i].pem == pem &&
			strcmp(kept[i].crl->issuer, issuer) == 0))
			return &kept[i];
	return NULL;
}

static void fill_kept(struct kept *slot, struct crl *crl, bool pem,
    const struct freshness *fresh)
{
	crl_free(slot->crl);
	ready_free(slot->ready);
	slot->crl = crl_ref(crl);
	slot->pem = pem;
	slot->made = fresh->now;
	slot->ready = make_crl(crl, pem, fresh);
}

static struct ready *ready_crl(
    struct crl *crl, bool pem, const struct freshness *fresh)
{
	pthread_mutex_lock(&kept_lock);
	struct kept *slot = find_kept(crl->issuer, pem);
	if (slot != NULL &&
	    (slot->crl != crl || fresh->now - slot->made >= KEEP_SECONDS ||
		fresh->now < slot->made))
		fill_kept(slot, crl, pem, fresh);
	struct ready *ready = slot == NULL ? make_crl(crl, pem, fresh)
					   : ready_ref(slot->ready);
	pthread_mutex_unlock(&kept_lock);
	return ready;
}

void public_close(void)
{
	for (size_t i = 0; i < KEPT_MAX; i++) {
		crl_free(kept[i].crl);
		ready_free(kept[i].ready);
		kept[i] = (struct kept){0};
	}
}

static enum err_code answer_crl(struct exchange *x, struct err *err)
{
	OWNED(crl) crl = crl_current(x->app->publisher, x->params.item);
	if (crl == NULL)
		return err_refuse(
		    err, ERR_NOT_FOUND, "There is nothing at this path");
	bool pem = x->what == WHAT_CRL_PEM;
	int64_t now = clock_now();
	const struct freshness fresh = {
	    .type = pem ? "application/x-pem-file" : "application/pkix-crl",
	    .etag = crl->etag,
	    .changed = crl->this_update,
	    .until = now + CRL_MAX_AGE < crl->next_update
		? now + CRL_MAX_AGE : crl->next_update,
	    .now = now,
	};
	if (has_it_already(x, &fresh)) {
		reply_not_modified(x, &fresh);
		return ERR_OK;
	}
	x->reply.status = MHD_HTTP_OK;
	x->reply.ready = ready_crl(crl, pem, &fresh);
	return ERR_OK;
}

/* ---- The service ---- */

static enum err_code public_answer(
    struct exchange *x, bool *later_out, struct err *err)
{
	enum err_code code = gate_public(x, err);
	if (code != ERR_OK)
		return code;
	switch ((enum what)x->what) {
	case WHAT_OCSP:
		return answer_ocsp(x, later_out, err);
	case WHAT_CA_DER:
	case WHAT_CA_PEM:
		return answer_ca(x, err);
	case WHAT_CRL_DER:
	case WHAT_CRL_PEM:
		return answer_crl(x, err);
	}
	abort();
}

static void public_refuse(struct exchange *x, const struct err *err)
{
	const char *allow = x->reply.allow;
	bool close = x->reply.close;
	unsigned retry_after = x->reply.retry_after;
	unsigned status = reply_status(err->code);
	if (status >= 500 && status != MHD_HTTP_SERVICE_UNAVAILABLE)
		log_err(LOG_ERROR, "public request failed", err);
	reply_reset(&x->reply);
	reply_text(&x->reply, status,
	    status < 500 ? err->detail : err_title(err->code));
	buf_put_str(&x->reply.body, "\n");
	x->reply.allow = allow;
	x->reply.close = close;
	x->reply.retry_after = retry_after;
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		x->reply.retry_after = 1;
}

static void public_finished(struct exchange *x, int64_t duration_us)
{
	metrics_plain_request(METRICS_PUBLIC, x->reply.status);
	LOG(DEBUG, "public request", LOG_STR("method", x->method),
	    LOG_NUM("status", x->reply.status),
	    LOG_NUM("duration_us", duration_us), LOG_STR("source", x->source));
}

const struct service public_service = {
    .name = "public",
    .target_max = PUBLIC_TARGET_MAX,
    .begin = public_begin,
    .answer = public_answer,
    .work = public_work,
    .refuse = public_refuse,
    .finished = public_finished,
};
