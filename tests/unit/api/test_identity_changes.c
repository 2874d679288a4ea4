// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: an identity that is there is changed by others alone, with the
 * consent of others where it is about approvers; and of its codes one is good. */
#include "harness.h"
#include "calls.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/identities.h"
#include "base/text.h"

static const uint8_t rex[IDENTITY_ID_SIZE] = {0xe1};

/* ---- Calls ---- */

static char *create_as(const char *roles, char **code_out)
{
	OWNED_STR(body) =
	    mem_printf("{\"name\":\"someone\",\"roles\":[\"%s\"]}", roles);
	json_t *json = run_ok(
	    &(struct ask){.handler = handle_identity_create, .body = body},
	    201);
	char *id = member(json, "id");
	*code_out = member(json, "code");
	json_decref(json);
	return id;
}

static json_t *change(const char *id, const char *body)
{
	return run_ok(&(struct ask){.handler = handle_identity_change,
			  .item = id,
			  .body = body},
	    200);
}

static char *draw(const char *id)
{
	json_t *json = run_ok(&(struct ask){.handler = handle_identity_code,
				  .item = id,
				  .body = "{}"},
	    201);
	char *code = member(json, "code");
	json_decref(json);
	return code;
}

static struct identity *read_identity(const char *id)
{
	struct identity *identity = NULL;
	uint8_t octets[IDENTITY_ID_SIZE];
	assert_true(hex_parse(id, octets, sizeof(octets)));
	assert_ok(identity_get(fixture.app->store, octets, &identity, &err));
	return identity;
}

/* A request by CODE that was let in, and whose handler runs later. */
static struct exchange *let_in(const char *code, const char *body)
{
	enum err_code refused;
	struct exchange *x = with_token(
	    &(struct ask){.handler = handle_identity_enroll, .body = body},
	    code, &refused);
	assert_int_equal(refused, ERR_OK);
	return x;
}

static enum err_code enrol(const char *code, const char *csr)
{
	OWNED_STR(body) = body_make("csr", csr, NULL, NULL);
	enum err_code got;
	struct exchange *x = with_token(
	    &(struct ask){.handler = handle_identity_enroll, .body = body},
	    code, &got);
	if (got == ERR_OK)
		got = handle_identity_enroll(x, &err);
	exchange_done(x);
	return got;
}

/* ---- Changing ---- */

static void what_is_named_is_changed_and_told_in_the_log(void **state)
{
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	(void)state;
	json_t *json = change(id,
	    "{\"name\":\"Ann\",\"roles\":[\"auditor\"],\"ttl\":\"1h\","
	    "\"lifetime\":\"2d\",\"from\":[\"10.0.0.0/8\"]}");
	OWNED_STR(name) = member(json, "name");
	assert_string_equal(name, "Ann");
	assert_int_equal(
	    json_integer_value(json_object_get(json, "ttl_seconds")), 3600);
	assert_int_equal(json_array_size(json_object_get(json, "from")), 1);
	assert_non_null(json_object_get(json, "expires"));
	json_decref(json);
	struct last_entry last = last_audit();
	assert_string_equal(last.action, "identity.change");
	assert_non_null(strstr(last.object, id));
	json_decref(change(id, "{\"from\":[]}"));
	OWNED(identity) now = read_identity(id);
	assert_int_equal(now->ranges_count, 0);
	assert_string_equal(now->roles[0], "auditor");
}

static void what_cannot_be_changed_is_refused_and_changes_nothing(void **state)
{
	static const struct {
		const char *body, *word;
		enum err_code code;
	} cases[] = {
	    {"{}", "Nothing is to change", ERR_BAD_FIELD},
	    {"{\"cluster\":\"x\"}", "cluster", ERR_BAD_FIELD},
	    {"{\"kind\":\"token\"}", "kind", ERR_BAD_FIELD},
	    {"{\"roles\":[]}", "roles", ERR_BAD_FIELD},
	    {"{\"roles\":[\"root\"]}", "root", ERR_BAD_FIELD},
	    {"{\"ttl\":\"400d\"}", "ttl", ERR_BAD_FIELD},
	};
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	OWNED(identity) before = read_identity(id);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(run_refused(&(struct ask){
				   .handler = handle_identity_change,
				   .item = id,
				   .body = cases[i].body}),
		    cases[i].code, cases[i].word);
	OWNED(identity) after = read_identity(id);
	assert_int_equal(before->revision, after->revision);
}

