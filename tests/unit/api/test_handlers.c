// SPDX-License-Identifier: Apache-2.0
/* Each handler with a whole instance behind it, and no HTTP before it. */
#include "harness.h"
#include "calls.h"

/* ---- Bodies ---- */

struct wrong_body {
	route_handler *handler;
	const char *body;
	enum err_code code;
	const char *detail;
};

#define CSR_BODY(rest) "{\"csr\":\"x\"" rest "}"

static const struct wrong_body wrong_bodies[] = {
    {handle_cluster_change, "{}", ERR_BAD_FIELD, "from"},
    {handle_cluster_change, "{\"from\":\"10.0.0.0/8\"}", ERR_BAD_FIELD, "from"},
    {handle_cluster_change, "{\"from\":[\"10.0.0.1/8\"]}", ERR_BAD_FIELD,
	"beyond the prefix"},
    {handle_cluster_change, "{\"from\":[],\"name\":\"x\"}", ERR_BAD_FIELD,
	"name"},
    {handle_cluster_quarantine, "{}", ERR_BAD_FIELD, "reason"},
    {handle_cluster_quarantine, "{\"reason\":\"a\\nb\"}", ERR_BAD_FIELD,
	"reason"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"from\":[1]}", ERR_BAD_FIELD,
	"from"},
    /* Of every handler: no JSON, no object, unknown and repeated names. */
    {handle_cluster_create, "{", ERR_BAD_REQUEST, "JSON"},
    {handle_cluster_create, "[]", ERR_BAD_REQUEST, "object"},
    {handle_cluster_create, "\"a\"", ERR_BAD_REQUEST, ""},
    {handle_cluster_create, "{} x", ERR_BAD_REQUEST, "JSON"},
    {handle_cluster_create, "{\"name\":\"\xff\"}", ERR_BAD_REQUEST, "JSON"},
    {handle_cluster_create, "{\"name\":\"a\\u0000b\",\"policy\":\"etcd\"}",
	ERR_BAD_REQUEST, "NUL"},
    {handle_cluster_create, "{\"name\":\"a\",\"name\":\"b\"}", ERR_BAD_REQUEST,
	"name"},
    {handle_cluster_create, "[[[[[[[[[1]]]]]]]]]", ERR_BAD_REQUEST, ""},

    {handle_cluster_create, "", ERR_BAD_FIELD, "name"},
    {handle_cluster_create, "{\"policy\":\"etcd\"}", ERR_BAD_FIELD, "name"},
    {handle_cluster_create, "{\"name\":\"a\"}", ERR_BAD_FIELD, "policy"},
    {handle_cluster_create, "{\"name\":1,\"policy\":\"etcd\"}", ERR_BAD_FIELD,
	"name"},
    {handle_cluster_create, "{\"name\":\"\",\"policy\":\"etcd\"}",
	ERR_BAD_FIELD, "name"},
    {handle_cluster_create, "{\"name\":\"A b\",\"policy\":\"etcd\"}",
	ERR_BAD_FIELD, "A b"},
    {handle_cluster_create, "{\"name\":\"a\",\"policy\":\"none\"}", ERR_POLICY,
	"none"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"dns\":\"x\"}", ERR_BAD_FIELD,
	"dns"},
    {handle_cluster_create, "{\"name\":\"a\",\"policy\":\"etcd\",\"dns\":[1]}",
	ERR_BAD_FIELD, "dns"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"dns\":[\"\"]}", ERR_BAD_FIELD,
	"dns"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"dns\":[\"*\"]}", ERR_BAD_FIELD,
	"*"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"ip\":[\"10.0.0.1/8\"]}",
	ERR_BAD_FIELD, "10.0.0.1/8"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"issuer\":\"services\"}",
	ERR_BAD_FIELD, "services"},
    {handle_cluster_create,
	"{\"name\":\"a\",\"policy\":\"etcd\",\"issuer\":\"root\"}",
	ERR_BAD_FIELD, "root"},
    {handle_cluster_create, "{\"name\":\"a\",\"policy\":\"etcd\",\"x\":1}",
	ERR_BAD_FIELD, "x"},

    {handle_token_create, "{\"uses\":0}", ERR_BAD_FIELD, "uses"},
    {handle_token_create, "{\"uses\":10001}", ERR_BAD_FIELD, "uses"},
    {handle_token_create, "{\"uses\":1.5}", ERR_BAD_FIELD, "uses"},
    {handle_token_create, "{\"uses\":\"1\"}", ERR_BAD_FIELD, "uses"},
    {handle_token_create, "{\"ttl\":\"soon\"}", ERR_BAD_FIELD, "ttl"},
    {handle_token_create, "{\"ttl\":\"0s\"}", ERR_BAD_FIELD, "ttl"},
    {handle_token_create, "{\"ttl\":\"31d\"}", ERR_BAD_FIELD, ""},
    {handle_token_create, "{\"ttl\":60}", ERR_BAD_FIELD, "ttl"},
    {handle_token_create, "{\"profiles\":[\"none\"]}", ERR_BAD_FIELD, "none"},
    {handle_token_create, "{\"profiles\":{}}", ERR_BAD_FIELD, "profiles"},
    {handle_token_create, "{\"from\":[\"here\"]}", ERR_BAD_FIELD, "here"},
    {handle_token_create, "{\"from\":[null]}", ERR_BAD_FIELD, "from"},

    {handle_certificate_issue, "{\"profile\":\"peer\"}", ERR_BAD_FIELD, "csr"},
    {handle_certificate_issue, CSR_BODY(""), ERR_BAD_FIELD, "profile"},
    {handle_certificate_issue, CSR_BODY(",\"profile\":7"), ERR_BAD_FIELD,
	"profile"},
    {handle_certificate_issue, CSR_BODY(",\"profile\":\"peer\""), ERR_BAD_CSR,
	""},
    {handle_certificate_issue, CSR_BODY(",\"profile\":\"peer\",\"ttl\":\"-1\""),
	ERR_BAD_FIELD, "ttl"},
    {handle_certificate_issue, CSR_BODY(",\"profile\":\"peer\",\"ttl\":1"),
	ERR_BAD_FIELD, "ttl"},
    {handle_certificate_issue, CSR_BODY(",\"profile\":\"peer\",\"cn\":\"x\""),
	ERR_BAD_FIELD, "cn"},
    {handle_certificate_issue, "{\"csr\":\"\",\"profile\":\"peer\"}",
	ERR_BAD_FIELD, "csr"},

    {handle_key_create, "{}", ERR_BAD_FIELD, "name"},
    {handle_key_create, "{\"name\":\"A\"}", ERR_BAD_FIELD, "name"},
    {handle_key_create, "{\"name\":\"a b\"}", ERR_BAD_FIELD, "name"},
    {handle_key_create, "{\"name\":[]}", ERR_BAD_FIELD, "name"},
    {handle_key_datakey, "{\"bits\":200}", ERR_BAD_FIELD, "bits"},
    {handle_key_datakey, "{\"bits\":64}", ERR_BAD_FIELD, "bits"},
    {handle_key_datakey, "{\"bits\":1024}", ERR_BAD_FIELD, "bits"},
    {handle_key_datakey, "{\"bits\":\"256\"}", ERR_BAD_FIELD, "bits"},
    {handle_key_datakey, "{\"plaintext\":1}", ERR_BAD_FIELD, "plaintext"},
    {handle_key_datakey, "{\"context\":[]}", ERR_BAD_FIELD, "context"},
    {handle_key_datakey, "{\"context\":{\"a\":1}}", ERR_BAD_FIELD, "context"},
    {handle_key_datakey, "{\"context\":{\"\":\"b\"}}", ERR_BAD_FIELD, ""},
    {handle_key_datakey, "{\"context\":{\"a\":\"b\\u0000\"}}", ERR_BAD_REQUEST,
	"NUL"},
    {handle_key_unwrap, "{}", ERR_BAD_FIELD, "ciphertext"},
    {handle_key_unwrap, "{\"ciphertext\":\"\"}", ERR_BAD_FIELD, "ciphertext"},
    {handle_key_unwrap, "{\"ciphertext\":\"x\"}", ERR_UNWRAP, ""},
    {handle_key_unwrap, "{\"ciphertext\":\"x\",\"plaintext\":true}",
	ERR_BAD_FIELD, "plaintext"},
};

