// SPDX-License-Identifier: Apache-2.0
/* Every answer is parsed by OpenSSL, written again to the same octets, and
 * verified by it up to the root (ask.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/ocsp.h"
#include "ca/responder.h"
#include "tests/unit/ca/ask.h"
#include "tests/unit/ca/golden.h"

#include <openssl/ocsp.h>

#define HOUR 3600
#define VALIDITY (8 * HOUR)

/* The OCSP of the running test. */
static struct ocsp *ocsp;

static int setup(void **state)
{
	struct authority *authority;
	struct err err;

	if (authority_setup(state) != 0)
		return -1;
	authority = *state;
	if (ocsp_open(authority->ca, &ocsp, &err) != ERR_OK)
		return -1;
	return ocsp_renew_responders(ocsp, &err) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	ocsp_close(ocsp);
	ocsp = NULL;
	return authority_teardown(state);
}

static struct answer read_answer(struct authority *authority,
    const struct buf *request, const struct ocsp_response *response)
{
	return answer_read(authority, buf_bytes(request),
	    BYTES(response->der, response->der_len));
}

static struct answer ask_question(
    struct authority *authority, const struct question *question)
{
	OWNED(ocsp_response) response = NULL;
	OWNED_BUF(request);

	ask(authority, question, &request);
	response = ocsp_answer(ocsp, buf_bytes(&request));
	return read_answer(authority, &request, response);
}

/* Asks for one certificate of issuing-1. */
static struct answer ask_for(struct authority *authority, uint32_t n)
{
	return ask_question(authority, &(struct question){
	    .issuer = "issuing-1", .serials = &n, .count = 1});
}

static void request_for(
    struct authority *authority, uint32_t n, struct buf *request)
{
	ask(authority, &(struct question){.issuer = "issuing-1",
	    .serials = &n, .count = 1}, request);
}

static void assert_status(struct answer answer, int status)
{
	assert_int_equal(answer.result, OCSP_RESPONSE_STATUS_SUCCESSFUL);
	assert_int_equal(answer.status, status);
}

/* ---- what is told ---- */

static void a_valid_certificate_is_good(void **state)
{
	struct authority *authority = *state;
	struct answer answer;

	authority_record(authority, "issuing-1", 1);
	answer = ask_for(authority, 1);
	assert_status(answer, V_OCSP_CERTSTATUS_GOOD);
	assert_int_equal(answer.this_update, AUTHORITY_NOW);
	assert_int_equal(answer.next_update, AUTHORITY_NOW + VALIDITY);
}

static void a_revoked_certificate_is_revoked_with_time_and_reason(void **state)
{
	static const uint8_t reasons[] = {0, 1, 4, 10};
	struct authority *authority = *state;

	for (uint32_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct answer answer;

		authority_record(authority, "issuing-1", i);
		authority_revoke(authority, i, reasons[i]);
		clock_freeze(clock_now() + 5);
		answer = ask_for(authority, i);
		assert_status(answer, V_OCSP_CERTSTATUS_REVOKED);
		assert_int_equal(answer.revoked, clock_now() - 5);
		assert_int_equal(answer.reason,
		    reasons[i] == 0 ? -1 : reasons[i]);
	}
}

static void an_unresolved_serial_is_revoked(void **state)
{
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	OWNED(names) names = names_new();
	struct certificate record = {.serial = authority_serial(1),
	    .state = CERTIFICATE_UNRESOLVED, .issuer = (char[]){"issuing-1"},
	    .profile = (char[]){"p"}, .requester = (char[]){"r"},
	    .not_after = AUTHORITY_NOW + 1, .revoked = AUTHORITY_NOW - 9,
	    .names = names};
	struct answer answer;
	struct err err;

	certificate_put(batch, &record);
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	answer = ask_for(authority, 1);
	assert_status(answer, V_OCSP_CERTSTATUS_REVOKED);
	assert_int_equal(answer.revoked, AUTHORITY_NOW - 9);
}

static void a_serial_never_issued_is_unknown_and_counted(void **state)
{
	struct authority *authority = *state;
	struct ocsp_stats stats;

	assert_status(ask_for(authority, 7), V_OCSP_CERTSTATUS_UNKNOWN);
	assert_status(ask_for(authority, 7), V_OCSP_CERTSTATUS_UNKNOWN);
	ocsp_stats(ocsp, &stats);
	assert_int_equal(stats.unknown, 2);
	assert_int_equal(stats.entries, 0);
}

