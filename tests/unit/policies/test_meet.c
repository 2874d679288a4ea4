// SPDX-License-Identifier: Apache-2.0
/* Goal: no cluster is made that could have a name which is another's by its own
 * name, nor give another such a one; and all else is made. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "policies/meet.h"

/* One profile; %s: its URIs, its common names, and which of these it excepts. */
static const char format[] =
    "version: 1\n"
    "description: x\n"
    "profiles:\n"
    "  - {name: one, description: x, key_types: [ec-p256], "
    "validity: {default: 1d, maximum: 1d}, "
    "key_usage: [digital-signature], extended_key_usage: [client-auth], "
    "names: {uri: [%s], common_name: [%s], except_common_name: [%s]}}\n";

struct names_of_policy {
	const char *uri, *common_name, *except;
};

static char *policy_text(const struct names_of_policy *names)
{
	return mem_printf(format, names->uri == NULL ? "'x:unused'" : names->uri,
	    names->common_name == NULL ? "unused" : names->common_name,
	    names->except == NULL ? "none" : names->except);
}

static struct policy *parse(const struct names_of_policy *names)
{
	OWNED_STR(text) = policy_text(names);
	struct policy *policy = NULL;
	struct err err = {0};

	if (policy_parse("p.yaml", BYTES_STR(text), &policy, &err) != ERR_OK)
		fail_msg("%s: %s", text, err.detail);
	return policy;
}

