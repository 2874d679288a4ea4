// SPDX-License-Identifier: Apache-2.0
/* Each handler with a whole instance behind it, and no HTTP before it. */
#include "harness.h"
#include "fixture.h"
#include <openssl/x509.h>
#include <pthread.h>
#include <sched.h>
#include "api/authn.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "base/clock.h"
#include "store/audit.h"

static struct fixture fixture;
static struct err err;

#define ADMIN ROLE_ALL_HUMAN

/* Runs the handler as an admin; the exchange is the caller's. */
static struct exchange *run(const struct ask *ask, enum err_code *code_out)
{
	struct exchange *x = exchange_make(&fixture, ask);
	exchange_as(x, ADMIN, NULL);
	err = (struct err){0};
	*code_out = ask->handler(x, &err);
	return x;
}

static json_t *run_ok(const struct ask *ask, unsigned status)
{
	enum err_code code;
	struct exchange *x = run(ask, &code);
	if (code != ERR_OK)
		fail_msg("%s %s%s", err_slug(code), err.detail, err.cause);
	assert_int_equal(x->reply.status, status);
	json_t *json = exchange_json(x);
	exchange_done(x);
	return json;
}

static enum err_code run_refused(const struct ask *ask)
{
	enum err_code code;
	struct exchange *x = run(ask, &code);
	if (code == ERR_OK)
		fail_msg("accepted: %s", ask->body);
	assert_int_equal(x->reply.status, 0);
	exchange_done(x);
	return code;
}

static char *member(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	assert_non_null(text);
	return mem_strdup(text);
}

static void make_cluster(const char *name)
{
	OWNED_STR(body) = mem_printf("{\"name\":\"%s\",\"policy\":\"etcd\","
				     "\"dns\":[\"*.%s.example.net\"]}",
	    name, name);
	json_decref(run_ok(
	    &(struct ask){.handler = handle_cluster_create, .body = body},
	    201));
}

static uint64_t audit_count(void)
{
	struct audit_head head;
	assert_ok(audit_head(fixture.app->store, &head, &err));
	return head.sequence;
}

struct last_entry {
	char action[64], result[16], actor[64], object[128], cluster[64];
};

static bool keep_entry(
    const struct audit_entry *entry, const uint8_t head[static 32], void *arg)
{
	struct last_entry *last = arg;
	(void)head;
	/* The publisher's own, whenever it comes to a revocation. */
	if (strcmp(entry->action, "crl.publish") == 0 &&
	    strcmp(entry->actor, "system") == 0)
		return true;
	*last = (struct last_entry){0};
	strncpy(last->action, entry->action, sizeof(last->action) - 1);
	strncpy(last->result, entry->result, sizeof(last->result) - 1);
	strncpy(last->actor, entry->actor, sizeof(last->actor) - 1);
	if (entry->object != NULL)
		strncpy(last->object, entry->object, sizeof(last->object) - 1);
	if (entry->cluster != NULL)
		strncpy(
		    last->cluster, entry->cluster, sizeof(last->cluster) - 1);
	return true;
}

static struct last_entry last_audit(void)
{
	struct last_entry last = {0};
	uint64_t count = audit_count();
	assert_ok(audit_read(fixture.app->store, count > 4 ? count - 4 : 1, 5,
	    keep_entry, &last, &err));
	return last;
}

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

/* ---- Tokens and certificates ---- */

static char *make_token(const char *cluster, const char *body)
{
	json_t *json = run_ok(&(struct ask){.handler = handle_token_create,
				  .cluster = cluster,
				  .body = body},
	    201);
	char *text = member(json, "token");
	json_decref(json);
	return text;
}

/* An exchange that came with TOKEN, past the checks before its handler. */
static struct exchange *with_token(
    const struct ask *ask, const char *token, enum err_code *code_out)
{
	struct exchange *x = exchange_make(&fixture, ask);
	OWNED_STR(header) = mem_printf("Bearer %s", token);
	const struct credentials credentials = {header, {NULL, 0}};
	err = (struct err){0};
	*code_out = authn_identify(x, &credentials, &err);
	if (*code_out == ERR_OK)
		*code_out = authn_may_route(x, &err);
	if (*code_out == ERR_OK)
		*code_out = ask->handler(x, &err);
	return x;
}

