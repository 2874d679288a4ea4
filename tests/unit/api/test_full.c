// SPDX-License-Identifier: Apache-2.0
/* Goal: what cannot be written into the audit log is not done.  The store is
 * filled until not even an entry fits: no certificate, no data key and no change
 * leaves then, and nothing but what is in the log when some room is left. */
#include "harness.h"
#include "fixture.h"
#include "api/authn.h"
#include "base/clock.h"
#include "store/audit.h"

static struct fixture fixture;
static struct err err;

#define MAP_MIB 16
#define FILL_MAX 60000
#define ROUNDS 40

static uint64_t audit_count(void)
{
	struct audit_head head;
	assert_ok(audit_head(fixture.app->store, &head, &err));
	return head.sequence;
}

static struct exchange *run(const struct ask *ask, enum err_code *code_out)
{
	struct exchange *x = exchange_make(&fixture, ask);
	exchange_as(x, ROLE_ALL_HUMAN, NULL);
	err = (struct err){0};
	*code_out = ask->handler(x, &err);
	return x;
}

static void must_run(const struct ask *ask)
{
	enum err_code code;
	exchange_done(run(ask, &code));
	assert_int_equal(code, ERR_OK);
}

/* Adds rows of SIZE octets until none fits. */
static void fill_by(size_t size)
{
	static const uint8_t octets[FILL_MAX];
	static uint64_t row;
	enum err_code code = ERR_OK;
	assert_true(size <= sizeof(octets));
	while (code == ERR_OK) {
		OWNED(batch) batch = batch_new();
		row++;
		batch_put(batch, TABLE_TOKENS_BY_CLUSTER,
		    BYTES(&row, sizeof(row)), BYTES(octets, size));
		code = store_commit(fixture.app->store, batch, &err);
	}
	assert_int_equal(code, ERR_STORE_FULL);
}

/* What is answered must be in the log, and what is not must have no body. */
static bool is_done(const struct ask *ask, unsigned entries)
{
	uint64_t before = audit_count();
	enum err_code code;
	struct exchange *x = run(ask, &code);
	if (code == ERR_OK) {
		assert_true(audit_count() >= before + entries);
	} else {
		if (code != ERR_STORE_FULL)
			fail_msg("%s: %s%s", err_slug(code), err.detail,
			    err.cause);
		assert_null(x->reply.secret);
		assert_int_equal(x->reply.body.len, 0);
		assert_int_equal(x->reply.status, 0);
	}
	exchange_done(x);
	return code == ERR_OK;
}

static const struct ask data_key = {.handler = handle_key_datakey,
    .cluster = "web", .item = "k", .body = "{}"};

static bool make_data_key(void)
{
	return is_done(&data_key, 1);
}

static bool issue(void)
{
	static unsigned number;
	OWNED_STR(name) = mem_printf("n%u.web.example.net", number++);
	OWNED_STR(csr) = csr_make(NULL, name, NULL);
	OWNED_STR(body) = body_make("csr", csr, "profile", "peer");
	return is_done(
	    &(struct ask){.handler = handle_certificate_issue,
		.cluster = "web",
		.body = body},
	    1);
}

static bool quarantine(void)
{
	bool done = is_done(
	    &(struct ask){.handler = handle_cluster_quarantine,
		.cluster = "web",
		.body = "{\"reason\":\"x\"}"},
	    1);
	if (!done)
		assert_int_equal(atomic_load(&fixture.app->quarantined), 0);
	return done;
}

static void while_there_is_room_all_is_done(void **state)
{
	(void)state;
	must_run(&(struct ask){.handler = handle_cluster_create,
	    .body = "{\"name\":\"web\",\"policy\":\"etcd\","
		    "\"dns\":[\"*.web.example.net\"]}"});
	must_run(&(struct ask){.handler = handle_key_create,
	    .cluster = "web",
	    .body = "{\"name\":\"k\"}"});
	assert_true(make_data_key());
	assert_true(issue());
}

static void what_cannot_be_audited_is_not_done(void **state)
{
	unsigned done = 0;
	(void)state;
	fill_by(FILL_MAX);
	fill_by(3000);
	fill_by(100);
	/* Pages that are free again may let one through, which is then in the
	 * log; is_done() tells. */
	for (unsigned i = 0; i < ROUNDS; i++) {
		done += make_data_key();
		if (i % 10 == 0)
			done += issue();
	}
	done += quarantine();
	assert_true(done < ROUNDS / 2);
	/* Reading needs no room. */
	must_run(&(struct ask){.handler = handle_key_show, .cluster = "web",
	    .item = "k"});
	struct audit_head head;
	assert_ok(audit_verify(fixture.app->store, &head, &err));
}

static int begin(void **state)
{
	struct err fault = {0};
	(void)state;
	fixture_begin(&fixture);
	app_close(fixture.app);
	fixture.config->store.map_size_mib = MAP_MIB;
	if (app_open(fixture.config, NULL, NULL, &fixture.app, &fault) != ERR_OK)
		abort();
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
	    cmocka_unit_test(while_there_is_room_all_is_done),
	    cmocka_unit_test(what_cannot_be_audited_is_not_done),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
