// SPDX-License-Identifier: Apache-2.0
#include "ca/ocsp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/digest.h"
#include "ca/ocsp_cache.h"
#include "ca/ocsp_reply.h"
#include "ca/ocsp_request.h"
#include "ca/responder.h"

#define CLAIM_MS 5000
#define SIGN_TRIES 3
#define CACHED_REQUEST_MAX 512	/* octets; four times what is usual */
#define TIME_MAX INT64_C(253402300799)	/* the last second of year 9999 */

struct ocsp {
	struct ca *ca;
	struct ocsp_cache *cache;
	int64_t validity;	/* seconds */
	atomic_uint_fast64_t hits, signed_responses, unknown;
};

/* ---- responses ---- */

struct ocsp_response *ocsp_response_ref(struct ocsp_response *response)
{
	atomic_fetch_add_explicit(&response->refs, 1, memory_order_relaxed);
	return response;
}

void ocsp_response_free(struct ocsp_response *response)
{
	if (response == NULL || atomic_fetch_sub(&response->refs, 1) != 1)
		return;
	free(response->der);
	free(response);
}

/* Takes the content of DER. */
static struct ocsp_response *response_new(struct buf *der)
{
	struct ocsp_response *response = mem_zalloc(sizeof(*response));

	response->der_len = der->len;
	response->der = buf_give(der).data;
	atomic_init(&response->refs, 1);
	return response;
}

static struct ocsp_response *error_response(enum ocsp_result result)
{
	OWNED_BUF(der);

	ocsp_reply_write_error(result, &der);
	return response_new(&der);
}

/* ---- the cache ---- */

static bool has_revision(
    struct ocsp *ocsp, const struct serial *serial, uint64_t revision)
{
	uint64_t now = 0;
	struct err err;
	bool found;

	return store_find(ca_store(ocsp->ca), TABLE_CERTIFICATES,
		   serial_bytes(serial), NULL, &now, &found, &err) == ERR_OK &&
	    now == revision;
}

/* What the cache has for REQUEST, if it is valid and still true. */
static struct ocsp_response *find_true(
    struct ocsp *ocsp, struct bytes request, int64_t now)
{
	OWNED(ocsp_response) response = ocsp_cache_find(ocsp->cache, request);

	if (response == NULL)
		return NULL;
	if (now < response->next_update &&
	    has_revision(ocsp, &response->serial, response->revision))
		return GIVE(response);
	ocsp_cache_drop(ocsp->cache, request, response);
	return NULL;
}

/* Past half of its life, or from the future: the clock was set back. */
static bool is_aging(const struct ocsp_response *response, int64_t now)
{
	int64_t life = response->next_update - response->this_update;

	return now < response->this_update ||
	    now >= response->this_update + life / 2;
}

static bool claim(struct ocsp_response *response)
{
	int_fast64_t mono = clock_mono_ms();
	int_fast64_t claimed = atomic_load(&response->claimed_until);

	return claimed <= mono &&
	    atomic_compare_exchange_strong(
		&response->claimed_until, &claimed, mono + CLAIM_MS);
}

struct ocsp_response *ocsp_cached(struct ocsp *ocsp, struct bytes request)
{
	int64_t now = clock_now();
	OWNED(ocsp_response) response = NULL;

	if (request.len == 0 || request.len > OCSP_REQUEST_MAX)
		return NULL;
	response = find_true(ocsp, request, now);
	if (response == NULL || (is_aging(response, now) && claim(response)))
		return NULL;
	atomic_fetch_add_explicit(&ocsp->hits, 1, memory_order_relaxed);
	return GIVE(response);
}

/* ---- deciding ---- */

static bool is_issuer_of(
    const struct issuer *issuer, const struct ocsp_item *item)
{
	switch (item->hash) {
	case OCSP_HASH_SHA1:
		return bytes_equal(item->issuer_name_hash,
			   BYTES_OF(issuer->name_hash_sha1)) &&
		    bytes_equal(item->issuer_key_hash,
			BYTES_OF(issuer->key_hash_sha1));
	case OCSP_HASH_SHA256:
		return bytes_equal(item->issuer_name_hash,
			   BYTES_OF(issuer->name_hash_sha256)) &&
		    bytes_equal(item->issuer_key_hash,
			BYTES_OF(issuer->key_hash_sha256));
	case OCSP_HASH_OTHER:
		break;
	}
	return false;
}

static const struct issuer *find_issuer(
    const struct issuer_set *set, const struct ocsp_item *item)
{
	for (size_t i = 0; i < issuer_set_count(set); i++)
		if (is_issuer_of(issuer_set_at(set, i), item))
			return issuer_set_at(set, i);
	return NULL;
}

