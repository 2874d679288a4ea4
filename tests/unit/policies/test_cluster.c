// SPDX-License-Identifier: Apache-2.0
/* Goal: a cluster holds only names that a rule may be built on, is made once,
 * and changes only as it was read. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policies/overlap.h"
#include "store/key.h"

static struct cluster_request request_of(const char *name)
{
	return (struct cluster_request){
	    .name = name, .policy = "etcd", .issuer = "issuing-1"};
}

static void create(struct fixture *fixture, const char *name)
{
	struct cluster_request request = request_of(name);
	OWNED(cluster) cluster = NULL;
	OWNED(batch) batch = batch_new();

	assert_int_equal(
	    cluster_parse(&request, &cluster, &fixture->err), ERR_OK);
	cluster_create(batch, cluster);
	assert_commit(fixture->store, batch);
}

static struct cluster *get(struct fixture *fixture, const char *name)
{
	struct cluster *cluster = NULL;

	if (cluster_get(fixture->store, name, &cluster, &fixture->err) != ERR_OK)
		fail_msg("%s%s", fixture->err.detail, fixture->err.cause);
	return cluster;
}

static void a_good_request_is_a_cluster_in_normal_form(void **state)
{
	static const char *const dns[] = {
	    "DB1.example.net", "*.Orders.example.net", "db1.example.net", "db2"};
	static const char *const ips[] = {"10.1.0.0/16", "10.2.0.1", "FD00::/8"};
	struct cluster_request request = request_of("orders");
	OWNED(cluster) cluster = NULL;
	struct err err;

	(void)state;
	request.dns = dns;
	request.dns_count = ARRAY_LEN(dns);
	request.ips = ips;
	request.ips_count = ARRAY_LEN(ips);
	clock_freeze(NOW);
	assert_int_equal(cluster_parse(&request, &cluster, &err), ERR_OK);
	clock_thaw();
	assert_string_equal(cluster->name, "orders");
	assert_string_equal(cluster->policy, "etcd");
	assert_string_equal(cluster->issuer, "issuing-1");
	assert_int_equal(cluster->state, CLUSTER_ACTIVE);
	assert_int_equal(cluster->created, NOW);
	assert_int_equal(cluster->dns_count, 3);
	assert_string_equal(cluster->dns[0], "db1.example.net");
	assert_string_equal(cluster->dns[1], "*.orders.example.net");
	assert_string_equal(cluster->dns[2], "db2");
	assert_int_equal(cluster->ips_count, 3);
	assert_int_equal(cluster->ips[1].prefix, 32);
}

static void a_name_that_is_no_label_is_refused(void **state)
{
	static const char *const bad[] = {NULL, "", "Orders", "a.b", "a_b", "-a",
	    "a-", "*", "{cluster}", "a b",
	    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cluster_request requests[3] = {request_of(bad[i]),
		    request_of("orders"), request_of("orders")};
		static const char *const words[] = {
		    "name of cluster", "name of policy", "name of issuer"};

		requests[1].policy = bad[i];
		requests[2].issuer = bad[i];
		for (size_t j = 0; j < 3; j++) {
			struct cluster *cluster = NULL;

			assert_refused(
			    cluster_parse(&requests[j], &cluster, &err),
			    ERR_BAD_FIELD, &err, words[j], "a-z");
			assert_null(cluster);
		}
	}
}

static void a_pattern_that_could_cover_too_much_is_refused(void **state)
{
	static const char *const bad[] = {"", "*", "*.", "*.net", "*.*.net",
	    "a.*.net", "db*.example.net", "**.example.net", "example.net.",
	    "a..example.net", "a_b.example.net", "10.0.0.1", "*.0x1",
	    "{cluster}.example.net", "{cluster.dns}", "a b.net", "*example.net"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cluster_request request = request_of("orders");
		OWNED_STR(word) = mem_printf("DNS pattern \"%s\"", bad[i]);
		struct cluster *cluster = NULL;

		request.dns = &bad[i];
		request.dns_count = 1;
		assert_refused(cluster_parse(&request, &cluster, &err),
		    ERR_BAD_FIELD, &err, word, "*.orders.example.net");
	}
}

static void a_range_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {"", "10.0.0.1/8", "10.0.0.0/33",
	    "fd00::/129", "10.0.0", "db1.example.net", "10.0.0.0/", "*"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cluster_request request = request_of("orders");
		OWNED_STR(word) = mem_printf("IP range \"%s\"", bad[i]);
		struct cluster *cluster = NULL;

		request.ips = &bad[i];
		request.ips_count = 1;
		assert_refused(cluster_parse(&request, &cluster, &err),
		    ERR_BAD_FIELD, &err, word, "10.1.0.0/16");
	}
}

static void patterns_and_ranges_are_at_most_64(void **state)
{
	const char *dns[CLUSTER_PATTERNS_MAX + 1];
	const char *ips[CLUSTER_PATTERNS_MAX + 1];
	struct err err;

	(void)state;
	for (size_t i = 0; i <= CLUSTER_PATTERNS_MAX; i++) {
		dns[i] = "db1.example.net";
		ips[i] = "10.1.0.1";
	}
	for (size_t extra = 0; extra < 4; extra++) {
		struct cluster_request request = request_of("orders");
		OWNED(cluster) cluster = NULL;

		request.dns = dns;
		request.dns_count = CLUSTER_PATTERNS_MAX + (extra & 1);
		request.ips = ips;
		request.ips_count = CLUSTER_PATTERNS_MAX + (extra >> 1);
		if (extra == 0)
			assert_int_equal(
			    cluster_parse(&request, &cluster, &err), ERR_OK);
		else
			assert_refused(cluster_parse(&request, &cluster, &err),
			    ERR_BAD_FIELD, &err, "at most 64");
	}
}

static void a_created_cluster_is_read_back(void **state)
{
	struct fixture *fixture = *state;
	OWNED(cluster) cluster = orders("etcd");
	OWNED(cluster) read = NULL;
	OWNED(batch) batch = batch_new();

	cluster_create(batch, cluster);
	assert_commit(fixture->store, batch);
	read = get(fixture, "orders");
	assert_string_equal(read->policy, "etcd");
	assert_string_equal(read->issuer, "issuing-1");
	assert_int_equal(read->state, CLUSTER_ACTIVE);
	assert_int_equal(read->created, cluster->created);
	assert_int_equal(read->dns_count, 2);
	assert_string_equal(read->dns[1], "*.orders.example.net");
	assert_int_equal(read->ips_count, 2);
	assert_memory_equal(
	    read->ips, cluster->ips, 2 * sizeof(*read->ips));
	assert_int_equal(read->revision, 1);
}

static void a_name_is_taken_once_and_for_all(void **state)
{
	struct fixture *fixture = *state;
	OWNED(cluster) again = orders("etcd");
	OWNED(cluster) read = NULL;
	OWNED(batch) second = batch_new();
	OWNED(batch) retire = batch_new();
	OWNED(batch) third = batch_new();

	create(fixture, "orders");
	cluster_create(second, again);
	assert_int_equal(store_commit(fixture->store, second, &fixture->err),
	    ERR_CONFLICT);
	read = get(fixture, "orders");
	cluster_retire(retire, read);
	assert_commit(fixture->store, retire);
	cluster_create(third, again);
	assert_int_equal(store_commit(fixture->store, third, &fixture->err),
	    ERR_CONFLICT);
}

static void a_cluster_is_retired_as_it_was_read(void **state)
{
	struct fixture *fixture = *state;
	OWNED(cluster) read = NULL;
	OWNED(cluster) retired = NULL;
	OWNED(batch) first = batch_new();
	OWNED(batch) late = batch_new();
	OWNED(batch) depends = batch_new();

	create(fixture, "orders");
	read = get(fixture, "orders");
	cluster_retire(first, read);
	cluster_retire(late, read);
	assert_commit(fixture->store, first);
	assert_int_equal(
	    store_commit(fixture->store, late, &fixture->err), ERR_CONFLICT);
	retired = get(fixture, "orders");
	assert_int_equal(retired->state, CLUSTER_RETIRED);
	assert_int_equal(retired->revision, 2);
	/* What depends on the cluster as it was comes too late as well. */
	cluster_require(depends, read);
	batch_put(depends, TABLE_META, BYTES_STR("x"), BYTES_STR("y"));
	assert_int_equal(
	    store_commit(fixture->store, depends, &fixture->err), ERR_CONFLICT);
}

