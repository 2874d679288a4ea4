// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what handlers do with keys, and with those of a cluster in
 * quarantine. */
#include "harness.h"
#include "calls.h"
#include <pthread.h>
#include <sched.h>
#include "store/audit.h"

/* ---- Keys ---- */

static void a_data_key_is_unwrapped_with_its_context_and_audited(void **state)
{
	(void)state;
	make_cluster("safe");
	json_decref(run_ok(&(struct ask){.handler = handle_key_create,
			       .cluster = "safe",
			       .body = "{\"name\":\"data\"}"},
	    201));
	json_t *made = run_ok(&(struct ask){.handler = handle_key_datakey,
				  .cluster = "safe",
				  .item = "data",
				  .body = "{\"context\":{\"a\":\"b\"}}"},
	    200);
	struct last_entry last = last_audit();
	assert_string_equal(last.action, "key.datakey");
	assert_string_equal(last.object, "key:safe/data");
	OWNED_STR(ciphertext) = member(made, "ciphertext");
	OWNED_STR(plaintext) = member(made, "plaintext");
	assert_int_equal(strlen(plaintext), 44);
	OWNED_STR(body) = mem_printf(
	    "{\"ciphertext\":\"%s\",\"context\":{\"a\":\"b\"}}", ciphertext);
	json_t *opened = run_ok(&(struct ask){.handler = handle_key_unwrap,
				    .cluster = "safe",
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
			   .cluster = "safe",
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
				  .cluster = "safe",
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
	uint64_t from = audit_end();
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(from_its_quarantine_on_no_key_of_a_cluster_is_used),
	    cmocka_unit_test(a_quarantined_cluster_gets_nothing_and_loses_nothing),
	    cmocka_unit_test(a_data_key_is_unwrapped_with_its_context_and_audited),
	    cmocka_unit_test(a_data_key_without_plaintext_has_none),
	    cmocka_unit_test(the_audit_log_is_whole_after_all_of_it),
	};

	return cmocka_run_group_tests(tests, calls_begin, calls_end);
}
