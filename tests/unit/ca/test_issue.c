// SPDX-License-Identifier: Apache-2.0
/* Goal: no signature without a record, one certificate for one request, and
 * nothing left open whatever the token does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/inside.h"
#include "store/audit.h"
#include "tests/unit/ca/fixture.h"

static struct err err;

static enum err_code issue(struct fixture *fixture,
    const struct fixture_order *order, struct certificate **out)
{
	OWNED(batch) intent = batch_new();

	*out = NULL;
	return ca_issue(fixture->ca, &order->order, intent, out, &err);
}

struct last_entry {
	char action[64], result[16], object[80];
};

static bool keep_last(const struct audit_entry *entry,
    const uint8_t head[static 32], void *arg)
{
	struct last_entry *last = arg;

	(void)head;
	snprintf(last->action, sizeof(last->action), "%s", entry->action);
	snprintf(last->result, sizeof(last->result), "%s", entry->result);
	snprintf(last->object, sizeof(last->object), "%s",
	    entry->object == NULL ? "" : entry->object);
	return true;
}

static struct last_entry last_audit(struct fixture *fixture)
{
	struct last_entry last = {"", "", ""};
	struct audit_head head;

	assert_int_equal(audit_head(fixture->store, &head, &err), ERR_OK);
	assert_int_equal(audit_read(fixture->store, head.sequence, 1,
	    keep_last, &last, &err), ERR_OK);
	return last;
}

static void an_issued_certificate_is_on_record_byte_for_byte(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(certificate) stored = NULL;
	OWNED_STR(serial) = serial_format(&issued->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	struct last_entry last = last_audit(fixture);

	(void)state;
	assert_int_equal(certificate_get(fixture->store, &issued->serial,
	    &stored, &err), ERR_OK);
	assert_int_equal(stored->state, CERTIFICATE_VALID);
	assert_int_equal(stored->revision, issued->revision);
	assert_int_equal(stored->der_len, issued->der_len);
	assert_memory_equal(stored->der, issued->der, issued->der_len);
	assert_string_equal(stored->cluster, FIXTURE_CLUSTER);
	assert_string_equal(stored->requester, "token:00");
	assert_int_equal(stored->roles, ROLE_NODE);
	assert_true(names_equal(stored->names, issued->names));
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_string_equal(last.action, "certificate.issue");
	assert_string_equal(last.result, "granted");
	assert_string_equal(last.object, object);
}

static void an_issued_certificate_verifies_up_to_the_root(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	X509_STORE *trust = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	const uint8_t *at = issued->der;
	X509 *leaf = d2i_X509(NULL, &at, (long)issued->der_len);

	(void)state;
	assert_non_null(leaf);
	for (size_t i = 0; i < issuer_set_count(set); i++) {
		const struct issuer *issuer = issuer_set_at(set, i);
		const uint8_t *der = issuer->der;
		X509 *cert = d2i_X509(NULL, &der, (long)issuer->der_len);

		assert_non_null(cert);
		if (issuer->kind == ISSUER_ROOT) {
			X509_STORE_add_cert(trust, cert);
			X509_free(cert);
		} else {
			sk_X509_push(chain, cert);
		}
	}
	X509_STORE_CTX_init(context, trust, leaf, chain);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context),
	    X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	assert_int_equal(X509_STORE_CTX_set_default(context, "ssl_server"), 1);
	assert_int_equal(X509_verify_cert(context), 1);
	X509_STORE_CTX_free(context);
	X509_STORE_free(trust);
	sk_X509_pop_free(chain, X509_free);
	X509_free(leaf);
}

/* ---- repeats ---- */

static void the_same_request_gets_the_same_certificate_again(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;

	(void)state;
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &again,
	    &err), ERR_OK);
	assert_null(again);
	assert_int_equal(issue(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &again,
	    &err), ERR_OK);
	assert_non_null(again);
	assert_memory_equal(again->der, issued->der, issued->der_len);
}

static void issuing_refuses_what_a_repeat_would_answer(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) second = NULL;

	(void)state;
	assert_int_equal(issue(fixture, order, &issued), ERR_OK);
	assert_int_equal(issue(fixture, order, &second), ERR_CONFLICT);
	assert_null(second);
}

