// SPDX-License-Identifier: Apache-2.0
/* Goal: what needs consent runs once and with it alone, whatever the handler then
 * says; and what nobody decided ends by itself. */
#include "harness.h"
#include "fixture.h"
#include <stdlib.h>
#include "api/approvals.h"
#include "base/clock.h"
#include "base/text.h"

static struct fixture fixture;
static struct err err;
static const uint8_t rex[IDENTITY_ID_SIZE] = {1};
static const uint8_t ann[IDENTITY_ID_SIZE] = {2};

static void use_rules(void)
{
	fixture_rules(&fixture, APPROVALS_FILE,
	    "version: 1\napprovals:\n  - actions: [cluster.retire]\n"
	    "    needed: 1\n    roles: [admin]\n    expires: 1h\n");
}

static void make_cluster(const char *name)
{
	OWNED_STR(own) = mem_strdup(name);
	OWNED(batch) batch = batch_new();
	OWNED(cluster) cluster = NULL;
	const struct cluster_request request = {
	    .name = own, .policy = "etcd", .issuer = "issuing-1"};
	assert_ok(cluster_parse(&request, &cluster, &err));
	cluster_create(batch, cluster);
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

/* A request to HANDLER by the identity ID. */
static struct exchange *ask(route_handler *handler, const char *cluster,
    const uint8_t id[static IDENTITY_ID_SIZE])
{
	struct exchange *x = exchange_make(&fixture,
	    &(struct ask){.handler = handler, .cluster = cluster});
	exchange_as(x, ROLE_ADMIN, NULL);
	/* The path that the fixture gives tells no cluster. */
	x->target.segments[0] = "clusters";
	x->target.segments[1] = cluster;
	x->target.segments_count = 2;
	assert_ok(identity_get(fixture.app->store, id, &x->identity, &err));
	return x;
}

static struct exchange *retire(const char *cluster)
{
	return ask(handle_cluster_retire, cluster, rex);
}

/* The id and digest of what a 202 tells, as hex. */
struct told {
	char id[2 * APPROVAL_ID_SIZE + 1];
	char body[128];
};

static struct told told_by(const struct exchange *x)
{
	struct told told;
	json_t *json = exchange_json(x);
	assert_int_equal(x->reply.status, MHD_HTTP_ACCEPTED);
	snprintf(told.id, sizeof(told.id), "%s",
	    json_string_value(json_object_get(json, "id")));
	snprintf(told.body, sizeof(told.body), "{\"digest\":\"%s\"}",
	    json_string_value(json_object_get(json, "digest")));
	json_decref(json);
	return told;
}

/* Admits or not; the caller frees *spent_out. */
static bool admit(struct exchange *x, struct approval **spent_out)
{
	bool run = false;
	*spent_out = NULL;
	assert_ok(approvals_admit(x, spent_out, &run, &err));
	return run;
}

static struct told wait_for(const char *cluster)
{
	struct approval *spent;
	struct exchange *x = retire(cluster);
	assert_false(admit(x, &spent));
	assert_null(spent);
	struct told told = told_by(x);
	exchange_done(x);
	return told;
}

static enum err_code approve(const struct told *told,
    const uint8_t id[static IDENTITY_ID_SIZE])
{
	struct exchange *x = exchange_make(&fixture,
	    &(struct ask){.handler = handle_approval_approve,
		.item = told->id,
		.body = told->body});
	exchange_as(x, ROLE_ADMIN, NULL);
	assert_ok(identity_get(fixture.app->store, id, &x->identity, &err));
	err = (struct err){0};
	enum err_code code = handle_approval_approve(x, &err);
	exchange_done(x);
	return code;
}

static enum approval_state state_of(const struct told *told)
{
	OWNED(approval) approval = NULL;
	uint8_t id[APPROVAL_ID_SIZE];
	assert_true(hex_parse(told->id, id, sizeof(id)));
	assert_ok(approval_get(fixture.app->store, id, &approval, &err));
	return approval->state;
}

static void what_has_no_rule_runs_at_once(void **state)
{
	struct approval *spent;
	struct exchange *x = ask(handle_identity_create, "x", rex);
	(void)state;
	assert_true(admit(x, &spent));
	assert_null(spent);
	exchange_done(x);
}

static void it_waits_until_another_consents_and_then_runs_once(void **state)
{
	struct approval *spent;
	(void)state;
	make_cluster("once");
	struct told told = wait_for("once");
	assert_refused(approve(&told, rex), ERR_POLICY, "themselves");
	struct told same = wait_for("once");
	assert_string_equal(same.id, told.id);
	assert_ok(approve(&told, ann));
	struct exchange *x = retire("once");
	assert_true(admit(x, &spent));
	assert_non_null(spent);
	assert_int_equal(state_of(&told), APPROVAL_EXECUTED);
	struct told next = wait_for("once");
	assert_string_not_equal(next.id, told.id);
	approval_free(spent);
	exchange_done(x);
}

static void a_refusal_of_the_handler_gives_it_back_and_a_fault_does_not(
    void **state)
{
	struct approval *spent;
	struct err said = {0};
	(void)state;
	make_cluster("back");
	struct told told = wait_for("back");
	assert_ok(approve(&told, ann));
	struct exchange *x = retire("back");
	assert_true(admit(x, &spent));
	(void)err_refuse(&said, ERR_POLICY, "not today");
	approvals_give_back(x, spent, &said);
	assert_int_equal(state_of(&told), APPROVAL_OPEN);
	approval_free(spent);
	assert_true(admit(x, &spent));
	(void)err_fail(&said, ERR_HSM_UNAVAILABLE, "gone");
	approvals_give_back(x, spent, &said);
	assert_int_equal(state_of(&told), APPROVAL_EXECUTED);
	approval_free(spent);
	exchange_done(x);
}

static void what_cannot_be_done_is_refused_before_others_are_asked(
    void **state)
{
	struct approval *spent = NULL;
	bool run = true;
	struct exchange *x = retire("nosuch");
	(void)state;
	assert_refused(approvals_admit(x, &spent, &run, &err), ERR_NOT_FOUND,
	    "nosuch");
	assert_null(spent);
	exchange_done(x);
}

static void who_is_no_identity_cannot_ask(void **state)
{
	struct approval *spent = NULL;
	bool run = true;
	struct exchange *x;
	(void)state;
	make_cluster("none");
	x = retire("none");
	identity_free(GIVE(x->identity));
	assert_refused(approvals_admit(x, &spent, &run, &err), ERR_FORBIDDEN,
	    "identity");
	assert_false(run);
	exchange_done(x);
}

static void what_expires_is_ended_then_forgotten(void **state)
{
	int64_t now = clock_now();
	struct approval *spent;
	uint64_t before = 0, after = 0;
	(void)state;
	make_cluster("late");
	struct told told = wait_for("late");
	assert_ok(approve(&told, ann));
	clock_freeze(now + 3700);
	assert_int_equal(state_of(&told), APPROVAL_OPEN);
	/* Whether maintenance has come by or not. */
	struct exchange *x = retire("late");
	assert_false(admit(x, &spent));
	struct told fresh = told_by(x);
	assert_string_not_equal(fresh.id, told.id);
	assert_ok(approvals_maintain(fixture.app, &err));
	assert_int_equal(state_of(&told), APPROVAL_EXPIRED);
	assert_int_equal(state_of(&fresh), APPROVAL_OPEN);
	assert_ok(store_count(
	    fixture.app->store, TABLE_APPROVALS, &before, &err));
	clock_freeze(now + 3700 + APPROVAL_KEPT + 60);
	assert_ok(approvals_maintain(fixture.app, &err));
	assert_ok(
	    store_count(fixture.app->store, TABLE_APPROVALS, &after, &err));
	assert_true(after < before);
	assert_int_equal(state_of(&fresh), APPROVAL_EXPIRED);
	clock_thaw();
	exchange_done(x);
}

/* Of every route that needs consent, the caller's permission comes first and the
 * handler last; so it must be a job, and those that need none say so. */
static void each_guarded_route_is_a_job_with_an_action(void **state)
{
	unsigned routes = 0;
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		enum guarded_action action = route_guarded(&route_table[i]);
		assert_true(action < GUARDED_COUNT);
		if (action == GUARDED_NONE)
			continue;
		routes++;
		assert_true(route_table[i].flags & ROUTE_JOB);
		assert_int_not_equal(route_table[i].method, METHOD_GET);
	}
	assert_int_equal(routes, 6);
}