static void what_is_revoked_is_not_changed_and_gets_no_code(void **state)
{
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	(void)state;
	json_decref(run_ok(
	    &(struct ask){.handler = handle_identity_revoke, .item = id}, 200));
	assert_refused(run_refused(&(struct ask){
			   .handler = handle_identity_change,
			   .item = id,
			   .body = "{\"ttl\":\"1h\"}"}),
	    ERR_POLICY, "does not come back");
	assert_refused(run_refused(&(struct ask){
			   .handler = handle_identity_code, .item = id}),
	    ERR_POLICY, "revoked");
}

static struct exchange *as_rex(const struct ask *ask)
{
	struct exchange *x = exchange_make(&fixture, ask);
	exchange_as(x, ADMIN, NULL);
	assert_ok(identity_get(fixture.app->store, rex, &x->identity, &err));
	err = (struct err){0};
	return x;
}

static void nobody_changes_themselves(void **state)
{
	OWNED_STR(id) = hex_new(rex, sizeof(rex));
	(void)state;
	struct exchange *x =
	    as_rex(&(struct ask){.handler = handle_identity_change,
		.item = id,
		.body = "{\"roles\":[\"auditor\"]}"});
	assert_refused(handle_identity_change(x, &err), ERR_POLICY, "itself");
	exchange_done(x);
}

static void two_admins_do_not_take_each_others_roles(void **state)
{
	static const uint8_t sue[IDENTITY_ID_SIZE] = {0xe2};
	OWNED_STR(of_rex) = hex_new(rex, sizeof(rex));
	OWNED_STR(of_sue) = hex_new(sue, sizeof(sue));
	static const char body[] = "{\"roles\":[\"auditor\"]}";
	(void)state;
	fixture_identity(&fixture, sue, "Sue");
	struct exchange *first =
	    as_rex(&(struct ask){.handler = handle_identity_change,
		.item = of_sue,
		.body = body});
	struct exchange *late = exchange_make(
	    &fixture, &(struct ask){.handler = handle_identity_change,
			  .item = of_rex,
			  .body = body});
	exchange_as(late, ADMIN, NULL);
	assert_ok(identity_get(fixture.app->store, sue, &late->identity, &err));
	assert_ok(handle_identity_change(first, &err));
	assert_refused(handle_identity_change(late, &err), ERR_UNAUTHENTICATED,
	    "not accepted");
	exchange_done(first);
	exchange_done(late);
	OWNED(identity) left = read_identity(of_rex);
	assert_string_equal(left->roles[0], "admin");
}

/* ---- Codes ---- */

static void of_the_codes_of_an_identity_the_last_is_good_once(void **state)
{
	OWNED_STR(first) = NULL;
	OWNED_STR(id) = create_as("operator", &first);
	OWNED_STR(one) = csr_make(NULL, NULL, NULL);
	OWNED_STR(two) = csr_make(NULL, NULL, NULL);
	OWNED_STR(three) = csr_make(NULL, NULL, NULL);
	(void)state;
	OWNED_STR(second) = draw(id);
	assert_int_equal(enrol(first, one), ERR_UNAUTHENTICATED);
	assert_int_equal(enrol(second, one), ERR_OK);
	assert_int_equal(enrol(second, one), ERR_OK);	/* the same answer */
	assert_int_equal(enrol(second, two), ERR_UNAUTHENTICATED);
	OWNED_STR(third) = draw(id);
	assert_int_equal(enrol(second, one), ERR_UNAUTHENTICATED);
	assert_int_equal(enrol(third, three), ERR_OK);
	OWNED(identity) now = read_identity(id);
	assert_string_equal(identity_state(now, 1), "active");
}