static void a_body_that_is_wrong_is_refused_by_the_name_of_its_field(
    void **state)
{
	uint64_t before;
	(void)state;
	make_cluster("bodies");
	json_decref(run_ok(&(struct ask){.handler = handle_key_create,
			       .cluster = "bodies",
			       .body = "{\"name\":\"data\"}"},
	    201));
	before = audit_count();
	for (size_t i = 0; i < ARRAY_LEN(wrong_bodies); i++) {
		const struct wrong_body *wrong = &wrong_bodies[i];
		const struct ask ask = {
		    .handler = wrong->handler,
		    .cluster = "bodies",
		    .item = "data",
		    .body = wrong->body,
		};
		assert_refused(run_refused(&ask), wrong->code, wrong->detail);
	}
	assert_int_equal(audit_count(), before);
}

static void a_request_larger_than_its_bound_is_refused(void **state)
{
	char *csr = mem_zalloc(REQUEST_SIZE_MAX + 2);
	(void)state;
	memset(csr, 'x', REQUEST_SIZE_MAX + 1);
	OWNED_STR(body) = body_make("csr", csr, "profile", "peer");
	assert_refused(
	    run_refused(&(struct ask){.handler = handle_certificate_issue,
		.cluster = "bodies",
		.body = body}),
	    ERR_BAD_FIELD, "csr");
	free(csr);
}