static void an_intent_is_not_good(void **state)
{
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	OWNED(names) names = names_new();
	struct certificate record = {.serial = authority_serial(1),
	    .state = CERTIFICATE_VALID, .issuer = (char[]){"issuing-1"},
	    .profile = (char[]){"p"}, .requester = (char[]){"r"},
	    .not_after = AUTHORITY_NOW + 1, .names = names};
	struct err err;

	intent_put(batch, &record);
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_UNKNOWN);
}

static void a_certificate_is_unknown_to_another_issuer(void **state)
{
	struct authority *authority = *state;
	uint32_t n = 1;

	authority_record(authority, "issuing-1", 1);
	assert_status(ask_question(authority, &(struct question){
	    .issuer = "issuing-2", .serials = &n, .count = 1}),
	    V_OCSP_CERTSTATUS_UNKNOWN);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_GOOD);
}

static void issuers_are_found_by_sha256_too(void **state)
{
	struct authority *authority = *state;
	uint32_t n = 1;

	authority_record(authority, "issuing-2", 1);
	assert_status(ask_question(authority, &(struct question){
	    .issuer = "issuing-2", .sha256 = true, .serials = &n, .count = 1}),
	    V_OCSP_CERTSTATUS_GOOD);
}

static void sixteen_certificates_are_answered_at_once(void **state)
{
	uint32_t serials[OCSP_ITEMS_MAX];
	struct authority *authority = *state;
	struct answer answer;

	for (uint32_t i = 0; i < OCSP_ITEMS_MAX; i++) {
		serials[i] = i;
		if (i % 2 == 0)
			authority_record(authority, "issuing-1", i);
	}
	answer = ask_question(authority, &(struct question){
	    .issuer = "issuing-1", .serials = serials,
	    .count = OCSP_ITEMS_MAX});
	assert_status(answer, V_OCSP_CERTSTATUS_GOOD);
	assert_int_equal(answer.count, OCSP_ITEMS_MAX);
}

static void a_nonce_is_repeated_and_its_answer_not_kept(void **state)
{
	static const uint8_t nonce[2 + 32] = {0x04, 32, 1, 2, 3};
	struct authority *authority = *state;
	OWNED(ocsp_response) response = NULL;
	OWNED_BUF(request);
	uint32_t n = 1;

	authority_record(authority, "issuing-1", 1);
	ask(authority, &(struct question){.issuer = "issuing-1",
	    .nonce = BYTES_OF(nonce), .serials = &n, .count = 1}, &request);
	response = ocsp_answer(ocsp, buf_bytes(&request));
	/* read_answer compares the nonces. */
	assert_status(read_answer(authority, &request, response),
	    V_OCSP_CERTSTATUS_GOOD);
	assert_false(response->cacheable);
	assert_string_equal(response->etag, "");
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
}

/* ---- refusals ---- */

static void assert_result(struct bytes request, int result)
{
	OWNED(ocsp_response) response = ocsp_answer(ocsp, request);
	const uint8_t *next = response->der;
	OCSP_RESPONSE *read =
	    d2i_OCSP_RESPONSE(NULL, &next, (long)response->der_len);

	assert_non_null(read);
	assert_ptr_equal(next, response->der + response->der_len);
	assert_int_equal(OCSP_response_status(read), result);
	assert_null(OCSP_response_get1_basic(read));
	assert_false(response->cacheable);
	OCSP_RESPONSE_free(read);
}

static void what_is_no_request_is_malformed(void **state)
{
	static const uint8_t octets[OCSP_REQUEST_MAX + 1] = {0x30, 0x03, 1};
	struct authority *authority = *state;

	(void)authority;
	assert_result(BYTES(octets, 0),
	    OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);
	assert_result(BYTES(octets, 5),
	    OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);
	assert_result(BYTES_OF(octets),
	    OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);
	assert_null(ocsp_cached(ocsp, BYTES(octets, 0)));
	assert_null(ocsp_cached(ocsp, BYTES_OF(octets)));
}

static void an_unknown_issuer_is_unauthorized(void **state)
{
	struct authority *authority = *state;
	OWNED_BUF(request);

	request_for(authority, 1, &request);
	request.data[30] ^= 1;	/* inside the hash of the name */
	assert_result(
	    buf_bytes(&request), OCSP_RESPONSE_STATUS_UNAUTHORIZED);
}

