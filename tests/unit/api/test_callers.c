// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: who a caller is, and what is said to those who may not. */
#include "harness.h"
#include "calls.h"
#include "api/authn.h"
#include "api/metrics.h"
#include "api/trail.h"

static void whoever_brings_nothing_is_anonymous_and_may_see_what_is_public(
    void **state)
{
	const struct credentials nothing = {NULL, {NULL, 0}};
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		struct exchange *x = exchange_make(
		    &fixture, &(struct ask){.handler = route_table[i].handler,
				  .cluster = "visited",
				  .item = "data"});
		assert_ok(authn_identify(x, &nothing, &err));
		enum err_code want = route_table[i].permission == PERM_PUBLIC
					 ? ERR_OK
					 : ERR_UNAUTHENTICATED;
		assert_int_equal(authn_may_route(x, &err), want);
		assert_false(trail_wants(x, &err));
		exchange_done(x);
	}
}

static void a_token_is_refused_where_it_does_not_belong(void **state)
{
	enum err_code code;
	(void)state;
	make_cluster("visited");
	OWNED_STR(token) = make_token("visited", "{}");
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (route_table[i].flags & ROUTE_TOKEN)
			continue;
		exchange_done(
		    with_token(&(struct ask){.handler = route_table[i].handler,
				   .cluster = "visited",
				   .item = "data"},
			token, &code));
		assert_int_equal(code, ERR_UNAUTHENTICATED);
	}
}

static void other_schemes_and_other_certificates_authenticate_nobody(
    void **state)
{
	static const uint8_t garbage[] = {0x30, 0x03, 0x02, 0x01, 0x01};
	const struct credentials wrong[] = {
	    {"Basic YTpi", {NULL, 0}},
	    {"Bearer", {NULL, 0}},
	    {"Bearer ", {NULL, 0}},
	    {"sgt_x", {NULL, 0}},
	    {NULL, BYTES_OF(garbage)},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct exchange *x = exchange_make(
		    &fixture, &(struct ask){.handler = handle_certificate_issue,
				  .cluster = "visited"});
		assert_int_equal(
		    authn_identify(x, &wrong[i], &err), ERR_UNAUTHENTICATED);
		assert_int_equal(x->caller.kind, CALLER_ANONYMOUS);
		exchange_done(x);
	}
}

static void a_certificate_of_a_sibling_is_answered_as_one_that_is_not_there(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.sibling.example.net", NULL);
	(void)state;
	make_cluster("sibling");
	OWNED_STR(token) = make_token("sibling", "{}");
	OWNED_STR(serial) = enrol_ok("sibling", token, csr, 201);
	struct exchange *x = exchange_make(&fixture,
	    &(struct ask){.handler = handle_certificate_show, .item = serial});
	exchange_as(x, ROLE_OPERATOR, "visited");
	assert_refused(handle_certificate_show(x, &err), ERR_NOT_FOUND,
	    "there is no certificate with serial");
	assert_non_null(strstr(err.detail, serial));
	assert_true(x->denied);
	exchange_done(x);
	x = exchange_make(&fixture,
	    &(struct ask){.handler = handle_certificate_show, .item = serial});
	exchange_as(x, ROLE_OPERATOR, "sibling");
	assert_ok(handle_certificate_show(x, &err));
	exchange_done(x);
	x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_list,
			  .query = "cluster=sibling"});
	exchange_as(x, ROLE_OPERATOR, "visited");
	assert_int_equal(handle_certificate_list(x, &err), ERR_NOT_FOUND);
	exchange_done(x);
}

static void a_refusal_of_a_known_caller_is_audited_up_to_a_rate(void **state)
{
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_cluster_create});
	uint64_t before = audit_count();
	(void)state;
	exchange_as(x, ROLE_AUDITOR, NULL);
	assert_int_equal(authn_may_route(x, &err), ERR_FORBIDDEN);
	assert_true(trail_wants(x, &err));
	trail_refusal(x, &err);
	assert_int_equal(audit_count(), before + 1);
	struct last_entry last = last_audit();
	assert_string_equal(last.result, "refused");
	assert_string_equal(last.action, "cluster.write");
	assert_string_equal(last.actor, "serial:0102");
	for (int i = 0; i < 300; i++)
		trail_refusal(x, &err);
	assert_true(audit_count() < before + 200);
	assert_true(metrics_value(METRIC_REFUSALS_NOT_AUDITED) > 100);
	exchange_done(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		whoever_brings_nothing_is_anonymous_and_may_see_what_is_public),
	    cmocka_unit_test(a_token_is_refused_where_it_does_not_belong),
	    cmocka_unit_test(
		other_schemes_and_other_certificates_authenticate_nobody),
	    cmocka_unit_test(
		a_certificate_of_a_sibling_is_answered_as_one_that_is_not_there),
	    cmocka_unit_test(a_refusal_of_a_known_caller_is_audited_up_to_a_rate),
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};

	return cmocka_run_group_tests(tests, calls_begin, calls_end);
}