/* Whoever may do these alone would make dual control void. */
static void what_ends_or_makes_approvers_keys_and_cas_needs_consent(
    void **state)
{
	static const struct {
		enum permission permission;
		route_handler *free;	/* of those that need nobody */
	} watched[] = {
	    {PERM_IDENTITY_WRITE, NULL},
	    {PERM_IDENTITY_REVOKE, NULL},
	    {PERM_CERT_REVOKE, NULL},
	    {PERM_KEY_MANAGE, handle_key_create},
	};
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		for (size_t k = 0; k < ARRAY_LEN(watched); k++)
			if (route_table[i].permission ==
				watched[k].permission &&
			    route_table[i].handler != watched[k].free &&
			    route_guarded(&route_table[i]) == GUARDED_NONE)
				fail_msg("%s has no NEEDS()",
				    route_table[i].path);
}

static int begin(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	fixture_identity(&fixture, rex, "Rex");
	fixture_identity(&fixture, ann, "Ann");
	use_rules();
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_has_no_rule_runs_at_once),
	    cmocka_unit_test(
		it_waits_until_another_consents_and_then_runs_once),
	    cmocka_unit_test(
		a_refusal_of_the_handler_gives_it_back_and_a_fault_does_not),
	    cmocka_unit_test(
		what_cannot_be_done_is_refused_before_others_are_asked),
	    cmocka_unit_test(who_is_no_identity_cannot_ask),
	    cmocka_unit_test(what_expires_is_ended_then_forgotten),
	    cmocka_unit_test(each_guarded_route_is_a_job_with_an_action),
	    cmocka_unit_test(
		what_ends_or_makes_approvers_keys_and_cas_needs_consent),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