/* Each of these makes it another request. */
static void another_key_name_profile_or_cluster_is_no_repeat(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(fixture_order) other = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(issue(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &other->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.profile = "server";
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.profile = "peer";
	assert_int_equal(names_add(order->decision->names, NAME_DNS,
	    bytes_str("b.example.net"), &err), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	names_free(order->decision->names);
	order->decision->names = names_copy(order->request->names);
	free(order->cluster.name);
	order->cluster.name = mem_strdup("db2");
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	order->order.cluster = NULL;
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
}

static void a_repeat_after_the_window_is_issued_anew(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = NULL;
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;
	struct certificate *found = NULL;
	int64_t now = clock_now();

	(void)state;
	clock_freeze(now);
	order = fixture_order_new("a.example.net");
	assert_int_equal(issue(fixture, order, &issued), ERR_OK);
	clock_freeze(now + 601);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	assert_int_equal(issue(fixture, order, &again), ERR_OK);
	assert_memory_not_equal(issued->serial.octets, again->serial.octets,
	    issued->serial.len);
	clock_thaw();
}

static void a_revoked_certificate_does_not_answer_a_repeat(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;
	OWNED(batch) batch = batch_new();
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(issue(fixture, order, &issued), ERR_OK);
	assert_int_equal(ca_revoke(fixture->ca, batch, issued, 1, &err),
	    ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &found,
	    &err), ERR_OK);
	assert_null(found);
	assert_int_equal(issue(fixture, order, &again), ERR_OK);
}

static uint64_t repeat_rows(struct fixture *fixture)
{
	uint64_t count = 0;

	assert_int_equal(store_count(fixture->store, TABLE_CERTS_BY_REQUEST,
	    &count, &err), ERR_OK);
	return count;
}

static void what_no_repeat_can_ask_for_is_pruned(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) early = NULL;
	OWNED(fixture_order) late = NULL;
	OWNED(certificate) first = NULL;
	OWNED(certificate) second = NULL;
	OWNED(certificate) found = NULL;
	OWNED_BUF(cursor);
	int64_t now = clock_now();
	uint64_t others = repeat_rows(fixture);

	(void)state;
	clock_freeze(now);
	early = fixture_order_new("a.example.net");
	assert_int_equal(issue(fixture, early, &first), ERR_OK);
	clock_freeze(now + 601);
	late = fixture_order_new("b.example.net");
	assert_int_equal(issue(fixture, late, &second), ERR_OK);
	/* Past the window, and not yet past what a request may wait. */
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(repeat_rows(fixture), others + 2);
	/* The others were made as the first one was, or before. */
	clock_freeze(now + 601 + 3600);
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(repeat_rows(fixture), 1);
	clock_freeze(now + 602);
	assert_int_equal(ca_find_repeat(fixture->ca, &late->order, &found,
	    &err), ERR_OK);
	assert_non_null(found);
	clock_thaw();
}

static void pruning_goes_on_where_it_ended(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	static const uint8_t value[19] = {1, 1};	/* drawn in 1970 */
	OWNED_BUF(cursor);
	uint64_t others = repeat_rows(fixture);

	(void)state;
	for (uint32_t i = 0; i < 1500; i++) {
		OWNED(batch) batch = batch_new();
		/* Before every real one, whose digests are anything. */
		uint8_t key[32] = {0, 0, (uint8_t)(i >> 8), (uint8_t)i};

		batch_put(batch, TABLE_CERTS_BY_REQUEST, BYTES_OF(key),
		    BYTES_OF(value));
		assert_int_equal(
		    store_commit(fixture->store, batch, &err), ERR_OK);
	}
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 32);
	assert_int_equal(repeat_rows(fixture), others + 1500 - 1024);
	assert_int_equal(ca_prune(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(repeat_rows(fixture), others);
}

/* A certificate of an identity, which ends at NOT_AFTER. */
static void put_of_identity(
    struct fixture *fixture, uint8_t n, int64_t not_after)
{
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) record = NULL;
	OWNED(batch) batch = batch_new();

	assert_int_equal(issue(fixture, order, &record), ERR_OK);
	memset(record->serial.octets + 9, n, record->serial.len - 9);
	memset(record->identity, 0xdd, sizeof(record->identity));
	record->not_after = not_after;
	record->revision = 0;
	certificate_put(batch, record);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
}

static void what_an_identity_held_is_pruned_a_day_after_its_end(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED_BUF(cursor);
	int64_t end = clock_now() + 86400;
	uint64_t others, all;

	(void)state;
	others = fixture_count(fixture, TABLE_CERTS_BY_IDENTITY);
	put_of_identity(fixture, 1, end);
	put_of_identity(fixture, 2, end + 1);
	all = fixture_count(fixture, TABLE_CERTIFICATES);
	clock_freeze(end + 86400);
	assert_int_equal(
	    ca_prune_identities(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(cursor.len, 0);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_IDENTITY),
	    others + 2);
	clock_freeze(end + 86401);
	assert_int_equal(
	    ca_prune_identities(fixture->ca, &cursor, &err), ERR_OK);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_IDENTITY),
	    others + 1);
	/* The certificates themselves stay. */
	assert_int_equal(fixture_count(fixture, TABLE_CERTIFICATES), all);
	clock_thaw();
}

