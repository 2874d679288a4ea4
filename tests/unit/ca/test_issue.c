// SPDX-License-Identifier: Apache-2.0
/* Goal: no signature without a record, one certificate for one request, and
 * nothing left open whatever the token does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "ca/inside.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/issuing.h"

static struct err err;

static void an_issued_certificate_is_on_record_byte_for_byte(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(certificate) stored = NULL;
	OWNED_STR(serial) = serial_format(&issued->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	struct issuing_entry last = issuing_last(fixture);

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
	issuing_token(fixture, &token, 3);
	assert_int_equal(issue_with(fixture, order, token, &issued), ERR_OK);
	assert_int_equal(issuing_token_spent(fixture, token), 1);
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
	issuing_token(fixture, &token, 9);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		OWNED(token) now = NULL;
		struct issuing_entry last;

		assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER,
		    token->id, &now, &err), ERR_OK);
		fake_hsm_fail_sign(fixture->hsm, 1, codes[i]);
		assert_int_equal(
		    issue_with(fixture, order, now, &issued), codes[i]);
		assert_null(issued);
		assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
		assert_int_equal(
		    fixture_count(fixture, TABLE_CERTIFICATES), before);
		assert_int_equal(issuing_token_spent(fixture, token), 0);
		last = issuing_last(fixture);
		assert_string_equal(last.action, "certificate.issue");
		assert_string_equal(last.result, "failed");
	}
	/* And when it is back, the same request is served. */
	token_free(token);
	token = NULL;
	issuing_token(fixture, &token, 1);
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

	issuing_token(fixture, &token, 1);
	ca_watch(fixture->ca, count_watch, &told);
	assert_int_equal(issue_with(fixture, order, token, &issued), expected);
	ca_unwatch(fixture->ca, &told);
	assert_null(issued);
	assert_int_equal(told, 1);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), revoked + 1);
	assert_int_equal(issuing_token_spent(fixture, token), 0);
	assert_string_equal(
	    issuing_last(fixture).action, "certificate.unresolved");
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
	issuing_token(fixture, &token, 5);
	meddler.token = token;
	fake_hsm_on_sign(fixture->hsm, spend_meanwhile, &meddler);
	fake_hsm_set_lie(fixture->hsm, FAKE_FLIPPED);
	assert_int_equal(
	    issue_with(fixture, order, token, &issued), ERR_CORRUPT);
	assert_int_equal(issuing_token_spent(fixture, token), 1);
}

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
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_NOT_FOUND);
	order->order.issuer = "root";
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_POLICY);
}

static void issuing_refuses_to_outlive_the_issuer(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(fixture_order) order = fixture_order_new("a.example.net");
	struct certificate *issued;

	(void)state;
	order->decision->not_after += INT64_C(6) * 365 * 86400;
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_INTERNAL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_issued_certificate_is_on_record_byte_for_byte),
	    cmocka_unit_test(an_issued_certificate_verifies_up_to_the_root),
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
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