static void the_root_has_no_responder_and_is_unauthorized(void **state)
{
	struct authority *authority = *state;
	OWNED_BUF(request);
	uint32_t n = 1;

	ask(authority, &(struct question){
	    .issuer = "root", .serials = &n, .count = 1}, &request);
	assert_result(
	    buf_bytes(&request), OCSP_RESPONSE_STATUS_UNAUTHORIZED);
}

static void an_issuer_whose_responder_is_yet_to_be_made_says_try_later(
    void **state)
{
	struct authority *authority = *state;
	struct ocsp *other;
	OWNED_BUF(request);
	struct err err;

	/* Without ocsp_renew_responders. */
	assert_int_equal(ocsp_open(authority->ca, &other, &err), ERR_OK);
	ocsp = other;
	request_for(authority, 1, &request);
	assert_result(buf_bytes(&request), OCSP_RESPONSE_STATUS_TRYLATER);
}

static void a_record_that_does_not_decode_is_an_internal_error(void **state)
{
	static const uint8_t rubbish[] = {0xee, 1};
	struct authority *authority = *state;
	struct serial serial = authority_serial(1);
	OWNED(batch) batch = batch_new();
	OWNED_BUF(request);
	struct err err;

	batch_put(batch, TABLE_CERTIFICATES, serial_bytes(&serial),
	    BYTES_OF(rubbish));
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	request_for(authority, 1, &request);
	assert_result(
	    buf_bytes(&request), OCSP_RESPONSE_STATUS_INTERNALERROR);
}

static void a_lying_token_gets_no_answer_out(void **state)
{
	struct authority *authority = *state;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	fake_hsm_set_lie(authority->hsm, FAKE_FLIPPED);
	request_for(authority, 1, &request);
	assert_result(
	    buf_bytes(&request), OCSP_RESPONSE_STATUS_INTERNALERROR);
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
}

/* ---- the cache ---- */

static void a_second_question_costs_no_signature(void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp_response) first = NULL;
	OWNED(ocsp_response) second = NULL;
	struct ocsp_stats stats;
	unsigned signatures;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
	first = ocsp_answer(ocsp, buf_bytes(&request));
	signatures = fake_hsm_signatures(authority->hsm);
	second = ocsp_cached(ocsp, buf_bytes(&request));
	assert_ptr_equal(second, first);
	assert_true(second->cacheable);
	assert_int_equal(strlen(second->etag), 66);
	ocsp_response_free(ocsp_answer(ocsp, buf_bytes(&request)));
	assert_int_equal(fake_hsm_signatures(authority->hsm), signatures);
	ocsp_stats(ocsp, &stats);
	assert_int_equal(stats.hits, 2);
	assert_int_equal(stats.signed_responses, 1);
	assert_int_equal(stats.entries, 1);
}

/* Adds an extension of a kilobyte that nobody knows. */
static void pad(struct buf *request)
{
	const uint8_t *next = request->data;
	OCSP_REQUEST *read =
	    d2i_OCSP_REQUEST(NULL, &next, (long)request->len);
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	static const uint8_t octets[1024] = {4};
	X509_EXTENSION *extension;
	uint8_t *der = NULL;
	int len;

	assert_int_equal(
	    ASN1_OCTET_STRING_set(value, octets, sizeof(octets)), 1);
	extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
	assert_int_equal(OCSP_REQUEST_add_ext(read, extension, -1), 1);
	len = i2d_OCSP_REQUEST(read, &der);
	assert_true(len > 1024);
	buf_reset(request);
	buf_put(request, der, (size_t)len);
	OPENSSL_free(der);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	OCSP_REQUEST_free(read);
}

static void a_padded_request_is_answered_and_not_kept(void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp_response) response = NULL;
	OWNED_BUF(request);
	struct ocsp_stats stats;

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	pad(&request);
	response = ocsp_answer(ocsp, buf_bytes(&request));
	assert_status(read_answer(authority, &request, response),
	    V_OCSP_CERTSTATUS_GOOD);
	ocsp_stats(ocsp, &stats);
	assert_int_equal(stats.entries, 0);
}