#define THREADS 16

struct race {
	struct fixture *fixture;
	const struct fixture_order *order;
	pthread_barrier_t *start;
	struct certificate *certificate;
	enum err_code code;
};

/* What a caller in api/ does. */
static void *find_or_issue(void *arg)
{
	struct race *race = arg;
	struct err mine;

	pthread_barrier_wait(race->start);
	do {
		OWNED(batch) intent = batch_new();

		race->code = ca_find_repeat(race->fixture->ca,
		    &race->order->order, &race->certificate, &mine);
		if (race->code == ERR_OK && race->certificate == NULL)
			race->code = ca_issue(race->fixture->ca,
			    &race->order->order, intent, &race->certificate,
			    &mine);
	} while (race->code == ERR_CONFLICT);
	return NULL;
}

static void run_race(struct race *races, pthread_barrier_t *start)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(start, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		races[i].start = start;
		assert_int_equal(pthread_create(&threads[i], NULL,
		    find_or_issue, &races[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(start);
}

static void sixteen_threads_with_one_request_get_one_certificate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct race races[THREADS];
	pthread_barrier_t start;
	unsigned signatures = fake_hsm_signatures(fixture->hsm);
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		races[i] = (struct race){.fixture = fixture, .order = order};
	run_race(races, &start);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(races[i].code, ERR_OK);
		assert_memory_equal(races[i].certificate->der,
		    races[0].certificate->der, races[0].certificate->der_len);
	}
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + 1);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fake_hsm_signatures(fixture->hsm), signatures + 1);
	for (size_t i = 0; i < THREADS; i++)
		certificate_free(races[i].certificate);
}

static void sixteen_threads_with_own_requests_get_own_serials(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct fixture_order *orders[THREADS];
	struct race races[THREADS];
	pthread_barrier_t start;
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		orders[i] = fixture_order_new("a.example.net");
		races[i] =
		    (struct race){.fixture = fixture, .order = orders[i]};
	}
	run_race(races, &start);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(races[i].code, ERR_OK);
		certificate_free(races[i].certificate);
		fixture_order_free(orders[i]);
	}
}

/* ---- the token fails ---- */

static void make_token(
    struct fixture *fixture, struct token **token_out, uint32_t uses)
{
	OWNED(batch) batch = batch_new();
	OWNED(secret) text = NULL;
	OWNED(token) token = NULL;

	assert_int_equal(token_create(batch, &(struct token_request){
	    .cluster = FIXTURE_CLUSTER, .creator = "test", .uses = uses},
	    &token, &text, &err), ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER, token->id,
	    token_out, &err), ERR_OK);
}

static uint32_t token_spent(struct fixture *fixture, const struct token *token)
{
	OWNED(token) now = NULL;

	assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER, token->id,
	    &now, &err), ERR_OK);
	return now->spent;
}

/* Issues with a use of TOKEN spent in the intent's commit. */
static enum err_code issue_with(struct fixture *fixture,
    struct fixture_order *order, const struct token *token,
    struct certificate **out)
{
	OWNED(batch) intent = batch_new();

	*out = NULL;
	order->order.token_id = token->id;
	token_spend(intent, token);
	return ca_issue(fixture->ca, &order->order, intent, out, &err);
}

static void a_token_use_is_spent_by_an_issued_certificate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	OWNED(certificate) issued = NULL;

	(void)state;
	make_token(fixture, &token, 3);
	assert_int_equal(issue_with(fixture, order, token, &issued), ERR_OK);
	assert_int_equal(token_spent(fixture, token), 1);
	assert_memory_equal(issued->token_id, token->id, TOKEN_ID_SIZE);
}