static struct exchange *enrol(const char *cluster, const char *token,
    const char *csr, enum err_code *code_out)
{
	OWNED_STR(body) = body_make("csr", csr, "profile", "peer");
	return with_token(&(struct ask){.handler = handle_certificate_issue,
			      .cluster = cluster,
			      .body = body},
	    token, code_out);
}

static void enrol_refused(
    const char *cluster, const char *token, const char *csr, enum err_code want)
{
	enum err_code code;
	exchange_done(enrol(cluster, token, csr, &code));
	assert_int_equal(code, want);
}

/* The serial that was issued. */
static char *enrol_ok(
    const char *cluster, const char *token, const char *csr, unsigned status)
{
	enum err_code code;
	struct exchange *x = enrol(cluster, token, csr, &code);
	if (code != ERR_OK)
		fail_msg("%s%s", err.detail, err.cause);
	assert_int_equal(x->reply.status, status);
	json_t *json = exchange_json(x);
	char *serial = member(json, "serial");
	json_decref(json);
	exchange_done(x);
	return serial;
}

static void a_token_gets_one_certificate_and_repeats_get_the_same(void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.issue.example.net", NULL);
	OWNED_STR(other) = csr_make(NULL, "n2.issue.example.net", NULL);
	(void)state;
	make_cluster("issue");
	OWNED_STR(token) = make_token("issue", "{}");
	OWNED_STR(first) = enrol_ok("issue", token, csr, 201);
	struct last_entry last = last_audit();
	assert_string_equal(last.action, "certificate.issue");
	assert_string_equal(last.result, "granted");
	assert_string_equal(last.cluster, "issue");
	assert_true(strncmp(last.actor, "token:", 6) == 0);
	uint64_t audited = audit_count();
	OWNED_STR(again) = enrol_ok("issue", token, csr, 200);
	assert_string_equal(first, again);
	assert_int_equal(audit_count(), audited);
	enrol_refused("issue", token, other, ERR_UNAUTHENTICATED);
}

static void a_spent_token_does_not_answer_for_another_tokens_request(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.spent.example.net", NULL);
	OWNED_STR(other) = csr_make(NULL, "n2.spent.example.net", NULL);
	(void)state;
	make_cluster("spent");
	OWNED_STR(one) = make_token("spent", "{}");
	OWNED_STR(two) = make_token("spent", "{}");
	OWNED_STR(a) = enrol_ok("spent", one, csr, 201);
	OWNED_STR(b) = enrol_ok("spent", two, other, 201);
	enrol_refused("spent", two, csr, ERR_UNAUTHENTICATED);
}

static void a_token_has_as_many_uses_as_it_was_given(void **state)
{
	OWNED_STR(token) = NULL;
	(void)state;
	make_cluster("uses");
	token = make_token("uses", "{\"uses\":2}");
	for (int i = 0; i < 3; i++) {
		OWNED_STR(name) = mem_printf("n%d.uses.example.net", i);
		OWNED_STR(csr) = csr_make(NULL, name, NULL);
		if (i < 2)
			free(enrol_ok("uses", token, csr, 201));
		else
			enrol_refused("uses", token, csr, ERR_UNAUTHENTICATED);
	}
}

#define NODES 24

struct node {
	pthread_t thread;
	const char *token;
	char *csr;
	pthread_barrier_t *start;
	enum err_code code;
};

static void *enrol_node(void *arg)
{
	struct node *node = arg;
	struct err own = {0};
	OWNED_STR(body) = body_make("csr", node->csr, "profile", "peer");
	OWNED_STR(header) = mem_printf("Bearer %s", node->token);
	const struct credentials credentials = {header, {NULL, 0}};
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_issue,
			  .cluster = "fleet",
			  .body = body});
	node->code = authn_identify(x, &credentials, &own);
	pthread_barrier_wait(node->start);
	if (node->code == ERR_OK)
		node->code = handle_certificate_issue(x, &own);
	exchange_done(x);
	return NULL;
}