static void a_warm_cache_shows_a_revocation_at_once(void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp_response) before = NULL;
	OWNED(ocsp_response) after = NULL;
	OWNED(ocsp_response) again = NULL;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	before = ocsp_answer(ocsp, buf_bytes(&request));
	assert_status(read_answer(authority, &request, before),
	    V_OCSP_CERTSTATUS_GOOD);
	/* The store alone tells: nobody has told the cache. */
	authority_revoke_silently(authority, 1, 1);
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
	after = ocsp_answer(ocsp, buf_bytes(&request));
	assert_status(read_answer(authority, &request, after),
	    V_OCSP_CERTSTATUS_REVOKED);
	again = ocsp_cached(ocsp, buf_bytes(&request));
	assert_ptr_equal(again, after);
}

static void unknown_is_not_remembered_once_the_serial_is_issued(void **state)
{
	struct authority *authority = *state;

	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_UNKNOWN);
	authority_record(authority, "issuing-1", 1);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_GOOD);
}

static void past_half_its_life_one_caller_renews_and_the_others_are_served(
    void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp_response) first = NULL;
	OWNED(ocsp_response) served = NULL;
	OWNED(ocsp_response) renewed = NULL;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	first = ocsp_answer(ocsp, buf_bytes(&request));
	clock_freeze(AUTHORITY_NOW + VALIDITY / 2 - 1);
	served = ocsp_cached(ocsp, buf_bytes(&request));
	assert_ptr_equal(served, first);
	clock_freeze(AUTHORITY_NOW + VALIDITY / 2);
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
	ocsp_response_free(served);
	served = ocsp_cached(ocsp, buf_bytes(&request));
	assert_ptr_equal(served, first);
	renewed = ocsp_answer(ocsp, buf_bytes(&request));
	assert_int_equal(read_answer(authority, &request, renewed).this_update,
	    AUTHORITY_NOW + VALIDITY / 2);
	ocsp_response_free(served);
	served = ocsp_cached(ocsp, buf_bytes(&request));
	assert_ptr_equal(served, renewed);
}

static void an_answer_past_its_end_is_never_served(void **state)
{
	struct authority *authority = *state;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	ocsp_response_free(ocsp_answer(ocsp, buf_bytes(&request)));
	clock_freeze(AUTHORITY_NOW + VALIDITY);
	fake_hsm_set_away(authority->hsm, true);
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
	assert_null(ocsp_cached(ocsp, buf_bytes(&request)));
	assert_result(buf_bytes(&request), OCSP_RESPONSE_STATUS_TRYLATER);
}

static void an_answer_from_the_future_is_signed_anew(void **state)
{
	struct authority *authority = *state;
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	ocsp_response_free(ocsp_answer(ocsp, buf_bytes(&request)));
	clock_freeze(AUTHORITY_NOW - 30);
	assert_int_equal(
	    ask_for(authority, 1).this_update, AUTHORITY_NOW - 30);
}

static void no_answer_outlives_the_responders_certificate(void **state)
{
	struct authority *authority = *state;
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	int64_t end =
	    issuer_set_find(set, "issuing-1")->responder_not_after;

	authority_record(authority, "issuing-1", 1);
	clock_freeze(end - HOUR);
	assert_int_equal(ask_for(authority, 1).next_update, end);
}

static void the_token_away_stops_only_what_must_be_signed(void **state)
{
	static const enum err_code faults[] = {
	    ERR_HSM_UNAVAILABLE, ERR_DEADLINE, ERR_OVERLOADED};
	struct authority *authority = *state;
	OWNED(ocsp_response) known = NULL;
	OWNED(ocsp_response) aging = NULL;
	OWNED_BUF(warm);
	OWNED_BUF(cold);

	authority_record(authority, "issuing-1", 1);
	authority_record(authority, "issuing-1", 2);
	request_for(authority, 1, &warm);
	request_for(authority, 2, &cold);
	known = ocsp_answer(ocsp, buf_bytes(&warm));
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		fake_hsm_fail_sign(authority->hsm, 1, faults[i]);
		assert_result(
		    buf_bytes(&cold), OCSP_RESPONSE_STATUS_TRYLATER);
	}
	/* Past its half too, as long as it is valid. */
	fake_hsm_set_away(authority->hsm, true);
	clock_freeze(AUTHORITY_NOW + VALIDITY - 1);
	aging = ocsp_answer(ocsp, buf_bytes(&warm));
	assert_ptr_equal(aging, known);
	/* But what was revoked meanwhile is not told as good. */
	authority_revoke(authority, 1, 1);
	assert_result(buf_bytes(&warm), OCSP_RESPONSE_STATUS_TRYLATER);
	fake_hsm_set_away(authority->hsm, false);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_REVOKED);
}