static void a_token_that_is_away_leaves_no_trace_of_the_request(void **state)
{
	static const enum err_code codes[] = {
	    ERR_HSM_UNAVAILABLE, ERR_HSM_REFUSED, ERR_OVERLOADED};
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	OWNED(certificate) issued = NULL;
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	make_token(fixture, &token, 9);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		OWNED(token) now = NULL;
		struct last_entry last;

		assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER,
		    token->id, &now, &err), ERR_OK);
		fake_hsm_fail_sign(fixture->hsm, 1, codes[i]);
		assert_int_equal(
		    issue_with(fixture, order, now, &issued), codes[i]);
		assert_null(issued);
		assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
		assert_int_equal(
		    fixture_count(fixture, TABLE_CERTIFICATES), before);
		assert_int_equal(token_spent(fixture, token), 0);
		last = last_audit(fixture);
		assert_string_equal(last.action, "certificate.issue");
		assert_string_equal(last.result, "failed");
	}
	/* And when it is back, the same request is served. */
	token_free(token);
	token = NULL;
	make_token(fixture, &token, 1);
	assert_int_equal(issue_with(fixture, order, token, &issued), ERR_OK);
}

static void count_watch(const char *issuer, void *arg)
{
	assert_string_equal(issuer, "issuing-1");
	++*(unsigned *)arg;
}

/* The token may have signed, so the serial must never count as good. */
static void check_unresolved(struct fixture *fixture, enum err_code expected)
{
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	OWNED(certificate) issued = NULL;
	OWNED(certificate) again = NULL;
	struct certificate *page[8];
	OWNED_BUF(cursor);
	uint64_t revoked = fixture_count(fixture, TABLE_REVOKED);
	unsigned told = 0;
	size_t count;

	make_token(fixture, &token, 1);
	ca_watch(fixture->ca, count_watch, &told);
	assert_int_equal(issue_with(fixture, order, token, &issued), expected);
	ca_unwatch(fixture->ca, &told);
	assert_null(issued);
	assert_int_equal(told, 1);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), revoked + 1);
	assert_int_equal(token_spent(fixture, token), 0);
	assert_string_equal(
	    last_audit(fixture).action, "certificate.unresolved");
	assert_int_equal(certificate_list(fixture->store,
	    &(struct certificate_query){.state = CERTIFICATE_UNRESOLVED,
	    .limit = ARRAY_LEN(page)}, page, &count, &cursor, &err), ERR_OK);
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		assert_null(page[i]->der);
		assert_true(page[i]->revoked > 0);
		certificate_free(page[i]);
	}
	assert_int_equal(ca_find_repeat(fixture->ca, &order->order, &again,
	    &err), ERR_OK);
	assert_null(again);
}

static void a_signature_that_does_not_come_in_time_revokes_its_serial(
    void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();

	(void)state;
	fake_hsm_fail_sign(fixture->hsm, 1, ERR_DEADLINE);
	check_unresolved(fixture, ERR_DEADLINE);
}

static void a_lying_token_never_leads_to_a_certificate(void **state)
{
	static const enum fake_lie lies[] = {
	    FAKE_FLIPPED, FAKE_OTHER_KEY, FAKE_SHORT, FAKE_EMPTY};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		OWNED(fixture) fixture = fixture_with_ca();

		fake_hsm_set_lie(fixture->hsm, lies[i]);
		check_unresolved(fixture, ERR_CORRUPT);
	}
}

/* Another use of the token's record, committed while the token signs, must not
 * keep the refund from coming through. */
struct meddler {
	struct fixture *fixture;
	const struct token *token;
};

static void spend_meanwhile(const char *uri, void *arg)
{
	struct meddler *meddler = arg;
	OWNED(token) now = NULL;
	OWNED(batch) batch = batch_new();
	struct err mine;

	(void)uri;
	if (token_get(meddler->fixture->store, FIXTURE_CLUSTER,
		meddler->token->id, &now, &mine) != ERR_OK)
		abort();
	token_spend(batch, now);
	if (store_commit(meddler->fixture->store, batch, &mine) != ERR_OK)
		abort();
}

static void a_refund_gives_back_one_use_and_keeps_those_of_others(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	OWNED(certificate) issued = NULL;
	struct meddler meddler = {fixture, NULL};

	(void)state;
	make_token(fixture, &token, 5);
	meddler.token = token;
	fake_hsm_on_sign(fixture->hsm, spend_meanwhile, &meddler);
	fake_hsm_set_lie(fixture->hsm, FAKE_FLIPPED);
	assert_int_equal(
	    issue_with(fixture, order, token, &issued), ERR_CORRUPT);
	assert_int_equal(token_spent(fixture, token), 1);
}

/* ---- preconditions ---- */