static void a_fleet_enrols_at_once_with_one_token(void **state)
{
	struct node nodes[NODES];
	pthread_barrier_t start;
	(void)state;
	make_cluster("fleet");
	OWNED_STR(token) = make_token("fleet", "{\"uses\":24}");
	pthread_barrier_init(&start, NULL, NODES);
	for (size_t i = 0; i < NODES; i++) {
		OWNED_STR(name) = mem_printf("n%zu.fleet.example.net", i);
		nodes[i] = (struct node){.token = token,
		    .csr = csr_make(NULL, name, NULL),
		    .start = &start};
		assert_int_equal(pthread_create(&nodes[i].thread, NULL,
				     enrol_node, &nodes[i]), 0);
	}
	for (size_t i = 0; i < NODES; i++) {
		pthread_join(nodes[i].thread, NULL);
		free(nodes[i].csr);
	}
	pthread_barrier_destroy(&start);
	for (size_t i = 0; i < NODES; i++)
		assert_int_equal(nodes[i].code, ERR_OK);
}

static void a_refused_request_leaves_the_tokens_use(void **state)
{
	OWNED_STR(bad) = csr_make(NULL, "n1.elsewhere.example.net", NULL);
	OWNED_STR(good) = csr_make(NULL, "n1.leave.example.net", NULL);
	(void)state;
	make_cluster("leave");
	OWNED_STR(token) = make_token("leave", "{}");
	enrol_refused("leave", token, bad, ERR_POLICY);
	free(enrol_ok("leave", token, good, 201));
}

static void a_token_is_good_for_its_own_cluster_profile_and_address(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.bound.example.net", NULL);
	(void)state;
	make_cluster("bound");
	make_cluster("other");
	OWNED_STR(token) = make_token("bound", "{}");
	enrol_refused("other", token, csr, ERR_NOT_FOUND);
	enrol_refused("none", token, csr, ERR_NOT_FOUND);
	OWNED_STR(server) = make_token("bound", "{\"profiles\":[\"server\"]}");
	enrol_refused("bound", server, csr, ERR_POLICY);
	OWNED_STR(far) = make_token("bound", "{\"from\":[\"192.0.2.0/24\"]}");
	enrol_refused("bound", far, csr, ERR_UNAUTHENTICATED);
	OWNED_STR(near) = make_token("bound", "{\"from\":[\"127.0.0.0/8\"]}");
	free(enrol_ok("bound", near, csr, 201));
}

static void a_token_is_no_use_once_it_is_expired_or_revoked(void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.gone.example.net", NULL);
	(void)state;
	make_cluster("gone");
	OWNED_STR(expired) = make_token("gone", "{\"ttl\":\"1h\"}");
	clock_freeze(clock_now() + 3601);
	enrol_refused("gone", expired, csr, ERR_UNAUTHENTICATED);
	clock_thaw();
	json_t *json = run_ok(&(struct ask){.handler = handle_token_create,
				  .cluster = "gone",
				  .body = "{}"},
	    201);
	OWNED_STR(token) = member(json, "token");
	OWNED_STR(id) = member(json, "id");
	json_decref(json);
	const struct ask revoke = {
	    .handler = handle_token_revoke, .cluster = "gone", .item = id};
	json_decref(run_ok(&revoke, 200));
	json_decref(run_ok(&revoke, 200));
	enrol_refused("gone", token, csr, ERR_UNAUTHENTICATED);
	enrol_refused("gone", "sgt_nonsense", csr, ERR_UNAUTHENTICATED);
}

static struct exchange *waiting(
    const char *cluster, const char *token, const char *body)
{
	OWNED_STR(header) = mem_printf("Bearer %s", token);
	const struct credentials credentials = {header, {NULL, 0}};
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_issue,
			  .cluster = cluster,
			  .body = body});
	assert_ok(authn_identify(x, &credentials, &err));
	assert_ok(authn_may_route(x, &err));
	return x;
}