static void a_cluster_that_is_not_there_is_named(void **state)
{
	static const char *const absent[] = {"billing", "", "Orders", "a/b"};
	struct fixture *fixture = *state;
	struct cluster *cluster = NULL;
	OWNED_BUF(huge);

	create(fixture, "orders");
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		OWNED_STR(word) =
		    mem_printf("there is no cluster \"%s\"", absent[i]);

		assert_refused(cluster_get(fixture->store, absent[i], &cluster,
				   &fixture->err),
		    ERR_NOT_FOUND, &fixture->err, word);
	}
	/* Longer than any key of the store. */
	memset(buf_extend(&huge, 4096), 'a', 4096);
	buf_put_u8(&huge, 0);
	assert_refused(cluster_get(fixture->store, (const char *)huge.data,
			   &cluster, &fixture->err),
	    ERR_NOT_FOUND, &fixture->err, "aaa...");
	assert_null(cluster);
}

static void a_record_that_cannot_be_read_is_a_fault(void **state)
{
	struct fixture *fixture = *state;
	OWNED(batch) batch = batch_new();
	struct key key = KEY_INIT;
	struct cluster *cluster = NULL, *page[4];
	size_t count = 9;

	create(fixture, "billing");
	key_add_text(&key, "orders");
	batch_put(batch, TABLE_CLUSTERS, key_bytes(&key), BYTES_STR("\x02x"));
	assert_commit(fixture->store, batch);
	assert_int_equal(cluster_get(fixture->store, "orders", &cluster,
			     &fixture->err), ERR_CORRUPT);
	assert_string_equal(fixture->err.detail, "");
	assert_non_null(strstr(fixture->err.cause, "orders"));
	assert_int_equal(cluster_list(fixture->store, NULL, 4, page, &count,
			     &fixture->err), ERR_CORRUPT);
	assert_int_equal(count, 0); /* and nothing is left to free */
}