static void a_conflict_of_the_callers_batch_issues_nothing(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(batch) intent = batch_new();
	struct certificate *issued = NULL;
	unsigned signatures = fake_hsm_signatures(fixture->hsm);

	(void)state;
	batch_require_revision(intent, TABLE_META, BYTES_STR("absent"), 7);
	assert_int_equal(ca_issue(fixture->ca, &order->order, intent, &issued,
	    &err), ERR_CONFLICT);
	assert_null(issued);
	assert_int_equal(fake_hsm_signatures(fixture->hsm), signatures);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_REQUEST), 2);
}

static void look_for_intent(const char *uri, void *arg)
{
	struct fixture *fixture = arg;
	uint64_t count;
	struct err mine;

	(void)uri;
	if (store_count(fixture->store, TABLE_INTENTS, &count, &mine) !=
		ERR_OK || count != 1)
		abort();
}

static void the_intent_stands_before_the_token_signs(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = NULL;

	(void)state;
	fake_hsm_on_sign(fixture->hsm, look_for_intent, fixture);
	issued = fixture_issue(fixture, "a.example.net");
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
}

static void issuing_refuses_an_issuer_that_does_not_issue(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct certificate *issued;

	(void)state;
	order->order.issuer = "nowhere";
	assert_int_equal(issue(fixture, order, &issued), ERR_NOT_FOUND);
	order->order.issuer = "root";
	assert_int_equal(issue(fixture, order, &issued), ERR_POLICY);
}

static void issuing_refuses_to_outlive_the_issuer(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct certificate *issued;

	(void)state;
	order->decision->not_after += INT64_C(6) * 365 * 86400;
	assert_int_equal(issue(fixture, order, &issued), ERR_INTERNAL);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
}

static void renewal_is_due_at_two_thirds_give_or_take(void **state)
{
	const int64_t life = 90 * 86400;
	struct serial serial;
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t after;

		assert_int_equal(serial_draw(1, 1000, &serial, &err), ERR_OK);
		after = issue_renew_after(&serial, 1000, 1000 + life - 1);
		assert_int_equal(after,
		    issue_renew_after(&serial, 1000, 1000 + life - 1));
		least = after < least ? after : least;
		most = after > most ? after : most;
	}
	assert_true(least >= 1000 + life * 2 / 3 - life * 3 / 100);
	assert_true(most <= 1000 + life * 2 / 3 + life * 3 / 100);
	assert_true(most - least > life / 100);
}

/* ---- after a crash ---- */

/* Adds the intent of ORDER, as a stop between the two commits leaves it. */
static struct serial add_intent(struct fixture *fixture,
    struct batch *batch, const struct fixture_order *order,
    const struct token *token)
{
	int64_t now = clock_now();
	struct certificate intent = {.state = CERTIFICATE_VALID,
	    .issuer = (char *)(uintptr_t)"issuing-1",
	    .cluster = order->cluster.name,
	    .profile = (char *)(uintptr_t)"peer",
	    .requester = (char *)(uintptr_t)"token:00",
	    .not_before = now, .not_after = now + 86399, .created = now,
	    .names = order->decision->names};

	assert_int_equal(serial_draw(ca_node(fixture->ca), now,
	    &intent.serial, &err), ERR_OK);
	if (token != NULL) {
		memcpy(intent.token_id, token->id, TOKEN_ID_SIZE);
		token_spend(batch, token);
	}
	intent_put(batch, &intent);
	return intent.serial;
}

static struct serial leave_intent(struct fixture *fixture,
    const struct fixture_order *order, const struct token *token)
{
	OWNED(batch) batch = batch_new();
	struct serial serial = add_intent(fixture, batch, order, token);

	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	return serial;
}

static void check_settled(struct fixture *fixture, const struct serial *serial)
{
	OWNED(certificate) record = NULL;

	assert_int_equal(
	    certificate_get(fixture->store, serial, &record, &err), ERR_OK);
	assert_int_equal(record->state, CERTIFICATE_UNRESOLVED);
	assert_true(record->revoked > 0);
	assert_null(record->der);
}

static void an_intent_left_by_a_crash_is_settled_at_the_start(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	uint64_t revoked = fixture_count(fixture, TABLE_REVOKED);
	struct audit_head before, after;
	struct serial serial;

	(void)state;
	make_token(fixture, &token, 1);
	serial = leave_intent(fixture, order, token);
	assert_int_equal(token_spent(fixture, token), 1);
	fake_hsm_set_away(fixture->hsm, true);
	fixture_reopen(fixture);
	check_settled(fixture, &serial);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), revoked + 1);
	assert_int_equal(token_spent(fixture, token), 0);
	assert_string_equal(
	    last_audit(fixture).action, "certificate.unresolved");

	/* Once more changes nothing. */
	assert_int_equal(audit_head(fixture->store, &before, &err), ERR_OK);
	fixture_reopen(fixture);
	assert_int_equal(audit_head(fixture->store, &after, &err), ERR_OK);
	assert_int_equal(before.sequence, after.sequence);
	assert_int_equal(token_spent(fixture, token), 0);
}