/* ---- while the token is busy ---- */

struct meanwhile {
	struct authority *authority;
	uint32_t n;
	unsigned times;
};

static void revoke_meanwhile(const char *uri, void *arg)
{
	struct meanwhile *meanwhile = arg;

	(void)uri;
	if (meanwhile->times++ == 0)
		authority_revoke(meanwhile->authority, meanwhile->n, 1);
}

static void a_revocation_during_the_signature_is_told(void **state)
{
	struct authority *authority = *state;
	struct meanwhile meanwhile = {authority, 1, 0};

	authority_record(authority, "issuing-1", 1);
	fake_hsm_on_sign(authority->hsm, revoke_meanwhile, &meanwhile);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_REVOKED);
	fake_hsm_on_sign(authority->hsm, NULL, NULL);
	assert_int_equal(meanwhile.times, 2);
}

/* The answer that is at hand was true when the token was asked. */
static void a_revocation_while_the_token_hangs_is_not_told_as_good(void **state)
{
	struct authority *authority = *state;
	struct meanwhile meanwhile = {authority, 1, 0};
	OWNED_BUF(request);

	authority_record(authority, "issuing-1", 1);
	request_for(authority, 1, &request);
	ocsp_response_free(ocsp_answer(ocsp, buf_bytes(&request)));
	clock_freeze(AUTHORITY_NOW + VALIDITY / 2);
	fake_hsm_on_sign(authority->hsm, revoke_meanwhile, &meanwhile);
	fake_hsm_fail_sign(authority->hsm, 1, ERR_DEADLINE);
	assert_result(buf_bytes(&request), OCSP_RESPONSE_STATUS_TRYLATER);
	assert_int_equal(meanwhile.times, 1);
	fake_hsm_on_sign(authority->hsm, NULL, NULL);
	assert_status(ask_for(authority, 1), V_OCSP_CERTSTATUS_REVOKED);
}

/* Each thread asks for what the main thread is about to revoke, and looks, when
 * an answer to a question put after the acknowledgement says good. */
#define ASKERS 8
#define ROUNDS 200
struct race {
	struct buf requests[ROUNDS];
	atomic_uint revoked;	/* those below it are acknowledged */
	atomic_bool stop;
	atomic_uint wrong, asked;
};

static bool says_good(struct bytes request)
{
	OWNED(ocsp_response) response = ocsp_cached(ocsp, request);
	const uint8_t *next;
	OCSP_RESPONSE *read;
	OCSP_BASICRESP *basic;
	bool good;

	if (response == NULL)
		response = ocsp_answer(ocsp, request);
	next = response->der;
	read = d2i_OCSP_RESPONSE(NULL, &next, (long)response->der_len);
	basic = OCSP_response_get1_basic(read);
	good = basic != NULL &&
	    OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL,
		NULL, NULL) == V_OCSP_CERTSTATUS_GOOD;
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(read);
	return good;
}

static void *keep_asking(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		unsigned revoked = atomic_load(&race->revoked);
		unsigned n = revoked < ROUNDS ? revoked : ROUNDS - 1;

		/* The one at the edge warms the cache; the one before it is
		 * acknowledged. */
		(void)says_good(buf_bytes(&race->requests[n]));
		if (n > 0 && says_good(buf_bytes(&race->requests[n - 1])))
			atomic_fetch_add(&race->wrong, 1);
		atomic_fetch_add(&race->asked, 1);
	}
	return NULL;
}

static void good_is_never_told_after_a_revocation_is_acknowledged(void **state)
{
	struct authority *authority = *state;
	pthread_t threads[ASKERS];
	static struct race race;

	memset(&race, 0, sizeof(race));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		authority_record(authority, "issuing-1", i);
		request_for(authority, i, &race.requests[i]);
	}
	for (size_t i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(
		    &threads[i], NULL, keep_asking, &race), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		authority_revoke(authority, i, 1);
		atomic_store(&race.revoked, i + 1);
	}
	/* Not before each had a chance to see the last one. */
	for (unsigned seen = atomic_load(&race.asked);
	     atomic_load(&race.asked) < seen + 2 * ASKERS;)
		sched_yield();
	atomic_store(&race.stop, true);
	for (size_t i = 0; i < ASKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.wrong, 0);
	for (uint32_t i = 0; i < ROUNDS; i++)
		buf_free(&race.requests[i]);
}