/* Whether it was revoked, has expired, or never was: one answer. */
static void a_token_that_ends_while_its_request_waits_gets_the_one_answer(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.ended.example.net", NULL);
	OWNED_STR(body) = body_make("csr", csr, "profile", "peer");
	(void)state;
	make_cluster("ended");
	OWNED_STR(expiring) = make_token("ended", "{\"ttl\":\"1h\"}");
	struct exchange *x = waiting("ended", expiring, body);
	clock_freeze(clock_now() + 3601);
	assert_refused(handle_certificate_issue(x, &err), ERR_UNAUTHENTICATED,
	    "the credentials are not accepted");
	clock_thaw();
	exchange_done(x);
	json_t *json = run_ok(&(struct ask){.handler = handle_token_create,
				  .cluster = "ended",
				  .body = "{}"},
	    201);
	OWNED_STR(token) = member(json, "token");
	OWNED_STR(id) = member(json, "id");
	json_decref(json);
	x = waiting("ended", token, body);
	json_decref(run_ok(&(struct ask){.handler = handle_token_revoke,
			       .cluster = "ended",
			       .item = id},
	    200));
	assert_refused(handle_certificate_issue(x, &err), ERR_UNAUTHENTICATED,
	    "the credentials are not accepted");
	exchange_done(x);
}

/* ---- Renewal ---- */

static struct certificate *record_of(const char *text)
{
	struct serial serial;
	struct certificate *record = NULL;
	assert_true(serial_parse(text, &serial));
	assert_ok(certificate_get(fixture.app->store, &serial, &record, &err));
	return record;
}

static struct exchange *renew(const struct certificate *held,
    const char *cluster, const char *csr, enum err_code *code_out)
{
	OWNED_STR(body) = body_make("csr", csr, NULL, NULL);
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_renew,
			  .cluster = cluster,
			  .body = body});
	const struct credentials credentials = {
	    NULL, BYTES(held->der, held->der_len)};
	err = (struct err){0};
	*code_out = authn_identify(x, &credentials, &err);
	if (*code_out == ERR_OK)
		*code_out = authn_may_route(x, &err);
	if (*code_out == ERR_OK)
		*code_out = handle_certificate_renew(x, &err);
	return x;
}

static void renew_refused(const struct certificate *held, const char *cluster,
    const char *csr, enum err_code want)
{
	enum err_code code;
	exchange_done(renew(held, cluster, csr, &code));
	if (code != want)
		fail_msg("%s: %s%s", err_slug(code), err.detail, err.cause);
}

static void renew_ok(const struct certificate *held, const char *csr)
{
	enum err_code code;
	struct exchange *x = renew(held, held->cluster, csr, &code);
	if (code != ERR_OK)
		fail_msg("%s%s", err.detail, err.cause);
	assert_int_equal(x->reply.status, 201);
	json_t *json = exchange_json(x);
	OWNED_STR(serial) = member(json, "serial");
	OWNED(certificate) fresh = record_of(serial);
	assert_true(names_equal(fresh->names, held->names));
	assert_int_equal(fresh->roles, ROLE_NODE);
	json_decref(json);
	exchange_done(x);
}

static void a_certificate_renews_its_own_names_and_no_others(void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.renew.example.net", NULL);
	OWNED_STR(same) = csr_make(NULL, "n1.renew.example.net", NULL);
	OWNED_STR(nameless) = csr_make(NULL, NULL, NULL);
	OWNED_STR(wider) = csr_make(NULL, "n2.renew.example.net", NULL);
	(void)state;
	make_cluster("renew");
	OWNED_STR(token) = make_token("renew", "{}");
	OWNED_STR(serial) = enrol_ok("renew", token, csr, 201);
	OWNED(certificate) held = record_of(serial);
	renew_ok(held, same);
	renew_ok(held, nameless);
	renew_refused(held, "renew", wider, ERR_POLICY);
	renew_refused(held, "other", same, ERR_NOT_FOUND);
}

