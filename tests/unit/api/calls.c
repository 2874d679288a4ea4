// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include "calls.h"
#include "api/authn.h"
#include "store/audit.h"

struct fixture fixture;
struct err err;

/* Runs the handler as an admin; the exchange is the caller's. */
static struct exchange *run(const struct ask *ask, enum err_code *code_out)
{
	struct exchange *x = exchange_make(&fixture, ask);
	exchange_as(x, ADMIN, NULL);
	err = (struct err){0};
	*code_out = ask->handler(x, &err);
	return x;
}

json_t *run_ok(const struct ask *ask, unsigned status)
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

enum err_code run_refused(const struct ask *ask)
{
	enum err_code code;
	struct exchange *x = run(ask, &code);
	if (code == ERR_OK)
		fail_msg("accepted: %s", ask->body);
	assert_int_equal(x->reply.status, 0);
	exchange_done(x);
	return code;
}

char *member(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	assert_non_null(text);
	return mem_strdup(text);
}

void make_cluster(const char *name)
{
	OWNED_STR(body) = mem_printf("{\"name\":\"%s\",\"policy\":\"etcd\","
				     "\"dns\":[\"*.%s.example.net\"]}",
	    name, name);
	json_decref(run_ok(
	    &(struct ask){.handler = handle_cluster_create, .body = body},
	    201));
}

/* The publisher writes whenever it comes to a revocation: in no test's order. */
static bool is_publishers(const struct audit_entry *entry)
{
	return strcmp(entry->action, "crl.publish") == 0 &&
	       strcmp(entry->actor, "system") == 0;
}

static bool count_entry(
    const struct audit_entry *entry, const uint8_t head[static 32], void *arg)
{
	(void)head;
	if (!is_publishers(entry))
		++*(uint64_t *)arg;
	return true;
}

uint64_t audit_end(void)
{
	struct audit_head head;
	assert_ok(audit_head(fixture.app->store, &head, &err));
	return head.sequence;
}

uint64_t audit_count(void)
{
	uint64_t count = 0, end = audit_end();
	if (end > 0)
		assert_ok(audit_read(fixture.app->store, 1, (size_t)end,
		    count_entry, &count, &err));
	return count;
}

static bool keep_entry(
    const struct audit_entry *entry, const uint8_t head[static 32], void *arg)
{
	struct last_entry *last = arg;
	(void)head;
	if (is_publishers(entry))
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

struct last_entry last_audit(void)
{
	struct last_entry last = {0};
	uint64_t end = audit_end();
	assert_ok(audit_read(fixture.app->store, end > 4 ? end - 4 : 1, 5,
	    keep_entry, &last, &err));
	return last;
}

char *make_token(const char *cluster, const char *body)
{
	json_t *json = run_ok(&(struct ask){.handler = handle_token_create,
				  .cluster = cluster,
				  .body = body},
	    201);
	char *text = member(json, "token");
	json_decref(json);
	return text;
}

struct exchange *with_token(
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

void enrol_refused(
    const char *cluster, const char *token, const char *csr, enum err_code want)
{
	enum err_code code;
	exchange_done(enrol(cluster, token, csr, &code));
	assert_int_equal(code, want);
}

char *enrol_ok(
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

void the_audit_log_is_whole_after_all_of_it(void **state)
{
	struct audit_head head;
	(void)state;
	assert_ok(audit_verify(fixture.app->store, &head, &err));
	assert_true(head.sequence >= audit_count());
}

int calls_begin(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	return 0;
}

int calls_end(void **state)
{
	(void)state;
	fixture_end(&fixture);
	return 0;
}