static void a_revocation_needs_a_reason_that_can_be_used(void **state)
{
	static const char *const bodies[] = {"{}", "{\"reason\":\"\"}",
	    "{\"reason\":\"none\"}", "{\"reason\":\"certificateHold\"}",
	    "{\"reason\":\"removeFromCRL\"}", "{\"reason\":1}",
	    "{\"reason\":\"keyCompromise\",\"when\":\"now\"}"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_refused(run_refused(&(struct ask){
				   .handler = handle_certificate_revoke,
				   .item = "01",
				   .body = bodies[i]}),
		    ERR_BAD_FIELD, i == 6 ? "when" : "reason");
}

static void a_list_refuses_a_limit_or_cursor_that_is_none(void **state)
{
	static const struct {
		route_handler *handler;
		const char *query, *detail;
	} cases[] = {
	    {handle_cluster_list, "limit=0", "limit"},
	    {handle_cluster_list, "limit=1001", "limit"},
	    {handle_cluster_list, "limit=", "limit"},
	    {handle_cluster_list, "limit=-1", "limit"},
	    {handle_cluster_list, "limit=1e1", "limit"},
	    {handle_cluster_list, "cursor=%20", ""},
	    {handle_token_list, "cursor=zz", "cursor"},
	    {handle_key_list, "cursor=A", "cursor"},
	    {handle_audit_list, "cursor=x", "cursor"},
	    {handle_audit_list, "cursor=1234567890123456789", "cursor"},
	    {handle_certificate_list, "cursor=0", "cursor"},
	    {handle_certificate_list, "state=good", "state"},
	    {handle_certificate_list, "expires_before=soon", "expires_before"},
	    {handle_certificate_list, "cluster=A", "cluster"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(
		    run_refused(&(struct ask){.handler = cases[i].handler,
			.cluster = "bodies",
			.query = cases[i].query}),
		    ERR_BAD_FIELD, cases[i].detail);
}

static void an_object_that_is_none_is_not_found(void **state)
{
	static const struct ask asks[] = {
	    {handle_cluster_show, "none", NULL, NULL, NULL},
	    {handle_cluster_show, "..", NULL, NULL, NULL},
	    {handle_cluster_retire, "none", NULL, NULL, NULL},
	    {handle_cluster_change, "none", NULL, NULL, "{\"from\":[]}"},
	    {handle_cluster_quarantine, "none", NULL, NULL,
		"{\"reason\":\"x\"}"},
	    {handle_cluster_release, "none", NULL, NULL, NULL},
	    {handle_token_create, "none", NULL, NULL, "{}"},
	    {handle_token_list, "none", NULL, NULL, NULL},
	    {handle_token_revoke, "bodies", "zz", NULL, NULL},
	    {handle_token_revoke, "bodies", "00000000000000000000000000000000",
		NULL, NULL},
	    {handle_certificate_show, NULL, "zz", NULL, NULL},
	    {handle_certificate_show, NULL, "01ab", NULL, NULL},
	    {handle_certificate_revoke, NULL, "01ab", NULL,
		"{\"reason\":\"superseded\"}"},
	    {handle_issuer_show, NULL, "none", NULL, NULL},
	    {handle_issuer_crl, NULL, "none", NULL, NULL},
	    {handle_key_create, "none", NULL, NULL, "{\"name\":\"k\"}"},
	    {handle_key_list, "none", NULL, NULL, NULL},
	    {handle_key_show, "bodies", "none", NULL, NULL},
	    {handle_key_show, "bodies", "A", NULL, NULL},
	    {handle_key_datakey, "bodies", "none", NULL, "{}"},
	    {handle_key_datakey, "bodies", "A", NULL, "{}"},
	    {handle_policy_show, NULL, "none", NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		assert_refused(run_refused(&asks[i]), ERR_NOT_FOUND, "");
}

/* ---- Clusters and lists ---- */

static void a_name_is_taken_once_and_for_all(void **state)
{
	const struct ask again = {.handler = handle_cluster_create,
	    .body = "{\"name\":\"once\",\"policy\":\"etcd\"}"};
	(void)state;
	make_cluster("once");
	assert_refused(run_refused(&again), ERR_EXISTS, "once");
	json_decref(run_ok(
	    &(struct ask){.handler = handle_cluster_retire, .cluster = "once"},
	    200));
	assert_refused(run_refused(&again), ERR_EXISTS, "once");
}

static void a_list_is_read_to_its_end_page_by_page(void **state)
{
	size_t seen = 0, pages = 0;
	OWNED_STR(query) = mem_strdup("limit=2");
	(void)state;
	make_cluster("list-1");
	make_cluster("list-2");
	make_cluster("list-3");
	for (bool more = true; more; pages++) {
		json_t *json =
		    run_ok(&(struct ask){.handler = handle_cluster_list,
			       .query = query},
			200);
		const char *next =
		    json_string_value(json_object_get(json, "next"));
		seen += json_array_size(json_object_get(json, "items"));
		more = next != NULL;
		free(query);
		query = mem_printf("limit=2&cursor=%s", more ? next : "");
		json_decref(json);
	}
	assert_true(seen >= 4 && pages >= 2);
	uint64_t clusters = 0;
	assert_ok(
	    store_count(fixture.app->store, TABLE_CLUSTERS, &clusters, &err));
	assert_int_equal(seen, clusters);
}

static void a_caller_bound_to_a_cluster_lists_that_one(void **state)
{
	const struct ask ask = {.handler = handle_cluster_list};
	struct exchange *x = exchange_make(&fixture, &ask);
	(void)state;
	exchange_as(x, ROLE_OPERATOR, "bodies");
	assert_ok(handle_cluster_list(x, &err));
	json_t *json = exchange_json(x);
	json_t *items = json_object_get(json, "items");
	assert_int_equal(json_array_size(items), 1);
	OWNED_STR(name) = member(json_array_get(items, 0), "name");
	assert_string_equal(name, "bodies");
	json_decref(json);
	exchange_done(x);
}

/* Asks as somebody of another cluster; what is told, and that it is noted. */
static void look_from_elsewhere(const char *serial, char detail[static 160])
{
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_show,
			  .item = serial});
	exchange_as(x, ROLE_AUDITOR, "elsewhere");
	err = (struct err){0};
	assert_int_equal(handle_certificate_show(x, &err), ERR_NOT_FOUND);
	assert_true(x->denied);
	snprintf(detail, 160, "%.*s", (int)(strlen(err.detail) - strlen(serial)),
	    err.detail);
	exchange_done(x);
}

static void what_is_anothers_is_answered_as_what_does_not_exist(void **state)
{
	char theirs[160], nobodys[160];
	struct certificate *first = NULL;
	size_t count = 0;
	OWNED_BUF(cursor);
	(void)state;
	assert_ok(certificate_list(fixture.app->store,
	    &(struct certificate_query){.limit = 1}, &first, &count, &cursor,
	    &err));
	assert_int_equal(count, 1);
	OWNED_STR(serial) = serial_format(&first->serial);
	certificate_free(first);
	look_from_elsewhere(serial, theirs);
	look_from_elsewhere("01abcdef", nobodys);
	assert_string_equal(theirs, nobodys);
}

/* A refusal would tell that there is such a cluster. */
static void a_role_is_granted_whatever_clusters_there_are(void **state)
{
	static const char *const roles[] = {"role1", "role2"};
	(void)state;
	make_cluster("asks");
	make_cluster(roles[0]);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		OWNED_STR(csr) = csr_make(roles[i], NULL, NULL);
		OWNED_STR(body) = body_make("csr", csr, "profile", "client");
		json_decref(run_ok(
		    &(struct ask){.handler = handle_certificate_issue,
			.cluster = "asks",
			.body = body},
		    201));
	}
}

static void every_read_answers_with_an_object(void **state)
{
	static const struct ask asks[] = {
	    {handle_roots, NULL, NULL, NULL, NULL},
	    {handle_openapi, NULL, NULL, NULL, NULL},
	    {handle_status, NULL, NULL, NULL, NULL},
	    {handle_cluster_show, "bodies", NULL, NULL, NULL},
	    {handle_token_list, "bodies", NULL, NULL, NULL},
	    {handle_certificate_list, NULL, NULL, NULL, NULL},
	    {handle_certificate_list, NULL, NULL,
		"state=expired&name=x&expires_before=2030-01-01T00:00:00Z",
		NULL},
	    {handle_issuer_list, NULL, NULL, NULL, NULL},
	    {handle_issuer_list, NULL, NULL, "limit=1", NULL},
	    {handle_issuer_show, NULL, "root", NULL, NULL},
	    {handle_key_list, "bodies", NULL, NULL, NULL},
	    {handle_key_show, "bodies", "data", NULL, NULL},
	    {handle_policy_list, NULL, NULL, NULL, NULL},
	    {handle_policy_list, NULL, NULL, "limit=1", NULL},
	    {handle_policy_show, NULL, "etcd", NULL, NULL},
	    {handle_audit_list, NULL, NULL, NULL, NULL},
	    {handle_audit_checkpoint, NULL, NULL, NULL, NULL},
	};
	uint64_t before = audit_count();
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		json_t *json = run_ok(&asks[i], 200);
		assert_true(json_is_object(json));
		json_decref(json);
	}
	assert_int_equal(audit_count(), before);
}

/* By the policies; which there are stands with fixture_rules(). */
static void a_cluster_that_could_be_taken_for_another_is_not_made(void **state)
{
	static const char format[] =
	    "version: 1\ndescription: x\nprofiles:\n"
	    "  - {name: one, description: x, key_types: [ec-p256], "
	    "validity: {default: 1d, maximum: 1d}, "
	    "key_usage: [digital-signature], "
	    "extended_key_usage: [client-auth], "
	    "names: {common_name: ['%s@x']}}\n";
	OWNED_STR(own) = mem_printf(format, "{cluster}");
	OWNED_STR(any) = mem_printf(format, "{identifier}");
	(void)state;
	fixture_rules(&fixture, "own.yaml", own);
	fixture_rules(&fixture, "any.yaml", any);
	json_decref(run_ok(&(struct ask){.handler = handle_cluster_create,
			       .body = "{\"name\":\"sales\",\"policy\":\"own\"}"},
	    201));
	assert_refused(run_refused(&(struct ask){
			   .handler = handle_cluster_create,
			   .body = "{\"name\":\"web\",\"policy\":\"any\"}"}),
	    ERR_POLICY, "sales@x");
	json_decref(run_ok(&(struct ask){.handler = handle_cluster_create,
			       .body = "{\"name\":\"web\",\"policy\":\"own\"}"},
	    201));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_body_that_is_wrong_is_refused_by_the_name_of_its_field),
	    cmocka_unit_test(a_request_larger_than_its_bound_is_refused),
	    cmocka_unit_test(a_revocation_needs_a_reason_that_can_be_used),
	    cmocka_unit_test(a_list_refuses_a_limit_or_cursor_that_is_none),
	    cmocka_unit_test(an_object_that_is_none_is_not_found),
	    cmocka_unit_test(a_name_is_taken_once_and_for_all),
	    cmocka_unit_test(a_list_is_read_to_its_end_page_by_page),
	    cmocka_unit_test(a_caller_bound_to_a_cluster_lists_that_one),
	    cmocka_unit_test(what_is_anothers_is_answered_as_what_does_not_exist),
	    cmocka_unit_test(a_role_is_granted_whatever_clusters_there_are),
	    cmocka_unit_test(every_read_answers_with_an_object),
	    cmocka_unit_test(
		a_cluster_that_could_be_taken_for_another_is_not_made),
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};

	return cmocka_run_group_tests(tests, calls_begin, calls_end);
}
