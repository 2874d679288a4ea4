// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: a token enrols what it is for and a certificate renews what it
 * is, whatever comes twice, late or at once. */
#include "harness.h"
#include "calls.h"
#include <openssl/x509.h>
#include <pthread.h>
#include "api/authn.h"
#include "base/clock.h"

/* ---- Tokens and certificates ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_gets_one_certificate_and_repeats_get_the_same),
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
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};

	return cmocka_run_group_tests(tests, calls_begin, calls_end);
}