/* ---- as it was ---- */

static void put_print(
    const struct ocsp_response *response, struct buf *text)
{
	const uint8_t *next = response->der;
	OCSP_RESPONSE *read =
	    d2i_OCSP_RESPONSE(NULL, &next, (long)response->der_len);
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(read);
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *data = NULL;
	char *print, *end;
	int len;

	assert_int_equal(OCSP_RESPONSE_print(bio, read, 0), 1);
	BIO_write(bio, "", 1);
	(void)BIO_get_mem_data(bio, &print);
	/* The signature is random, and so is the responder's serial. */
	end = strstr(print, "    Signature Algorithm:");
	assert_non_null(end);
	buf_put(text, print, (size_t)(end - print));
	len = ASN1_item_i2d((const ASN1_VALUE *)OCSP_resp_get0_respdata(basic),
	    &data, ASN1_ITEM_rptr(OCSP_RESPDATA));
	assert_true(len > 0);
	golden_put_hex(text, BYTES(data, (size_t)len));
	OPENSSL_free(data);
	BIO_free(bio);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(read);
}

static void answers_are_octet_for_octet_as_they_were(void **state)
{
	static const uint8_t nonce[] = {0x04, 4, 0xde, 0xad, 0xbe, 0xef};
	static const uint32_t serials[] = {1, 2, 3, 4};
	struct authority *authority = *state;
	OWNED(ocsp_response) response = NULL;
	OWNED_BUF(request);
	OWNED_BUF(text);

	for (uint32_t i = 1; i <= 3; i++)
		authority_record(authority, "issuing-1", i);
	authority_revoke(authority, 2, 0);
	authority_revoke(authority, 3, 1);
	ask(authority, &(struct question){.issuer = "issuing-1",
	    .nonce = BYTES_OF(nonce), .serials = serials, .count = 4},
	    &request);
	response = ocsp_answer(ocsp, buf_bytes(&request));
	put_print(response, &text);
	golden_check("ocsp.txt", &text);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(a_valid_certificate_is_good),
	    TEST(a_revoked_certificate_is_revoked_with_time_and_reason),
	    TEST(an_unresolved_serial_is_revoked),
	    TEST(a_serial_never_issued_is_unknown_and_counted),
	    TEST(an_intent_is_not_good),
	    TEST(a_certificate_is_unknown_to_another_issuer),
	    TEST(issuers_are_found_by_sha256_too),
	    TEST(sixteen_certificates_are_answered_at_once),
	    TEST(a_nonce_is_repeated_and_its_answer_not_kept),
	    TEST(what_is_no_request_is_malformed),
	    TEST(an_unknown_issuer_is_unauthorized),
	    TEST(the_root_has_no_responder_and_is_unauthorized),
	    cmocka_unit_test_setup_teardown(
		an_issuer_whose_responder_is_yet_to_be_made_says_try_later,
		authority_setup, teardown),
	    TEST(a_record_that_does_not_decode_is_an_internal_error),
	    TEST(a_lying_token_gets_no_answer_out),
	    TEST(a_second_question_costs_no_signature),
	    TEST(a_padded_request_is_answered_and_not_kept),
	    TEST(a_warm_cache_shows_a_revocation_at_once),
	    TEST(unknown_is_not_remembered_once_the_serial_is_issued),
	    TEST(past_half_its_life_one_caller_renews_and_the_others_are_served),
	    TEST(an_answer_past_its_end_is_never_served),
	    TEST(an_answer_from_the_future_is_signed_anew),
	    TEST(no_answer_outlives_the_responders_certificate),
	    TEST(the_token_away_stops_only_what_must_be_signed),
	    TEST(a_revocation_during_the_signature_is_told),
	    TEST(a_revocation_while_the_token_hangs_is_not_told_as_good),
	    TEST(good_is_never_told_after_a_revocation_is_acknowledged),
	    TEST(answers_are_octet_for_octet_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