/* Its code was good when it came; the place of that was taken before it ran. */
static void a_request_that_waits_does_not_use_the_next_code(void **state)
{
	OWNED_STR(first) = NULL;
	OWNED_STR(id) = create_as("operator", &first);
	OWNED_STR(csr) = csr_make(NULL, NULL, NULL);
	OWNED_STR(own) = csr_make(NULL, NULL, NULL);
	OWNED_STR(body) = body_make("csr", csr, NULL, NULL);
	struct exchange *waiting = let_in(first, body);
	(void)state;
	OWNED_STR(second) = draw(id);
	err = (struct err){0};
	assert_refused(handle_identity_enroll(waiting, &err),
	    ERR_UNAUTHENTICATED, "not accepted");
	exchange_done(waiting);
	assert_int_equal(enrol(second, own), ERR_OK);
}

static void a_request_that_waits_gets_no_name_of_before(void **state)
{
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	OWNED_STR(csr) = csr_make("someone", NULL, NULL);
	OWNED_STR(body) = body_make("csr", csr, NULL, NULL);
	struct exchange *waiting = let_in(code, body);
	(void)state;
	json_decref(change(id, "{\"name\":\"other\"}"));
	err = (struct err){0};
	assert_refused(handle_identity_enroll(waiting, &err),
	    ERR_UNAUTHENTICATED, "not accepted");
	exchange_done(waiting);
}

static void a_code_of_a_lesser_identity_makes_no_approver(void **state)
{
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	OWNED_STR(csr) = csr_make(NULL, NULL, NULL);
	(void)state;
	json_decref(change(id, "{\"roles\":[\"operator\",\"auditor\"]}"));
	json_decref(change(id, "{\"roles\":[\"admin\"]}"));
	assert_int_equal(enrol(code, csr), ERR_UNAUTHENTICATED);
	OWNED_STR(next) = draw(id);
	json_decref(change(id, "{\"ttl\":\"1h\"}"));
	assert_int_equal(enrol(next, csr), ERR_OK);
}

/* ---- Consent ---- */

static bool runs_at_once(route_handler *handler, const char *id, const char *body)
{
	struct approval *spent = NULL;
	bool run = false;
	struct exchange *x = as_rex(
	    &(struct ask){.handler = handler, .item = id, .body = body});
	assert_ok(approvals_admit(x, &spent, &run, &err));
	assert_null(spent);
	exchange_done(x);
	return run;
}

static void what_makes_or_is_an_approver_waits_and_the_rest_does_not(
    void **state)
{
	OWNED_STR(code) = NULL;
	OWNED_STR(id) = create_as("operator", &code);
	OWNED_STR(other) = NULL;
	OWNED_STR(admin) = create_as("admin", &other);
	(void)state;
	route_handler *set = handle_identity_change;
	assert_true(runs_at_once(set, id, "{\"roles\":[\"auditor\"]}"));
	assert_true(runs_at_once(set, id, "{\"from\":[\"10.0.0.0/8\"]}"));
	assert_true(runs_at_once(handle_identity_code, id, "{}"));
	assert_false(runs_at_once(set, id, "{\"roles\":[\"admin\"]}"));
	assert_false(runs_at_once(set, id, "{\"name\":\"Ann\"}"));
	assert_false(runs_at_once(set, admin, "{\"roles\":[\"auditor\"]}"));
	assert_false(runs_at_once(set, admin, "{\"ttl\":\"1h\"}"));
	assert_false(runs_at_once(handle_identity_code, admin, "{}"));
}