static void make_identity(struct fixture *fixture, struct identity **out)
{
	static const char *const roles[] = {"admin"};
	const struct identity_request request = {.name = "ann", .kind = IDENTITY_CERTIFICATE,
	    .creator = "local", .roles = roles, .roles_count = 1};
	OWNED(batch) batch = batch_new();
	OWNED(identity) made = NULL;
	OWNED(secret) code = NULL;

	assert_int_equal(identity_create(batch, NULL, &request, &made, &code,
	    &err), ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(
	    identity_get(fixture->store, made->id, out, &err), ERR_OK);
}

static bool code_is_used_up(
    struct fixture *fixture, const struct identity *identity)
{
	OWNED(identity) now = NULL;

	assert_int_equal(
	    identity_get(fixture->store, identity->id, &now, &err), ERR_OK);
	return now->code_used != 0;
}

/* The intent of a certificate of IDENTITY, by its code or by another one. */
static struct serial leave_identity_intent(struct fixture *fixture,
    const struct identity *identity, bool by_code)
{
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(certificate) intent = NULL;
	OWNED(batch) remove = batch_new();
	OWNED(batch) batch = batch_new();
	struct serial serial = leave_intent(fixture, order, NULL);

	assert_int_equal(
	    intent_find(fixture->store, &serial, &intent, &err), ERR_OK);
	intent_delete(remove, &serial);
	assert_int_equal(store_commit(fixture->store, remove, &err), ERR_OK);
	intent->revision = 0;
	memcpy(intent->identity, identity->id, IDENTITY_ID_SIZE);
	if (by_code)
		memcpy(intent->token_id, identity->id, TOKEN_ID_SIZE);
	intent_put(batch, intent);
	identity_enroll(batch, identity);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_true(code_is_used_up(fixture, identity));
	return serial;
}

static void a_code_that_a_crash_used_up_is_good_again(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(identity) identity = NULL;
	struct serial serial;

	(void)state;
	make_identity(fixture, &identity);
	serial = leave_identity_intent(fixture, identity, true);
	fixture_reopen(fixture);
	/* What may have been signed is nobody's. */
	check_settled(fixture, &serial);
	assert_false(code_is_used_up(fixture, identity));
}

/* A code is drawn in place of the one before, and used. */
static void use_another_code(
    struct fixture *fixture, const struct identity *identity)
{
	OWNED(identity) now = NULL;
	OWNED(identity) changed = NULL;
	OWNED(identity) fresh = NULL;
	OWNED(secret) text = NULL;
	OWNED(batch) draw = batch_new();
	OWNED(batch) use = batch_new();

	assert_int_equal(
	    identity_get(fixture->store, identity->id, &now, &err), ERR_OK);
	assert_int_equal(
	    identity_new_code(draw, now, 0, &changed, &text, &err), ERR_OK);
	assert_int_equal(store_commit(fixture->store, draw, &err), ERR_OK);
	assert_int_equal(
	    identity_get(fixture->store, identity->id, &fresh, &err), ERR_OK);
	identity_enroll(use, fresh);
	assert_int_equal(store_commit(fixture->store, use, &err), ERR_OK);
}

static void the_end_of_one_code_gives_no_other_back(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(identity) identity = NULL;
	struct serial serial;

	(void)state;
	make_identity(fixture, &identity);
	serial = leave_identity_intent(fixture, identity, true);
	use_another_code(fixture, identity);
	fixture_reopen(fixture);
	check_settled(fixture, &serial);
	assert_true(code_is_used_up(fixture, identity));
}

static void a_crash_of_a_renewal_leaves_the_code_used_up(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(identity) identity = NULL;
	struct serial serial;

	(void)state;
	make_identity(fixture, &identity);
	serial = leave_identity_intent(fixture, identity, false);
	fixture_reopen(fixture);
	check_settled(fixture, &serial);
	assert_true(code_is_used_up(fixture, identity));
}

/* Issues with the code of IDENTITY, read anew, in the intent's commit. */
static enum err_code issue_by_code(
    struct fixture *fixture, const struct identity *identity)
{
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(identity) now = NULL;
	OWNED(batch) intent = batch_new();
	OWNED(certificate) issued = NULL;

	assert_int_equal(
	    identity_get(fixture->store, identity->id, &now, &err), ERR_OK);
	order->order.identity = order->order.token_id = now->id;
	identity_enroll(intent, now);
	return ca_issue(fixture->ca, &order->order, intent, &issued, &err);
}

static void a_code_is_used_up_by_what_is_signed_and_by_nothing_else(
    void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(identity) identity = NULL;

	(void)state;
	make_identity(fixture, &identity);
	fake_hsm_fail_sign(fixture->hsm, 1, ERR_HSM_UNAVAILABLE);
	assert_int_equal(
	    issue_by_code(fixture, identity), ERR_HSM_UNAVAILABLE);
	assert_false(code_is_used_up(fixture, identity));
	assert_int_equal(issue_by_code(fixture, identity), ERR_OK);
	assert_true(code_is_used_up(fixture, identity));
	fixture_reopen(fixture);
	assert_true(code_is_used_up(fixture, identity));
}

static void many_intents_of_one_token_are_all_settled_and_refunded(
    void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(token) token = NULL;
	OWNED(batch) batch = batch_new();

	(void)state;
	make_token(fixture, &token, 600);
	for (int i = 0; i < 5; i++) {
		OWNED(token) now = NULL;

		assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER,
		    token->id, &now, &err), ERR_OK);
		(void)leave_intent(fixture, order, now);
	}
	for (int i = 0; i < 300; i++)
		(void)add_intent(fixture, batch, order, NULL);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(token_spent(fixture, token), 5);
	fixture_reopen(fixture);
	assert_int_equal(token_spent(fixture, token), 0);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), 305);
}