static void a_certificate_that_is_revoked_expired_or_changed_renews_nothing(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.stale.example.net", NULL);
	OWNED_STR(next) = csr_make(NULL, NULL, NULL);
	(void)state;
	make_cluster("stale");
	OWNED_STR(token) = make_token("stale", "{}");
	OWNED_STR(serial) = enrol_ok("stale", token, csr, 201);
	OWNED(certificate) held = record_of(serial);
	held->der[held->der_len - 1] ^= 1;
	renew_refused(held, "stale", next, ERR_UNAUTHENTICATED);
	held->der[held->der_len - 1] ^= 1;
	clock_freeze(held->not_after + 1);
	renew_refused(held, "stale", next, ERR_UNAUTHENTICATED);
	clock_thaw();
	const struct ask revoke = {.handler = handle_certificate_revoke,
	    .item = serial,
	    .body = "{\"reason\":\"keyCompromise\"}"};
	json_decref(run_ok(&revoke, 200));
	renew_refused(held, "stale", next, ERR_UNAUTHENTICATED);
	assert_refused(run_refused(&revoke), ERR_CONFLICT, "already");
}

static void a_certificate_revoked_while_its_request_waits_renews_nothing(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.waits.example.net", NULL);
	OWNED_STR(next) = csr_make(NULL, NULL, NULL);
	(void)state;
	make_cluster("waits");
	OWNED_STR(token) = make_token("waits", "{}");
	OWNED_STR(serial) = enrol_ok("waits", token, csr, 201);
	OWNED(certificate)
	held = record_of(serial);
	OWNED_STR(body) = body_make("csr", next, NULL, NULL);
	struct exchange *x = exchange_make(
	    &fixture, &(struct ask){.handler = handle_certificate_renew,
			  .cluster = "waits",
			  .body = body});
	const struct credentials credentials = {
	    NULL, BYTES(held->der, held->der_len)};
	assert_ok(authn_identify(x, &credentials, &err));
	assert_ok(authn_may_route(x, &err));
	json_decref(run_ok(&(struct ask){.handler = handle_certificate_revoke,
			       .item = serial,
			       .body = "{\"reason\":\"keyCompromise\"}"},
	    200));
	assert_int_equal(
	    handle_certificate_renew(x, &err), ERR_UNAUTHENTICATED);
	exchange_done(x);
}

/* No CRL could tell of it: the root's key is elsewhere. */
static void the_certificate_of_a_ca_is_not_revoked_here(void **state)
{
	struct serial root = {.len = 0};
	(void)state;
	OWNED(issuer_set) issuers = ca_issuers(fixture.app->ca);
	const struct issuer *issuer = issuer_set_find(issuers, "issuing-1");
	const uint8_t *next = issuer->der;
	X509 *certificate = d2i_X509(NULL, &next, (long)issuer->der_len);
	const ASN1_INTEGER *number = X509_get0_serialNumber(certificate);
	assert_true(serial_read(
	    BYTES(ASN1_STRING_get0_data(number),
		(size_t)ASN1_STRING_length(number)), &root));
	OWNED_STR(serial) = serial_format(&root);
	X509_free(certificate);
	assert_refused(run_refused(&(struct ask){
			   .handler = handle_certificate_revoke,
			   .item = serial,
			   .body = "{\"reason\":\"keyCompromise\"}"}),
	    ERR_POLICY, "root");
}

static void an_identity_without_a_cluster_renews_nothing(void **state)
{
	OWNED_STR(csr) = csr_make(NULL, NULL, NULL);
	OWNED_STR(body) = body_make("csr", csr, NULL, NULL);
	const struct ask ask = {.handler = handle_certificate_renew,
	    .cluster = "renew",
	    .body = body};
	(void)state;
	assert_refused(run_refused(&ask), ERR_FORBIDDEN, "mTLS");
}

