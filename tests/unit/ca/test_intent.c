// SPDX-License-Identifier: Apache-2.0
/* Goal: an intent that a crash left behind is settled at the start, with what
 * it had used up given back, and nothing is issued without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/inside.h"
#include "store/audit.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/issuing.h"

static struct err err;

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
	issuing_token(fixture, &token, 1);
	serial = leave_intent(fixture, order, token);
	assert_int_equal(issuing_token_spent(fixture, token), 1);
	fake_hsm_set_away(fixture->hsm, true);
	fixture_reopen(fixture);
	check_settled(fixture, &serial);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), revoked + 1);
	assert_int_equal(issuing_token_spent(fixture, token), 0);
	assert_string_equal(
	    issuing_last(fixture).action, "certificate.unresolved");

	/* Once more changes nothing. */
	assert_int_equal(audit_head(fixture->store, &before, &err), ERR_OK);
	fixture_reopen(fixture);
	assert_int_equal(audit_head(fixture->store, &after, &err), ERR_OK);
	assert_int_equal(before.sequence, after.sequence);
	assert_int_equal(issuing_token_spent(fixture, token), 0);
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
	issuing_token(fixture, &token, 600);
	for (int i = 0; i < 5; i++) {
		OWNED(token) now = NULL;

		assert_int_equal(token_get(fixture->store, FIXTURE_CLUSTER,
		    token->id, &now, &err), ERR_OK);
		(void)leave_intent(fixture, order, now);
	}
	for (int i = 0; i < 300; i++)
		(void)add_intent(fixture, batch, order, NULL);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(issuing_token_spent(fixture, token), 5);
	fixture_reopen(fixture);
	assert_int_equal(issuing_token_spent(fixture, token), 0);
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
	assert_int_equal(issuing_try(fixture, order, &issued), ERR_CONFLICT);
	assert_null(issued);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTIFICATES), before + 1);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