/* The judge looked before, the handler looks after. */
static void who_rises_in_between_is_not_taken_for_a_lesser_one(void **state)
{
	static const struct {
		route_handler *handler;
		const char *body;
	} asked[] = {
	    {handle_identity_code, "{}"},
	    {handle_identity_change, "{\"ttl\":\"1h\"}"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		OWNED_STR(code) = NULL;
		OWNED_STR(id) = create_as("operator", &code);
		struct approval *spent = NULL;
		bool run = false;
		struct exchange *x = as_rex(
		    &(struct ask){.handler = asked[i].handler,
			.item = id,
			.body = asked[i].body});
		assert_ok(approvals_admit(x, &spent, &run, &err));
		assert_true(run);
		json_decref(change(id, "{\"roles\":[\"admin\"]}"));
		err = (struct err){0};
		assert_refused(
		    asked[i].handler(x, &err), ERR_CONFLICT, "approves");
		exchange_done(x);
	}
}

static void what_cannot_be_done_waits_for_nobody(void **state)
{
	struct approval *spent = NULL;
	bool run = true;
	struct exchange *x =
	    as_rex(&(struct ask){.handler = handle_identity_code,
		.item = "00112233445566778899aabbccddeeff",
		.body = "{}"});
	(void)state;
	assert_refused(approvals_admit(x, &spent, &run, &err), ERR_NOT_FOUND,
	    "identity");
	exchange_done(x);
}

/* ---- Roles ---- */

static json_t *list(const char *query)
{
	return run_ok(
	    &(struct ask){.handler = handle_role_list, .query = query}, 200);
}

static void roles_are_listed_page_by_page(void **state)
{
	size_t seen = 0;
	OWNED_STR(cursor) = NULL;
	(void)state;
	do {
		OWNED_STR(query) = mem_printf("limit=3%s%s",
		    cursor == NULL ? "" : "&cursor=",
		    cursor == NULL ? "" : cursor);
		json_t *page = list(query);
		seen += json_array_size(json_object_get(page, "items"));
		free(cursor);
		const char *next =
		    json_string_value(json_object_get(page, "next"));
		cursor = next == NULL ? NULL : mem_strdup(next);
		json_decref(page);
	} while (cursor != NULL && seen < 100);
	json_t *all = list("limit=1000");
	json_t *items = json_object_get(all, "items");
	assert_int_equal(seen, json_array_size(items));
	assert_int_equal(seen, ROLE_COUNT + 1);
	json_t *own = json_array_get(items, ROLE_COUNT);
	OWNED_STR(name) = member(own, "name");
	OWNED_STR(kind) = member(own, "kind");
	assert_string_equal(name, "signer");
	assert_string_equal(kind, "own");
	assert_true(json_is_true(json_object_get(own, "needs_cluster")));
	assert_int_equal(json_array_size(json_object_get(own, "actions")), 2);
	json_decref(all);
	assert_refused(run_refused(&(struct ask){.handler = handle_role_list,
			   .query = "cursor=nosuch"}),
	    ERR_BAD_FIELD, "cursor");
}

static int begin(void **state)
{
	int result = calls_begin(state);
	if (result != 0)
		return result;
	fixture_rules(&fixture, "approvals.yaml",
	    "version: 1\napprovals:\n  - actions: [identity.create]\n"
	    "    needed: 1\n    roles: [admin]\n    identities: [Ann]\n");
	fixture_rules(&fixture, "roles.yaml",
	    "version: 1\nroles:\n  - name: signer\n    description: d\n"
	    "    actions: [key.use]\n");
	fixture_identity(&fixture, rex, "Rex");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_named_is_changed_and_told_in_the_log),
	    cmocka_unit_test(
		what_cannot_be_changed_is_refused_and_changes_nothing),
	    cmocka_unit_test(what_is_revoked_is_not_changed_and_gets_no_code),
	    cmocka_unit_test(nobody_changes_themselves),
	    cmocka_unit_test(of_the_codes_of_an_identity_the_last_is_good_once),
	    cmocka_unit_test(a_request_that_waits_does_not_use_the_next_code),
	    cmocka_unit_test(a_request_that_waits_gets_no_name_of_before),
	    cmocka_unit_test(a_code_of_a_lesser_identity_makes_no_approver),
	    cmocka_unit_test(
		what_makes_or_is_an_approver_waits_and_the_rest_does_not),
	    cmocka_unit_test(
		who_rises_in_between_is_not_taken_for_a_lesser_one),
	    cmocka_unit_test(what_cannot_be_done_waits_for_nobody),
	    cmocka_unit_test(roles_are_listed_page_by_page),
	    cmocka_unit_test(two_admins_do_not_take_each_others_roles),
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};
	return cmocka_run_group_tests(tests, begin, calls_end);
}