static void clusters_are_listed_by_name_in_pages(void **state)
{
	static const char *const names[] = {"a", "a-b", "ab", "b", "c"};
	struct fixture *fixture = *state;
	struct cluster *page[2];
	const char *after = NULL;
	char last[64];
	size_t seen = 0, count;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		create(fixture, names[ARRAY_LEN(names) - 1 - i]);
	do {
		assert_int_equal(cluster_list(fixture->store, after, 2, page,
				     &count, &fixture->err), ERR_OK);
		for (size_t i = 0; i < count; i++) {
			assert_string_equal(page[i]->name, names[seen++]);
			memcpy(last, page[i]->name, strlen(page[i]->name) + 1);
			cluster_free(page[i]);
		}
		after = last;
	} while (count == 2);
	assert_int_equal(seen, ARRAY_LEN(names));
	assert_refused(cluster_list(fixture->store, "A", 2, page, &count,
			   &fixture->err),
	    ERR_BAD_FIELD, &fixture->err, "\"A\"");
}

static void callers_of_a_cluster_come_from_its_ranges_alone(void **state)
{
	static const char *const from[] = {"10.1.0.0/16", "2001:db8::/32"};
	static const char *const bad[] = {"10.1.0.0/16", "10.1.0.1/16"};
	static const struct {
		const char *source;
		bool admitted;
	} cases[] = {{"10.1.2.3", true}, {"10.2.0.1", false},
	    {"2001:db8::7", true}, {"2001:db9::7", false}};
	struct fixture *fixture = *state;
	OWNED(cluster) cluster = NULL;
	OWNED(cluster) again = NULL;
	OWNED(batch) batch = batch_new();
	struct ip ip;

	create(fixture, "orders");
	cluster = get(fixture, "orders");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(ip_parse(cases[i].source, &ip));
		assert_int_equal(cluster_check_source(
		    cluster, &ip, &fixture->err), ERR_OK);
	}
	assert_int_equal(
	    cluster_set_from(cluster, from, 2, &fixture->err), ERR_OK);
	/* What is refused leaves what was. */
	assert_int_equal(cluster_set_from(cluster, bad, 2, &fixture->err),
	    ERR_BAD_FIELD);
	cluster_update(batch, cluster);
	assert_commit(fixture->store, batch);
	again = get(fixture, "orders");
	assert_int_equal(again->from_count, 2);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(ip_parse(cases[i].source, &ip));
		assert_int_equal(cluster_check_source(
		    again, &ip, &fixture->err),
		    cases[i].admitted ? ERR_OK : ERR_FORBIDDEN);
	}
}