static void a_retired_cluster_gets_nothing_and_its_certificates_are_revoked(
    void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.retire.example.net", NULL);
	OWNED_STR(next) = csr_make(NULL, NULL, NULL);
	const struct ask retire = {
	    .handler = handle_cluster_retire, .cluster = "retire"};
	(void)state;
	make_cluster("retire");
	json_decref(run_ok(&(struct ask){.handler = handle_key_create,
			       .cluster = "retire",
			       .body = "{\"name\":\"k\"}"},
	    201));
	OWNED_STR(token) = make_token("retire", "{\"uses\":5}");
	OWNED_STR(serial) = enrol_ok("retire", token, csr, 201);
	OWNED(certificate) held = record_of(serial);
	json_decref(run_ok(&retire, 200));
	OWNED(certificate) now = record_of(serial);
	assert_int_equal(now->state, CERTIFICATE_REVOKED);
	assert_int_equal(now->reason, 5);
	enrol_refused("retire", token, csr, ERR_UNAUTHENTICATED);
	renew_refused(held, "retire", next, ERR_UNAUTHENTICATED);
	OWNED_STR(body) = body_make("csr", csr, "profile", "peer");
	const struct ask refused[] = {
	    {handle_certificate_issue, "retire", NULL, NULL, body},
	    {handle_token_create, "retire", NULL, NULL, "{}"},
	    {handle_key_create, "retire", NULL, NULL, "{\"name\":\"l\"}"},
	    {handle_key_datakey, "retire", "k", NULL, "{}"},
	    {handle_key_unwrap, "retire", "k", NULL,
		"{\"ciphertext\":\"signet:v1:x\"}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_refused(run_refused(&refused[i]), ERR_POLICY, "retired");
	uint64_t audited = audit_count();
	json_decref(run_ok(&retire, 200));
	assert_int_equal(audit_count(), audited);
}

/* ---- Keys ---- */

static void a_data_key_is_unwrapped_with_its_context_and_audited(void **state)
{
	(void)state;
	json_t *made = run_ok(&(struct ask){.handler = handle_key_datakey,
				  .cluster = "bodies",
				  .item = "data",
				  .body = "{\"context\":{\"a\":\"b\"}}"},
	    200);
	struct last_entry last = last_audit();
	assert_string_equal(last.action, "key.datakey");
	assert_string_equal(last.object, "key:bodies/data");
	OWNED_STR(ciphertext) = member(made, "ciphertext");
	OWNED_STR(plaintext) = member(made, "plaintext");
	assert_int_equal(strlen(plaintext), 44);
	OWNED_STR(body) = mem_printf(
	    "{\"ciphertext\":\"%s\",\"context\":{\"a\":\"b\"}}", ciphertext);
	json_t *opened = run_ok(&(struct ask){.handler = handle_key_unwrap,
				    .cluster = "bodies",
				    .item = "data",
				    .body = body},
	    200);
	OWNED_STR(again) = member(opened, "plaintext");
	assert_string_equal(plaintext, again);
	last = last_audit();
	assert_string_equal(last.action, "key.unwrap");
	OWNED_STR(wrong) = body_make("ciphertext", ciphertext, NULL, NULL);
	uint64_t audited = audit_count();
	assert_refused(run_refused(&(struct ask){.handler = handle_key_unwrap,
			   .cluster = "bodies",
			   .item = "data",
			   .body = wrong}),
	    ERR_UNWRAP, "");
	assert_int_equal(audit_count(), audited);
	json_decref(made);
	json_decref(opened);
}

static void a_data_key_without_plaintext_has_none(void **state)
{
	(void)state;
	json_t *made = run_ok(&(struct ask){.handler = handle_key_datakey,
				  .cluster = "bodies",
				  .item = "data",
				  .body = "{\"plaintext\":false,\"bits\":512}"},
	    200);
	assert_null(json_object_get(made, "plaintext"));
	assert_non_null(json_object_get(made, "ciphertext"));
	json_decref(made);
}

/* ---- Quarantine ---- */

struct user {
	atomic_bool stop;
	atomic_uint made, refused, other;
};

static void *make_data_keys(void *arg)
{
	struct user *user = arg;
	while (!atomic_load(&user->stop)) {
		struct err own = {0};
		struct exchange *x = exchange_make(&fixture,
		    &(struct ask){.handler = handle_key_datakey,
			.cluster = "ill",
			.item = "k",
			.body = "{}"});
		exchange_as(x, ROLE_KMS, "ill");
		enum err_code code = handle_key_datakey(x, &own);
		if (code == ERR_OK)
			user->made++;
		else if (code == ERR_QUARANTINED)
			user->refused++;
		else
			user->other++;
		exchange_done(x);
	}
	return NULL;
}

struct order {
	bool quarantined, broken;
};

/* In the log, nothing of the cluster is granted between the two. */
static bool check_order(
    const struct audit_entry *entry, const uint8_t head[static 32], void *arg)
{
	struct order *order = arg;
	(void)head;
	if (entry->cluster == NULL || strcmp(entry->cluster, "ill") != 0)
		return true;
	if (strcmp(entry->action, "cluster.quarantine") == 0)
		order->quarantined = true;
	else if (strcmp(entry->action, "cluster.release") == 0)
		order->quarantined = false;
	else if (order->quarantined && strcmp(entry->result, "granted") == 0)
		order->broken = true;
	return true;
}

/* Threads that use a key all the time: none is answered that was not committed
 * before the quarantine. */
static void from_its_quarantine_on_no_key_of_a_cluster_is_used(void **state)
{
	const struct ask quarantine = {.handler = handle_cluster_quarantine,
	    .cluster = "ill",
	    .body = "{\"reason\":\"stolen\"}"};
	struct user user = {0};
	struct order order = {0};
	pthread_t threads[3];
	(void)state;
	make_cluster("ill");
	json_decref(run_ok(&(struct ask){.handler = handle_key_create,
			       .cluster = "ill",
			       .body = "{\"name\":\"k\"}"},
	    201));
	uint64_t from = audit_count();
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    make_data_keys, &user), 0);
	for (unsigned round = 0; round < 5; round++) {
		unsigned made = user.made;
		while (user.made < made + 5)
			sched_yield();
		json_decref(run_ok(&quarantine, 200));
		unsigned refused = user.refused;
		while (user.refused < refused + 5)
			sched_yield();
		json_decref(run_ok(
		    &(struct ask){.handler = handle_cluster_release,
			.cluster = "ill"},
		    200));
	}
	atomic_store(&user.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(user.other, 0);
	assert_ok(audit_read(fixture.app->store, from, UINT32_MAX, check_order,
	    &order, &err));
	assert_false(order.broken);
}

static void a_quarantined_cluster_gets_nothing_and_loses_nothing(void **state)
{
	OWNED_STR(csr) = csr_make(NULL, "n1.sick.example.net", NULL);
	(void)state;
	make_cluster("sick");
	OWNED_STR(token) = make_token("sick", "{\"uses\":1}");
	json_t *shown = run_ok(
	    &(struct ask){.handler = handle_cluster_quarantine,
		.cluster = "sick",
		.body = "{\"reason\":\"stolen\"}"},
	    200);
	assert_non_null(json_object_get(shown, "quarantine"));
	json_decref(shown);
	assert_int_equal(atomic_load(&fixture.app->quarantined), 1);
	enrol_refused("sick", token, csr, ERR_QUARANTINED);
	assert_int_equal(
	    run_refused(&(struct ask){.handler = handle_token_create,
		.cluster = "sick",
		.body = "{}"}),
	    ERR_QUARANTINED);
	shown = run_ok(&(struct ask){.handler = handle_cluster_release,
			   .cluster = "sick",
			   .query = "reason=mended"},
	    200);
	assert_null(json_object_get(shown, "quarantine"));
	json_decref(shown);
	assert_int_equal(atomic_load(&fixture.app->quarantined), 0);
	/* The use of the token was not spent. */
	OWNED_STR(serial) = enrol_ok("sick", token, csr, 201);
}

/* ---- Who may ---- */

static void whoever_brings_nothing_is_anonymous_and_may_see_what_is_public(
    void **state)
{
	const struct credentials nothing = {NULL, {NULL, 0}};
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		struct exchange *x = exchange_make(
		    &fixture, &(struct ask){.handler = route_table[i].handler,
				  .cluster = "bodies",
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
	OWNED_STR(token) = make_token("bodies", "{}");
	enum err_code code;
	(void)state;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (route_table[i].flags & ROUTE_TOKEN)
			continue;
		exchange_done(
		    with_token(&(struct ask){.handler = route_table[i].handler,
				   .cluster = "bodies",
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
				  .cluster = "bodies"});
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
	exchange_as(x, ROLE_OPERATOR, "bodies");
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
	exchange_as(x, ROLE_OPERATOR, "bodies");
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

static void the_audit_log_is_whole_after_all_of_it(void **state)
{
	struct audit_head head;
	(void)state;
	assert_ok(audit_verify(fixture.app->store, &head, &err));
	assert_int_equal(head.sequence, audit_count());
}

static int begin(void **state)
{
	(void)state;
	fixture_begin(&fixture);
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
	    cmocka_unit_test(
		a_body_that_is_wrong_is_refused_by_the_name_of_its_field),
	    cmocka_unit_test(a_request_larger_than_its_bound_is_refused),
	    cmocka_unit_test(
		from_its_quarantine_on_no_key_of_a_cluster_is_used),
	    cmocka_unit_test(
		a_quarantined_cluster_gets_nothing_and_loses_nothing),
	    cmocka_unit_test(a_revocation_needs_a_reason_that_can_be_used),
	    cmocka_unit_test(a_list_refuses_a_limit_or_cursor_that_is_none),
	    cmocka_unit_test(an_object_that_is_none_is_not_found),
	    cmocka_unit_test(a_name_is_taken_once_and_for_all),
	    cmocka_unit_test(a_list_is_read_to_its_end_page_by_page),
	    cmocka_unit_test(a_caller_bound_to_a_cluster_lists_that_one),
	    cmocka_unit_test(
		what_is_anothers_is_answered_as_what_does_not_exist),
	    cmocka_unit_test(a_role_is_granted_whatever_clusters_there_are),
	    cmocka_unit_test(every_read_answers_with_an_object),
	    cmocka_unit_test(
		a_token_gets_one_certificate_and_repeats_get_the_same),
	    cmocka_unit_test(
		a_spent_token_does_not_answer_for_another_tokens_request),
	    cmocka_unit_test(a_token_has_as_many_uses_as_it_was_given),
	    cmocka_unit_test(a_fleet_enrols_at_once_with_one_token),
	    cmocka_unit_test(a_refused_request_leaves_the_tokens_use),
	    cmocka_unit_test(
		a_token_is_good_for_its_own_cluster_profile_and_address),
	    cmocka_unit_test(a_token_is_no_use_once_it_is_expired_or_revoked),
	    cmocka_unit_test(
		a_token_that_ends_while_its_request_waits_gets_the_one_answer),
	    cmocka_unit_test(a_certificate_renews_its_own_names_and_no_others),
	    cmocka_unit_test(
		a_certificate_that_is_revoked_expired_or_changed_renews_nothing),
	    cmocka_unit_test(an_identity_without_a_cluster_renews_nothing),
	    cmocka_unit_test(
		a_certificate_revoked_while_its_request_waits_renews_nothing),
	    cmocka_unit_test(the_certificate_of_a_ca_is_not_revoked_here),
	    cmocka_unit_test(
		a_retired_cluster_gets_nothing_and_its_certificates_are_revoked),
	    cmocka_unit_test(
		a_data_key_is_unwrapped_with_its_context_and_audited),
	    cmocka_unit_test(a_data_key_without_plaintext_has_none),
	    cmocka_unit_test(
		whoever_brings_nothing_is_anonymous_and_may_see_what_is_public),
	    cmocka_unit_test(a_token_is_refused_where_it_does_not_belong),
	    cmocka_unit_test(
		other_schemes_and_other_certificates_authenticate_nobody),
	    cmocka_unit_test(
		a_certificate_of_a_sibling_is_answered_as_one_that_is_not_there),
	    cmocka_unit_test(
		a_refusal_of_a_known_caller_is_audited_up_to_a_rate),
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