static void an_intent_of_another_node_is_left_alone(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	OWNED(batch) batch = batch_new();
	OWNED(certificate) foreign = NULL;
	struct serial serial = leave_intent(fixture, order, NULL);

	(void)state;
	assert_int_equal(intent_find(fixture->store, &serial, &foreign, &err),
	    ERR_OK);
	foreign->serial.octets[0] =
	    (uint8_t)(foreign->serial.octets[0] % 0x7f + 1);
	foreign->revision = 0;
	intent_put(batch, foreign);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	fixture_reopen(fixture);
	check_settled(fixture, &serial);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 1);
}

static void a_corrupt_intent_keeps_the_ca_from_opening(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(batch) batch = batch_new();
	struct serial serial;
	struct ca *ca = NULL;

	(void)state;
	assert_int_equal(serial_draw(ca_node(fixture->ca), clock_now(),
	    &serial, &err), ERR_OK);
	batch_put(batch, TABLE_INTENTS, serial_bytes(&serial),
	    BYTES("\x01\x01", 2));
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(ca_open(fixture->store, fixture->hsm,
	    &fixture->config, &ca, &err), ERR_CORRUPT);
	assert_null(ca);
}

/* Its intent was settled by somebody while the token signed: the certificate
 * must not come out. */
static void settle_meanwhile(const char *uri, void *arg)
{
	struct fixture *fixture = arg;
	uint64_t settled;
	struct err mine;

	(void)uri;
	if (reconcile(fixture->store, ca_node(fixture->ca), &settled, &mine) !=
		ERR_OK || settled != 1)
		abort();
}

static void a_certificate_whose_intent_is_gone_does_not_come_out(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct certificate *issued;
	uint64_t before = fixture_count(fixture, TABLE_CERTIFICATES);

	(void)state;
	fake_hsm_on_sign(fixture->hsm, settle_meanwhile, fixture);
	assert_int_equal(issue(fixture, order, &issued), ERR_CONFLICT);
	assert_null(issued);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + 1);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), 1);
}

/* ---- serials ---- */