static void a_quarantined_cluster_is_not_usable_until_that_is_lifted(
    void **state)
{
	struct fixture *fixture = *state;
	OWNED(cluster) cluster = NULL;
	OWNED(cluster) held = NULL;
	OWNED(batch) batch = batch_new();

	create(fixture, "orders");
	cluster = get(fixture, "orders");
	assert_int_equal(
	    cluster_check_usable(cluster, &fixture->err), ERR_OK);
	clock_freeze(NOW);
	assert_int_equal(cluster_set_quarantine(
	    cluster, "stolen key", &fixture->err), ERR_OK);
	clock_freeze(NOW + 9);
	assert_int_equal(cluster_set_quarantine(
	    cluster, "two stolen keys", &fixture->err), ERR_OK);
	clock_thaw();
	cluster_update(batch, cluster);
	assert_commit(fixture->store, batch);
	held = get(fixture, "orders");
	/* The time is that of the first, the reason the last one's. */
	assert_int_equal(held->quarantined, NOW);
	assert_int_equal(
	    cluster_check_usable(held, &fixture->err), ERR_QUARANTINED);
	assert_non_null(strstr(fixture->err.detail, "two stolen keys"));
	assert_int_equal(
	    cluster_set_quarantine(held, NULL, &fixture->err), ERR_OK);
	assert_int_equal(held->quarantined, 0);
	assert_int_equal(cluster_check_usable(held, &fixture->err), ERR_OK);
}

static void a_reason_is_one_line_of_bounded_length(void **state)
{
	static const char *const bad[] = {"", "a\nb", "a\tb", "\x7f", "\xff",
	    ("a reason that goes on and on until it has more octets than what "
	     "is kept of one...")};
	OWNED(cluster) cluster = orders("etcd");
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cluster_set_quarantine(
		    cluster, bad[i], &err), ERR_BAD_FIELD);
	assert_int_equal(cluster->quarantined, 0);
	assert_int_equal(cluster_set_quarantine(
	    cluster, "Schl\xc3\xbcssel entwendet", &err), ERR_OK);
}

static void patterns_that_have_a_name_in_common_meet(void **state)
{
	static const struct {
		const char *a, *b;
		bool meet;
	} rows[] = {
	    {"*.a.example", "*.a.example", true},
	    {"*.a.example", "db.a.example", true},
	    {"db.a.example", "db.a.example", true},
	    {"*.a.example", "db.b.example", false},
	    {"*.a.example", "x.db.a.example", false},
	    {"*.a.example", "a.example", false},
	    {"*.a.example", "*.db.a.example", false},
	    {"db1.a.example", "db2.a.example", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
		    overlap_dns(rows[i].a, rows[i].b), rows[i].meet);
		assert_int_equal(
		    overlap_dns(rows[i].b, rows[i].a), rows[i].meet);
	}
}