/* A responder speaks for its issuer alone, so for all items or for none. */
static enum ocsp_result choose_issuer(const struct issuer_set *set,
    const struct ocsp_request *request, const struct issuer **issuer_out)
{
	const struct issuer *issuer = find_issuer(set, &request->items[0]);

	if (issuer == NULL)
		return OCSP_UNAUTHORIZED;
	for (size_t i = 1; i < request->count; i++)
		if (!is_issuer_of(issuer, &request->items[i]))
			return OCSP_UNAUTHORIZED;
	*issuer_out = issuer;
	if (responder_is_usable(issuer, clock_now()))
		return OCSP_SUCCESSFUL;
	/* One will be made soon, or never. */
	return responder_is_due(issuer, clock_now()) ? OCSP_TRY_LATER
						     : OCSP_UNAUTHORIZED;
}

static void set_status(
    const struct certificate *record, struct ocsp_status *status)
{
	status->revision = record->revision;
	switch (record->state) {
	case CERTIFICATE_VALID:
		status->kind = OCSP_GOOD;
		return;
	case CERTIFICATE_REVOKED:
	case CERTIFICATE_UNRESOLVED:
		break;
	}
	status->kind = OCSP_REVOKED;
	status->revoked = record->revoked;
	status->reason = record->reason;
}

static enum err_code find_status(struct ocsp *ocsp,
    const struct issuer *issuer, const struct serial *serial,
    struct ocsp_status *status, struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code;

	*status = (struct ocsp_status){.kind = OCSP_UNKNOWN};
	code = certificate_find(ca_store(ocsp->ca), serial, &record, err);
	if (code != ERR_OK)
		return code;
	if (record != NULL && strcmp(record->issuer, issuer->id) == 0)
		set_status(record, status);
	if (status->revoked < 0 || status->revoked > TIME_MAX)
		return err_fail(err, ERR_CORRUPT, "time of a revocation");
	return ERR_OK;
}

/* Everything that one answer is made of. */
struct work {
	struct ocsp *ocsp;
	struct ocsp_request request;
	struct ocsp_status statuses[OCSP_ITEMS_MAX];
	struct ocsp_reply reply;
};

static enum err_code find_statuses(struct work *work, struct err *err)
{
	enum err_code code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < work->request.count; i++)
		code = find_status(work->ocsp, work->reply.issuer,
		    &work->request.items[i].serial, &work->statuses[i], err);
	return code;
}

static bool statuses_hold(struct work *work)
{
	for (size_t i = 0; i < work->request.count; i++)
		if (work->statuses[i].revision != 0 &&
		    !has_revision(work->ocsp, &work->request.items[i].serial,
			work->statuses[i].revision))
			return false;
	return true;
}

/* ---- signing ---- */

static void set_times(struct work *work)
{
	struct ocsp_reply *reply = &work->reply;

	reply->this_update = clock_now();
	reply->next_update = reply->this_update + work->ocsp->validity;
	if (reply->next_update > reply->issuer->responder_not_after)
		reply->next_update = reply->issuer->responder_not_after;
}

/* Signs what the store says; says it anew when that has changed while the
 * token was busy, so that a revocation is not outrun by an older answer. */
static enum err_code sign(struct work *work, struct buf *der, struct err *err)
{
	enum err_code code;

	work->reply.request = &work->request;
	work->reply.statuses = work->statuses;
	for (int i = 0; i < SIGN_TRIES; i++) {
		buf_reset(der);
		set_times(work);
		code = find_statuses(work, err);
		if (code == ERR_OK)
			code = ocsp_reply_sign(&work->reply, der, err);
		if (code != ERR_OK || statuses_hold(work))
			return code;
	}
	return err_fail(err, ERR_OVERLOADED,
	    "the record changed during each of %d signatures", SIGN_TRIES);
}

static void count(struct work *work)
{
	atomic_fetch_add(&work->ocsp->signed_responses, 1);
	for (size_t i = 0; i < work->request.count; i++)
		if (work->statuses[i].kind == OCSP_UNKNOWN)
			atomic_fetch_add(&work->ocsp->unknown, 1);
}

/* RFC 5019: one certificate and no nonce; and only what cannot change without
 * its record changing. */
static bool is_cacheable(const struct work *work)
{
	return work->request.count == 1 && work->request.nonce.len == 0 &&
	    work->statuses[0].kind != OCSP_UNKNOWN;
}

static void make_cacheable(struct work *work, struct ocsp_response *response)
{
	uint8_t digest[32];
	char text[2 * sizeof(digest) + 1];

	digest_sha256(BYTES(response->der, response->der_len), digest);
	snprintf(response->etag, sizeof(response->etag), "\"%s\"",
	    hex_write(digest, sizeof(digest), text));
	response->cacheable = true;
	response->serial = work->request.items[0].serial;
	response->revision = work->statuses[0].revision;
}