static void two_clusters_meet_where_both_could_have_a_name_of_one(void **state)
{
	static const struct {
		struct names_of_policy a;
		const char *name_a;
		struct names_of_policy b;
		const char *name_b;
		const char *met;	/* NULL: they do not meet */
	} rows[] = {
		{{.common_name = "'{cluster}@x'"}, "orders",
		    {.common_name = "'{identifier}@x'"}, "web", "orders@x"},
		/* A name with "-" is no identifier. */
		{{.common_name = "'{cluster}@x'"}, "orders-1",
		    {.common_name = "'{identifier}@x'"}, "web", NULL},
		{{.common_name = "'{cluster}@x'"}, "orders",
		    {.common_name = "'{identifier}@y'"}, "web", NULL},
		{{.common_name = "'{cluster}@x'"}, "orders",
		    {.common_name = "'{identifier}@xy'"}, "web", NULL},
		{{.common_name = "'{cluster}@x'"}, "orders", {.common_name = "'{cluster}@x'"},
		    "web", NULL},
		/* What neither has by its name is anybody's. */
		{{.common_name = "'{identifier}@x', root"}, "orders",
		    {.common_name = "'{identifier}@x', root"}, "web", NULL},
		{{.common_name = "'{identifier}@{cluster}'"}, "orders",
		    {.common_name = "'{identifier}@{cluster}', '{identifier}'"}, "web",
		    NULL},
		{{.common_name = "'{cluster}@{identifier}'"}, "orders",
		    {.common_name = "'{identifier}@{cluster}'"}, "web", "orders@web"},
		{{.common_name = "'{identifier}@{cluster}'"}, "orders",
		    {.common_name = "'a@orders'"}, "web", "a@orders"},
		{{.common_name = "'A@{cluster}'"}, "orders",
		    {.common_name = "'{identifier}@orders'"}, "web", NULL},
		{{.common_name = "'{cluster}@x'"}, "orders",
		    {.common_name = "'{identifier}@x'", .except = "orders"}, "web", NULL},
		{{.uri = "'signet://{cluster}/a'"}, "orders",
		    {.uri = "'signet://{identifier}/a'"}, "web", "signet://orders/a"},
		{{.uri = "'signet://{cluster}/a'"}, "orders",
		    {.uri = "'signet://{identifier}/b'"}, "web", NULL},
		{{.uri = "'signet://{cluster}/{identifier}'"}, "orders",
		    {.uri = "'signet://orders/{identifier}'"}, "web",
		    "signet://orders/NAME"},
		/* A URI is no common name. */
		{{.uri = "'x:{cluster}'"}, "orders", {.common_name = "'x:{identifier}'"}, "web",
		    NULL},
		/* Of any two clusters. */
		{{.common_name = "'{cluster}@x'"}, NULL, {.common_name = "'{identifier}@x'"}, NULL,
		    "NAME@x"},
		{{.common_name = "'{cluster}@x'"}, NULL, {.common_name = "'{cluster}@x'"}, NULL,
		    NULL},
		{{.common_name = "'{cluster}@x'"}, NULL, {.common_name = "'a-b@x'"}, NULL,
		    "a-b@x"},
		{{.common_name = "'{cluster}@x'"}, NULL, {.common_name = "'a_b@x'"}, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		OWNED(policy) a = parse(&rows[i].a);
		OWNED(policy) b = parse(&rows[i].b);
		const struct meet_side one = {a, rows[i].name_a};
		const struct meet_side two = {b, rows[i].name_b};
		OWNED_BUF(text);
		OWNED_BUF(back);
		bool met = meet_find(&one, &two, &text);

		if (met != (rows[i].met != NULL))
			fail_msg("row %zu: %d", i, met);
		assert_int_equal(meet_find(&two, &one, &back), met);
		buf_put_u8(&text, '\0');
		if (met)
			assert_non_null(
			    strstr((const char *)text.data, rows[i].met));
	}
}

/* Under the policies as shipped clusters may have any names. */
static void no_two_clusters_of_the_shipped_policies_meet(void **state)
{
	struct policy_set *set = shipped_policies();

	(void)state;
	for (size_t i = 0; i < policy_set_count(set); i++) {
		for (size_t j = 0; j < policy_set_count(set); j++) {
			const struct meet_side a = {policy_set_at(set, i), NULL};
			const struct meet_side b = {policy_set_at(set, j), NULL};
			OWNED_BUF(text);

			if (meet_find(&a, &b, &text))
				fail_msg("%.*s", (int)text.len,
				    (const char *)text.data);
		}
	}
	policy_set_free(set);
}

static void write_policy(struct fixture *fixture, const char *name,
    const struct names_of_policy *names)
{
	OWNED_STR(path) = fs_join(fixture->dir, name);
	OWNED_STR(text) = policy_text(names);

	assert_int_equal(
	    fs_write(path, 0600, BYTES_STR(text), &fixture->err), ERR_OK);
}

static struct cluster *cluster_of(
    struct fixture *fixture, const char *name, const char *policy)
{
	const struct cluster_request request = {
	    .name = name, .policy = policy, .issuer = "issuing-1"};
	struct cluster *cluster = NULL;

	assert_int_equal(
	    cluster_parse(&request, &cluster, &fixture->err), ERR_OK);
	return cluster;
}

static enum err_code check(struct fixture *fixture,
    const struct policy_set *set, const char *name, const char *policy)
{
	OWNED(cluster) cluster = cluster_of(fixture, name, policy);

	fixture->err = (struct err){0};
	return meet_check(fixture->store, set, cluster, &fixture->err);
}

static void a_cluster_that_would_meet_another_is_refused_on_either_side(
    void **state)
{
	struct fixture *fixture = *state;
	OWNED(policy_set) set = NULL;
	OWNED(cluster) orders = NULL;
	OWNED(batch) make = batch_new();
	OWNED(batch) end = batch_new();

	write_policy(fixture, "own.yaml",
	    &(struct names_of_policy){.common_name = "'{cluster}@x'"});
	write_policy(fixture, "any.yaml",
	    &(struct names_of_policy){.common_name = "'{identifier}@x'"});
	assert_int_equal(
	    policy_set_load(fixture->dir, &set, &fixture->err), ERR_OK);
	assert_int_equal(check(fixture, set, "web", "any"), ERR_OK);
	orders = cluster_of(fixture, "orders", "own");
	cluster_create(make, orders);
	assert_commit(fixture->store, make);
	assert_refused(check(fixture, set, "web", "any"), ERR_POLICY,
	    &fixture->err, "cluster orders", "orders@x");
	assert_int_equal(check(fixture, set, "web", "own"), ERR_OK);
	assert_refused(check(fixture, set, "web", "nosuch"), ERR_POLICY,
	    &fixture->err, "nosuch");
	/* One that was retired has no names any more. */
	orders->revision = 1;
	cluster_retire(end, orders);
	assert_commit(fixture->store, end);
	assert_int_equal(check(fixture, set, "web", "any"), ERR_OK);
	OWNED(cluster) web = cluster_of(fixture, "web", "any");
	OWNED(batch) more = batch_new();
	cluster_create(more, web);
	assert_commit(fixture->store, more);
	assert_refused(check(fixture, set, "sales", "own"), ERR_POLICY,
	    &fixture->err, "cluster web", "sales@x");
	assert_int_equal(check(fixture, set, "sales-1", "own"), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    two_clusters_meet_where_both_could_have_a_name_of_one),
		cmocka_unit_test(no_two_clusters_of_the_shipped_policies_meet),
		TEST_STORE(
		    a_cluster_that_would_meet_another_is_refused_on_either_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