static void ranges_that_have_an_address_in_common_meet(void **state)
{
	static const struct {
		const char *a, *b;
		bool meet;
	} rows[] = {
	    {"10.1.0.0/16", "10.1.2.3", true},
	    {"10.1.0.0/16", "10.0.0.0/8", true},
	    {"10.1.0.0/16", "10.2.0.0/16", false},
	    {"0.0.0.0/0", "::/0", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cidr a, b;
		const char *why;

		assert_true(cidr_parse(rows[i].a, &a, &why));
		assert_true(cidr_parse(rows[i].b, &b, &why));
		assert_int_equal(overlap_ip(&a, &b), rows[i].meet);
		assert_int_equal(overlap_ip(&b, &a), rows[i].meet);
	}
}

static void count_overlap(const char *text, void *arg)
{
	assert_non_null(strstr(text, "*.example.net"));
	++*(size_t *)arg;
}

static void other_active_clusters_alone_are_met_and_no_more_than_asked(
    void **state)
{
	static const char *const dns[] = {"*.example.net"};
	struct fixture *fixture = *state;
	struct cluster_request request = request_of("mine");
	OWNED(cluster) mine = NULL;
	char name[] = "c0";
	size_t found = 0;

	request.dns = dns;
	request.dns_count = 1;
	for (; name[1] < '4'; name[1]++) {
		OWNED(cluster) cluster = NULL;
		OWNED(batch) batch = batch_new();

		request.name = name;
		assert_int_equal(cluster_parse(
				     &request, &cluster, &fixture->err),
		    ERR_OK);
		cluster_create(batch, cluster);
		assert_commit(fixture->store, batch);
	}
	OWNED(cluster) gone = get(fixture, "c0");
	OWNED(batch) batch = batch_new();
	cluster_retire(batch, gone);
	assert_commit(fixture->store, batch);
	request.name = "c1";
	assert_int_equal(
	    cluster_parse(&request, &mine, &fixture->err), ERR_OK);
	assert_int_equal(overlap_find(fixture->store, mine, 9, count_overlap,
			     &found, &fixture->err),
	    ERR_OK);
	assert_int_equal(found, 2);
	found = 0;
	assert_int_equal(overlap_find(fixture->store, mine, 1, count_overlap,
			     &found, &fixture->err),
	    ERR_OK);
	assert_int_equal(found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_that_have_a_name_in_common_meet),
		cmocka_unit_test(ranges_that_have_an_address_in_common_meet),
		TEST_STORE(
		    other_active_clusters_alone_are_met_and_no_more_than_asked),
		cmocka_unit_test(a_good_request_is_a_cluster_in_normal_form),
		cmocka_unit_test(a_name_that_is_no_label_is_refused),
		cmocka_unit_test(a_pattern_that_could_cover_too_much_is_refused),
		cmocka_unit_test(a_range_that_is_none_is_refused),
		cmocka_unit_test(patterns_and_ranges_are_at_most_64),
		TEST_STORE(a_created_cluster_is_read_back),
		TEST_STORE(a_name_is_taken_once_and_for_all),
		TEST_STORE(a_cluster_is_retired_as_it_was_read),
		TEST_STORE(callers_of_a_cluster_come_from_its_ranges_alone),
		TEST_STORE(
		    a_quarantined_cluster_is_not_usable_until_that_is_lifted),
		cmocka_unit_test(a_reason_is_one_line_of_bounded_length),
		TEST_STORE(a_cluster_that_is_not_there_is_named),
		TEST_STORE(a_record_that_cannot_be_read_is_a_fault),
		TEST_STORE(clusters_are_listed_by_name_in_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