/* What went wrong for us, in the words of RFC 6960 4.2.1. */
static enum ocsp_result result_of(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return OCSP_SUCCESSFUL;
	case ERR_OVERLOADED:
	case ERR_DEADLINE:
	case ERR_STOPPING:
	case ERR_HSM_UNAVAILABLE:
		return OCSP_TRY_LATER;
	case ERR_BAD_REQUEST:
	case ERR_BAD_FIELD:
	case ERR_TOO_LARGE:
	case ERR_BAD_CSR:
	case ERR_BAD_KEY:
	case ERR_POLICY:
	case ERR_AWAITING:
	case ERR_QUARANTINED:
	case ERR_RATE_LIMITED:
	case ERR_UNAUTHENTICATED:
	case ERR_FORBIDDEN:
	case ERR_NOT_FOUND:
	case ERR_BAD_METHOD:
	case ERR_BAD_MEDIA:
	case ERR_CONFLICT:
	case ERR_EXISTS:
	case ERR_KEY_DISABLED:
	case ERR_UNWRAP:
	case ERR_USAGE:
	case ERR_CONFIG:
	case ERR_HSM_REFUSED:
	case ERR_HSM_KEY_UNSAFE:
	case ERR_STORE:
	case ERR_STORE_FULL:
	case ERR_CORRUPT:
	case ERR_CRYPTO:
	case ERR_UNREACHABLE:
	case ERR_COMMAND:
	case ERR_IO:
	case ERR_INTERNAL:
		break;
	}
	return OCSP_INTERNAL_ERROR;
}

static enum ocsp_result sign_new(struct work *work, struct bytes request,
    struct ocsp_response **response_out)
{
	OWNED_BUF(der);
	struct err err;
	enum err_code code = sign(work, &der, &err);

	if (code != ERR_OK) {
		log_err(result_of(code) == OCSP_TRY_LATER ? LOG_DEBUG
							  : LOG_ERROR,
		    "ocsp answer not signed", &err);
		return result_of(code);
	}
	count(work);
	*response_out = response_new(&der);
	(*response_out)->this_update = work->reply.this_update;
	(*response_out)->next_update = work->reply.next_update;
	if (is_cacheable(work)) {
		make_cacheable(work, *response_out);
		/* Who pads a request does not fill the memory with it. */
		if (request.len <= CACHED_REQUEST_MAX)
			ocsp_cache_put(
			    work->ocsp->cache, request, *response_out);
	}
	return OCSP_SUCCESSFUL;
}

static struct ocsp_response *answer_anew(
    struct ocsp *ocsp, struct bytes request)
{
	struct work work = {.ocsp = ocsp};
	struct ocsp_response *response = NULL;
	OWNED(issuer_set) set = ca_issuers(ocsp->ca);
	enum ocsp_result result = OCSP_MALFORMED_REQUEST;

	if (ocsp_request_read(request, &work.request))
		result = choose_issuer(
		    set, &work.request, &work.reply.issuer);
	if (result == OCSP_SUCCESSFUL)
		result = sign_new(&work, request, &response);
	if (result == OCSP_SUCCESSFUL)
		return response;
	/* No newer one to be had: the old one, if it is still valid and true by
	 * now, for the token may have kept us waiting. */
	response = find_true(ocsp, request, clock_now());
	return response != NULL ? response : error_response(result);
}

struct ocsp_response *ocsp_answer(struct ocsp *ocsp, struct bytes request)
{
	int64_t now = clock_now();
	OWNED(ocsp_response) known = NULL;

	if (request.len == 0 || request.len > OCSP_REQUEST_MAX)
		return error_response(OCSP_MALFORMED_REQUEST);
	known = find_true(ocsp, request, now);
	if (known == NULL || is_aging(known, now))
		return answer_anew(ocsp, request);
	atomic_fetch_add_explicit(&ocsp->hits, 1, memory_order_relaxed);
	return GIVE(known);
}

/* ---- the whole ---- */

enum err_code ocsp_open(
    struct ca *ca, struct ocsp **ocsp_out, struct err *err)
{
	const struct config *config = ca_config(ca);
	struct ocsp *ocsp = mem_zalloc(sizeof(*ocsp));

	(void)err;
	ocsp->ca = ca;
	ocsp->validity = config->ocsp.validity;
	ocsp->cache = ocsp_cache_new(config->ocsp.cache_entries);
	*ocsp_out = ocsp;
	return ERR_OK;
}

void ocsp_close(struct ocsp *ocsp)
{
	if (ocsp == NULL)
		return;
	ocsp_cache_free(ocsp->cache);
	free(ocsp);
}

enum err_code ocsp_renew_responders(struct ocsp *ocsp, struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ocsp->ca);
	enum err_code first = ERR_OK;

	/* One that cannot be renewed must not keep the others from it. */
	for (size_t i = 0; i < issuer_set_count(set); i++) {
		const struct issuer *issuer = issuer_set_at(set, i);
		struct err one;
		enum err_code code;

		if (!responder_is_due(issuer, clock_now()))
			continue;
		code = responder_renew(ocsp->ca, issuer->id, &one);
		if (code == ERR_OK || first != ERR_OK)
			continue;
		first = code;
		*err = one;
	}
	return first;
}

void ocsp_stats(struct ocsp *ocsp, struct ocsp_stats *stats_out)
{
	*stats_out = (struct ocsp_stats){
	    .hits = atomic_load(&ocsp->hits),
	    .signed_responses = atomic_load(&ocsp->signed_responses),
	    .unknown = atomic_load(&ocsp->unknown),
	    .entries = ocsp_cache_entries(ocsp->cache),
	};
}