static void a_serial_is_positive_of_eighteen_octets_and_names_node_and_time(
    void **state)
{
	static const uint8_t begins[] = {0x7f, 0x00, 0x65, 0x43, 0x21, 0x00};
	struct serial serial;

	(void)state;
	assert_int_equal(
	    serial_draw(0x7f, 0x65432100, &serial, &err), ERR_OK);
	assert_int_equal(serial.len, 18);
	assert_memory_equal(serial.octets, begins, sizeof(begins));
	assert_int_equal(serial_draw(0, 1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(0x80, 1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(1, -1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(1, INT64_C(1) << 40, &serial, &err),
	    ERR_INTERNAL);
}

static int compare_serial(const void *a, const void *b)
{
	return memcmp(a, b, 18);
}

static void ten_thousand_serials_of_one_second_differ(void **state)
{
	enum { COUNT = 10000 };
	uint8_t (*all)[18] = mem_zalloc_array(COUNT, 18);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		struct serial serial;

		assert_int_equal(serial_draw(1, 7, &serial, &err), ERR_OK);
		memcpy(all[i], serial.octets, 18);
	}
	qsort(all, COUNT, 18, compare_serial);
	for (int i = 1; i < COUNT; i++)
		assert_memory_not_equal(all[i - 1], all[i], 18);
	free(all);
}

static void a_serial_as_text_comes_back_and_other_text_is_refused(void **state)
{
	struct serial serial, back;
	OWNED_STR(text) = NULL;

	(void)state;
	assert_int_equal(serial_draw(1, 7, &serial, &err), ERR_OK);
	text = serial_format(&serial);
	assert_true(serial_parse(text, &back));
	assert_int_equal(back.len, serial.len);
	assert_memory_equal(back.octets, serial.octets, serial.len);
	assert_true(serial_parse("01:aB:ff", &back));
	assert_int_equal(back.len, 3);
	assert_false(serial_parse("", &back));
	assert_false(serial_parse("1", &back));
	assert_false(serial_parse("0x11", &back));
	assert_false(serial_parse(
	    "000102030405060708090a0b0c0d0e0f1011121314", &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_issued_certificate_is_on_record_byte_for_byte),
	    cmocka_unit_test(an_issued_certificate_verifies_up_to_the_root),
	    cmocka_unit_test(the_same_request_gets_the_same_certificate_again),
	    cmocka_unit_test(issuing_refuses_what_a_repeat_would_answer),
	    cmocka_unit_test(another_key_name_profile_or_cluster_is_no_repeat),
	    cmocka_unit_test(a_repeat_after_the_window_is_issued_anew),
	    cmocka_unit_test(what_no_repeat_can_ask_for_is_pruned),
	    cmocka_unit_test(pruning_goes_on_where_it_ended),
	    cmocka_unit_test(
		what_an_identity_held_is_pruned_a_day_after_its_end),
	    cmocka_unit_test(a_revoked_certificate_does_not_answer_a_repeat),
	    cmocka_unit_test(
		sixteen_threads_with_one_request_get_one_certificate),
	    cmocka_unit_test(sixteen_threads_with_own_requests_get_own_serials),
	    cmocka_unit_test(a_token_use_is_spent_by_an_issued_certificate),
	    cmocka_unit_test(
		a_token_that_is_away_leaves_no_trace_of_the_request),
	    cmocka_unit_test(
		a_signature_that_does_not_come_in_time_revokes_its_serial),
	    cmocka_unit_test(a_lying_token_never_leads_to_a_certificate),
	    cmocka_unit_test(
		a_refund_gives_back_one_use_and_keeps_those_of_others),
	    cmocka_unit_test(a_conflict_of_the_callers_batch_issues_nothing),
	    cmocka_unit_test(the_intent_stands_before_the_token_signs),
	    cmocka_unit_test(issuing_refuses_an_issuer_that_does_not_issue),
	    cmocka_unit_test(issuing_refuses_to_outlive_the_issuer),
	    cmocka_unit_test(renewal_is_due_at_two_thirds_give_or_take),
	    cmocka_unit_test(an_intent_left_by_a_crash_is_settled_at_the_start),
	    cmocka_unit_test(a_code_that_a_crash_used_up_is_good_again),
		cmocka_unit_test(the_end_of_one_code_gives_no_other_back),
	    cmocka_unit_test(a_crash_of_a_renewal_leaves_the_code_used_up),
	    cmocka_unit_test(
		a_code_is_used_up_by_what_is_signed_and_by_nothing_else),
	    cmocka_unit_test(
		many_intents_of_one_token_are_all_settled_and_refunded),
	    cmocka_unit_test(an_intent_of_another_node_is_left_alone),
	    cmocka_unit_test(a_corrupt_intent_keeps_the_ca_from_opening),
	    cmocka_unit_test(
		a_certificate_whose_intent_is_gone_does_not_come_out),
	    cmocka_unit_test(
		a_serial_is_positive_of_eighteen_octets_and_names_node_and_time),
	    cmocka_unit_test(ten_thousand_serials_of_one_second_differ),
	    cmocka_unit_test(
		a_serial_as_text_comes_back_and_other_text_is_refused),
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
