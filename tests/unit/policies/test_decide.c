// SPDX-License-Identifier: Apache-2.0
/* Goal: a certificate gets exactly the names, time and usages that its profile
 * gives it, and a refusal says what was refused, by which rule, and what is
 * allowed. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"

#define DAY INT64_C(86400)

/* A question about a certificate of the cluster "orders". */
struct asking {
	struct policy_set *set;
	struct cluster *cluster;
	struct policy_question question;
	struct decision *decision;
	struct err err;
};

static void asking_end(struct asking *asking)
{
	decision_free(asking->decision);
	cluster_free(asking->cluster);
	policy_set_free(asking->set);
}

#define ASKING(name, policy, profile)                                          \
	__attribute__((cleanup(asking_end))) struct asking name =              \
	    asking_about((policy), (profile))
static struct asking asking_about(const char *policy, const char *profile)
{
	struct asking asking = {.set = shipped_policies(),
	    .cluster = orders(policy)};
	struct err err;

	asking.question = (struct policy_question){
		.profile = profile,
		.key_type = KEY_EC_P256,
		.now = NOW,
		.issuer_not_after = NOW + 365 * DAY,
	};
	assert_int_equal(policy_set_get(asking.set, policy,
			     &asking.question.policy, &err), ERR_OK);
	return asking;
}

/* Asks for NAMES, which are freed. */
static enum err_code ask(struct asking *asking, struct names *names)
{
	OWNED(names) owned = names;

	asking->question.cluster = asking->cluster;
	asking->question.names = owned;
	decision_free(asking->decision);
	asking->decision = NULL;
	return policy_decide(
	    &asking->question, &asking->decision, &asking->err);
}

#define assert_accepts(asking, ...)                                            \
	assert_accepted(&(asking), names_of(__VA_ARGS__))
static void assert_accepted(struct asking *asking, struct names *names)
{
	OWNED(names) wanted = names_copy(names);

	if (ask(asking, names) != ERR_OK)
		fail_msg("%s", asking->err.detail);
	assert_true(names_equal(asking->decision->names, wanted));
}

#define assert_refuses(asking, names, ...)                                     \
	do {                                                                   \
		enum err_code got_ = ask(&(asking), (names));                  \
		assert_refused(got_, ERR_POLICY, &(asking).err, __VA_ARGS__);  \
		assert_null((asking).decision);                                \
	} while (0)

static void names_of_the_cluster_are_allowed(void **state)
{
	ASKING(peer, "etcd", "peer");

	(void)state;
	assert_accepts(peer, "DNS:db1.example.net");
	assert_accepts(peer, "DNS:DB1.example.net", "DNS:x.orders.example.net",
	    "IP:10.1.255.255", "IP:fd00:1::9", "URI:signet://orders/etcd/peer",
	    "CN=db1.example.net");
	assert_string_equal(
	    peer.decision->rule, "policy etcd, profile peer");
}

static void a_name_of_another_is_refused_with_what_is_allowed(void **state)
{
	ASKING(peer, "etcd", "peer");

	(void)state;
	assert_int_equal(
	    ask(&peer, names_of("DNS:db1.example.net", "DNS:x.other.net")),
	    ERR_POLICY);
	assert_string_equal(peer.err.detail,
	    "DNS name \"x.other.net\" is not among the names of cluster orders: "
	    "db1.example.net, *.orders.example.net (policy etcd, profile peer)");
	assert_int_equal(
	    ask(&peer, names_of("DNS:db1.example.net", "IP:10.2.0.1")),
	    ERR_POLICY);
	assert_string_equal(peer.err.detail,
	    "IP address \"10.2.0.1\" is not among the names of cluster orders: "
	    "10.1.0.0/16, fd00:1::/64 (policy etcd, profile peer)");
	assert_refuses(peer,
	    names_of("IP:10.1.0.1", "URI:signet://billing/etcd/peer"),
	    "URI \"signet://billing/etcd/peer\"", "signet://orders/etcd/peer");
	assert_refuses(peer, names_of("IP:fd00:1:0:1::1"), "fd00:1:0:1::1");
	assert_refuses(peer,
	    names_of("IP:10.1.0.1", "URI:signet://orders/etcd/peer/x"), "URI");
	assert_refuses(peer,
	    names_of("IP:10.1.0.1", "URI:SIGNET://orders/etcd/peer"), "URI");
}

static void a_star_stands_for_exactly_one_label(void **state)
{
	ASKING(peer, "etcd", "peer");

	(void)state;
	assert_accepts(peer, "DNS:a.orders.example.net");
	assert_refuses(peer, names_of("DNS:orders.example.net"), "DNS name");
	assert_refuses(peer, names_of("DNS:a.b.orders.example.net"), "DNS name");
	assert_refuses(peer, names_of("DNS:xorders.example.net"), "DNS name");
	assert_refuses(peer, names_of("DNS:a.orders.example.net.evil.net"),
	    "DNS name");
	assert_refuses(peer, names_of("DNS:a.db1.example.net"), "DNS name");
}

static void a_wildcard_is_for_profiles_that_say_so(void **state)
{
	ASKING(peer, "etcd", "peer");
	ASKING(tls, "generic-tls", "server");

	(void)state;
	assert_refuses(peer, names_of("DNS:*.orders.example.net"),
	    "wildcard", "profile peer");
	assert_accepts(tls, "DNS:*.orders.example.net");
	assert_refuses(tls, names_of("DNS:*.example.net"), "DNS name");
	assert_refuses(tls, names_of("DNS:*.a.orders.example.net"), "DNS name");
	/* "db1.example.net" is owned, names under it are not. */
	assert_refuses(tls, names_of("DNS:*.db1.example.net"), "DNS name");
}

static void loopback_is_for_profiles_that_say_so(void **state)
{
	ASKING(server, "etcd", "server");
	ASKING(peer, "etcd", "peer");

	(void)state;
	assert_accepts(server, "DNS:localhost", "IP:127.0.0.1", "IP:::1",
	    "DNS:db1.example.net");
	assert_refuses(server, names_of("IP:127.0.0.2"), "127.0.0.1/32");
	assert_refuses(peer, names_of("DNS:localhost"), "DNS name");
	assert_refuses(peer, names_of("IP:127.0.0.1"), "IP address");
}

static void a_host_name_as_common_name_is_one_of_the_sans(void **state)
{
	ASKING(server, "postgresql", "server");

	(void)state;
	assert_accepts(server, "CN=db1.example.net", "DNS:db1.example.net");
	assert_accepts(server, "CN=DB1.Example.net", "DNS:db1.example.net");
	assert_accepts(server, "CN=10.1.0.1", "IP:10.1.0.1");
	assert_refuses(server,
	    names_of("CN=a.orders.example.net", "DNS:db1.example.net"),
	    "common name \"a.orders.example.net\"",
	    "a DNS name of the request, an IP address of the request");
	assert_refuses(server, names_of("CN=10.1.0.2", "IP:10.1.0.1"),
	    "common name");
	assert_refuses(server, names_of("CN=postgres", "DNS:db1.example.net"),
	    "common name");
}

static void a_role_as_common_name_is_an_identifier(void **state)
{
	ASKING(client, "postgresql", "client");

	(void)state;
	assert_accepts(client, "CN=app");
	assert_accepts(client, "CN=_app_2", "URI:signet://orders/postgresql/client");
	assert_accepts(client, "CN=app@orders");
	assert_accepts(client,
	    "CN=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123");
	assert_refuses(client,
	    names_of("CN=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffff"
		     "fffff1234"),
	    "common name", "[a-z_]");
	assert_refuses(client, names_of("CN=app@billing"), "app@billing",
	    "[a-z_][a-z0-9_]*@orders");
	assert_refuses(client, names_of("CN=App"), "common name");
	assert_refuses(client, names_of("CN=2app"), "common name");
	assert_refuses(client, names_of("CN=a-b"), "common name");
	assert_refuses(client, names_of("CN=a.b"), "common name");
	assert_refuses(client, names_of("CN=@orders"), "common name");
	assert_refuses(client, names_of("CN=a@b@orders"), "common name");
	assert_refuses(client, names_of("CN=app", "DNS:db1.example.net"),
	    "DNS name \"db1.example.net\"", "none");
	assert_refuses(client, names_of("CN=app", "IP:10.1.0.1"), "IP address");
}

static void what_shows_a_peer_no_client_can_get(void **state)
{
	ASKING(peer, "etcd", "peer");
	ASKING(client, "etcd", "client");

	(void)state;
	assert_accepts(peer, "CN=etcd-peer@orders", "IP:10.1.0.1");
	assert_refuses(peer, names_of("CN=etcd-peer@billing", "IP:10.1.0.1"),
	    "etcd-peer@orders");
	assert_accepts(client, "CN=app");
	assert_refuses(client, names_of("CN=etcd-peer@orders"), "common name");
	assert_refuses(client,
	    names_of("CN=app", "URI:signet://orders/etcd/peer"), "URI");
}

/* Who may do everything is asked for by a profile, which a token must name. */
static void a_privileged_name_needs_the_profile_made_for_it(void **state)
{
	ASKING(client, "etcd", "client");
	ASKING(root, "etcd", "root");
	ASKING(role, "postgresql", "client");
	ASKING(superuser, "postgresql", "superuser");

	(void)state;
	assert_refuses(client, names_of("CN=root"), "never gives");
	assert_refuses(client, names_of("CN=root@orders"), "never gives");
	assert_accepts(client, "CN=rooty");
	assert_accepts(root, "CN=root");
	assert_accepts(root, "CN=root@orders");
	assert_refuses(root, names_of("CN=app"), "root");
	assert_refuses(role, names_of("CN=postgres"), "never gives");
	assert_refuses(role, names_of("CN=replicator"), "never gives");
	assert_accepts(superuser, "CN=postgres");
	assert_true(policy_wants_named_token(root.question.policy, "root"));
	assert_true(policy_wants_named_token(superuser.question.policy, "superuser"));
	assert_false(policy_wants_named_token(client.question.policy, "client"));
	assert_false(policy_wants_named_token(client.question.policy, "unheard-of"));
}

static void a_literal_common_name_is_itself_alone(void **state)
{
	ASKING(client, "yugabytedb", "client");
	ASKING(standby, "postgresql", "replication");

	(void)state;
	assert_accepts(client, "CN=yugabyte");
	assert_accepts(client, "CN=app@orders");
	assert_refuses(client, names_of("CN=yugabyte2"), "yugabyte");
	assert_refuses(client, names_of("CN=yugabyt"), "yugabyte");
	assert_refuses(client, names_of("CN=postgres"), "yugabyte");
	assert_accepts(standby, "CN=replicator");
	assert_refuses(standby, names_of("CN=postgres"), "replicator");
}

static void names_that_a_profile_requires_must_be_there(void **state)
{
	ASKING(server, "postgresql", "server");
	ASKING(client, "postgresql", "client");
	ASKING(any, "etcd", "client");

	(void)state;
	assert_refuses(server, names_of("URI:signet://orders/postgresql/server"),
	    "a DNS name or an IP address is required");
	assert_refuses(client, names_of("URI:signet://orders/postgresql/client"),
	    "a common name is required");
	assert_refuses(any, names_new(), "no name was asked for");
	assert_accepts(any, "CN=app");
	assert_accepts(any, "URI:signet://orders/etcd/client");
}

static void usages_fit_the_type_of_the_key(void **state)
{
	ASKING(server, "etcd", "server");
	ASKING(client, "etcd", "client");

	(void)state;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->key_usage, USAGE_DIGITAL_SIGNATURE);
	assert_int_equal(server.decision->ext_usage,
	    EKU_SERVER_AUTH | EKU_CLIENT_AUTH);
	server.question.key_type = KEY_RSA_3072;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->key_usage,
	    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT);
	assert_accepts(client, "CN=app");
	assert_int_equal(client.decision->ext_usage, EKU_CLIENT_AUTH);
}

static void the_default_validity_ends_at_its_last_second(void **state)
{
	ASKING(server, "etcd", "server");

	(void)state;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->not_before, NOW - 300);
	assert_int_equal(server.decision->not_after, NOW + 30 * DAY - 1);
}

static void a_validity_is_at_most_the_maximum(void **state)
{
	ASKING(server, "etcd", "server");

	(void)state;
	server.question.ttl = 90 * DAY;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->not_after, NOW + 90 * DAY - 1);
	server.question.ttl = 1;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->not_after, NOW);
	server.question.ttl = 90 * DAY + 1;
	assert_refuses(server, names_of("IP:10.1.0.1"), "maximum 90d");
	server.question.ttl = INT64_MAX;
	assert_refuses(server, names_of("IP:10.1.0.1"), "maximum 90d");
	server.question.ttl = -1;
	assert_refuses(server, names_of("IP:10.1.0.1"), "negative");
	server.question.ttl = INT64_MIN;
	assert_refuses(server, names_of("IP:10.1.0.1"), "negative");
}

static void beyond_the_issuer_a_default_is_cut_and_a_wish_refused(void **state)
{
	ASKING(server, "etcd", "server");

	(void)state;
	server.question.issuer_not_after = NOW + 10 * DAY;
	assert_accepts(server, "IP:10.1.0.1");
	assert_int_equal(server.decision->not_after, NOW + 10 * DAY);
	server.question.ttl = 20 * DAY;
	assert_refuses(server, names_of("IP:10.1.0.1"), "validity of 20d",
	    "beyond the issuer's end");
	/* The last second of the issuer is still its. */
	server.question.ttl = 10 * DAY + 1;
	assert_accepts(server, "IP:10.1.0.1");
	server.question.ttl = 10 * DAY + 2;
	assert_refuses(server, names_of("IP:10.1.0.1"), "beyond the issuer");
	server.question.ttl = 0;
	server.question.issuer_not_after = NOW;
	assert_refuses(server, names_of("IP:10.1.0.1"), "no longer valid");
}

static void a_key_type_that_is_not_listed_is_refused(void **state)
{
	static const char text[] =
	    "version: 1\n"
	    "description: one key type\n"
	    "profiles:\n"
	    "  - {name: one, description: one, key_types: [rsa-4096], "
	    "validity: {default: 1d, maximum: 1d}, "
	    "key_usage: [digital-signature, key-agreement], "
	    "extended_key_usage: [client-auth], names: {ip: [\"{cluster.ip}\"]}}\n";
	struct fixture *fixture = *state;
	OWNED_STR(path) = fs_join(fixture->dir, "one.yaml");
	OWNED(policy) policy = NULL;
	ASKING(one, "etcd", "one");

	assert_int_equal(fs_write(path, 0644, BYTES_STR(text), &fixture->err),
	    ERR_OK);
	assert_int_equal(policy_load(path, &policy, &fixture->err), ERR_OK);
	cluster_free(one.cluster);
	one.cluster = orders("one");
	one.question.policy = policy;
	assert_refuses(one, names_of("IP:10.1.0.1"), "ec-p256", "rsa-4096");
	one.question.key_type = KEY_TYPE_COUNT;
	assert_refuses(one, names_of("IP:10.1.0.1"), "unknown", "rsa-4096");
	one.question.key_type = KEY_RSA_4096;
	assert_accepts(one, "IP:10.1.0.1");
	assert_int_equal(one.decision->key_usage, USAGE_DIGITAL_SIGNATURE);
	assert_int_equal(one.decision->not_before, NOW - 300); /* by default */
	assert_refuses(one, names_of("CN=app", "IP:10.1.0.1"), "none");
	assert_refuses(one, names_of("IP:10.1.0.1", "DNS:db1.example.net"),
	    "DNS name", "none");
}

static void the_cluster_and_the_profile_must_be_right(void **state)
{
	ASKING(server, "etcd", "server");

	(void)state;
	server.question.profile = "admin";
	assert_refuses(server, names_of("IP:10.1.0.1"), "no profile \"admin\"",
	    "policy etcd");
	server.question.profile = "server";
	server.cluster->state = CLUSTER_RETIRED;
	assert_refuses(server, names_of("IP:10.1.0.1"), "orders is retired");
	server.cluster->state = CLUSTER_ACTIVE;
	free(server.cluster->policy);
	server.cluster->policy = mem_strdup("postgresql");
	assert_refuses(server, names_of("IP:10.1.0.1"),
	    "is under policy \"postgresql\"");
}

/* A cluster's name that is no label would be a template's second half. */
static void a_cluster_whose_name_is_no_label_gets_nothing(void **state)
{
	static const char *const names[] = {"", "*", "a.b", "a/b", "{cluster}",
	    "{identifier}", "Orders", "orders@x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ASKING(server, "etcd", "server");

		free(server.cluster->name);
		server.cluster->name = mem_strdup(names[i]);
		assert_refuses(server, names_of("IP:10.1.0.1"),
		    "is not the name of a cluster");
	}
}

/* A cluster with as many and as long patterns as it may have. */
static void long_lists_are_cut_and_the_rule_is_still_told(void **state)
{
	static char texts[CLUSTER_PATTERNS_MAX][256];
	const char *patterns[CLUSTER_PATTERNS_MAX];
	struct cluster_request request = {
	    .name = "orders", .policy = "etcd", .issuer = "i", .dns = patterns,
	    .dns_count = CLUSTER_PATTERNS_MAX};
	struct err err;

	(void)state;
	for (size_t i = 0; i < CLUSTER_PATTERNS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "db%zu.example.net", i);
		patterns[i] = texts[i];
	}
	for (unsigned round = 0; round < 2; round++) {
		ASKING(peer, "etcd", "peer");

		cluster_free(peer.cluster);
		assert_int_equal(
		    cluster_parse(&request, &peer.cluster, &err), ERR_OK);
		assert_refuses(peer, names_of("DNS:x.other.net"), "x.other.net",
		    " (policy etcd, profile peer)",
		    round == 0 ? "db0.example.net, " : ": 64, too long to show (",
		    round == 0 ? " more (" : "");
		assert_true(strlen(peer.err.detail) <
		    sizeof(peer.err.detail) - 1);
		/* A first item that does not fit beside a long name. */
		for (size_t i = 0; i < CLUSTER_PATTERNS_MAX; i++)
			snprintf(texts[i], sizeof(texts[i]),
			    "a%zu-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
			    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
			    "ccccccccccccccccccccccccccccccccccccccccccc."
			    "ddddddddddddddddddddddddddddddddddddddddddd."
			    "eeeeeeeeeeeeeeeeeeeeeee.net", i);
		request.name =
		    "ooooooooooooooooooooooooooooooooooooooooooooooooooooo";
	}
}

/*
 * An oracle that shares no code with the engine: it knows the cluster's names by
 * heart.  Names are made from pieces of the allowed ones, so that many are
 * nearly right and some are right.
 */
static bool oracle_allows(const char *dns)
{
	const char *tail = ".orders.example.net";
	size_t len = strlen(dns), tail_len = strlen(tail);

	if (strcmp(dns, "db1.example.net") == 0)
		return true;
	if (len <= tail_len || strcmp(dns + len - tail_len, tail) != 0)
		return false;
	return strcspn(dns, ".") == len - tail_len && dns[0] != '*';
}

static void make_name(uint64_t *seed, char *text, size_t size)
{
	static const char *const pieces[] = {"db1", "orders", "example", "net",
	    "a", "*", "b-c", "xn--a", "DB1", "orders.example.net",
	    "db1.example.net", "evil"};
	unsigned count = 1 + random_next(seed) % 5;
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < count && used < size; i++) {
		const char *separator = i == 0 ? ""
		    : random_next(seed) % 16 == 0 ? "" : ".";

		used += (size_t)snprintf(text + used, size - used, "%s%s",
		    separator,
		    pieces[random_next(seed) % ARRAY_LEN(pieces)]);
	}
}

static void no_random_name_outside_the_patterns_is_allowed(void **state)
{
	ASKING(peer, "etcd", "peer");
	uint64_t seed = 20261124;
	unsigned allowed = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		struct names *names = names_new();
		char text[128];
		struct err err;
		bool expected;

		make_name(&seed, text, sizeof(text));
		if (names_add(names, NAME_DNS, BYTES_STR(text), &err) !=
		    ERR_OK) {
			names_free(names);
			continue;
		}
		expected = oracle_allows(names->sans[0].text);
		if ((ask(&peer, names) == ERR_OK) != expected)
			fail_msg("%s: oracle says %d", text, expected);
		allowed += expected;
		refused += !expected;
	}
	/* Both sides were tried in earnest. */
	assert_true(allowed > 1000);
	assert_true(refused > 10000);
}

static void no_random_address_outside_the_ranges_is_allowed(void **state)
{
	ASKING(peer, "etcd", "peer");
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct names *names = names_new();
		uint8_t octets[16] = {0xfd, 0, 0, 1};
		bool v6 = random_next(&seed) % 2 == 0;
		struct err err;
		bool expected;

		if (v6) {
			octets[random_next(&seed) % 16] ^=
			    (uint8_t)(1u << random_next(&seed) % 8);
			expected = memcmp(octets, "\xfd\0\0\1\0\0\0\0", 8) == 0;
		} else {
			octets[0] = (uint8_t)(9 + random_next(&seed) % 3);
			octets[1] = (uint8_t)(random_next(&seed) % 3);
			expected = octets[0] == 10 && octets[1] == 1;
		}
		assert_int_equal(names_add_ip(
		    names, BYTES(octets, v6 ? 16 : 4), &err), ERR_OK);
		assert_int_equal(ask(&peer, names) == ERR_OK, expected);
	}
}

/* Whatever an identifier may be, no cluster gets what is another's. */
static void no_two_clusters_can_have_one_bound_name(void **state)
{
	static const char *const clusters[] = {
	    "a", "b", "a-b", "b-a", "a-a", "ab"};
	static const char *const common_names[] = {"a@a", "a@b", "b@a", "a@a-b",
	    "a_b@a", "etcd-peer@a", "etcd-peer@a-b", "a-b@a", "a@a@b", "ab@ab"};
	unsigned matches = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(common_names); i++) {
		unsigned owners = 0;

		for (size_t j = 0; j < ARRAY_LEN(clusters); j++) {
			OWNED_STR(cn) = mem_printf("CN=%s", common_names[i]);
			ASKING(client, "etcd", "client");

			free(client.cluster->name);
			client.cluster->name = mem_strdup(clusters[j]);
			owners += ask(&client, names_of(cn)) == ERR_OK;
		}
		assert_true(owners <= 1);
		matches += owners;
	}
	assert_int_equal(matches, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_cluster_are_allowed),
		cmocka_unit_test(
		    a_name_of_another_is_refused_with_what_is_allowed),
		cmocka_unit_test(a_star_stands_for_exactly_one_label),
		cmocka_unit_test(a_wildcard_is_for_profiles_that_say_so),
		cmocka_unit_test(loopback_is_for_profiles_that_say_so),
		cmocka_unit_test(a_host_name_as_common_name_is_one_of_the_sans),
		cmocka_unit_test(a_role_as_common_name_is_an_identifier),
		cmocka_unit_test(what_shows_a_peer_no_client_can_get),
		cmocka_unit_test(
		    a_privileged_name_needs_the_profile_made_for_it),
		cmocka_unit_test(a_literal_common_name_is_itself_alone),
		cmocka_unit_test(names_that_a_profile_requires_must_be_there),
		cmocka_unit_test(usages_fit_the_type_of_the_key),
		cmocka_unit_test(the_default_validity_ends_at_its_last_second),
		cmocka_unit_test(a_validity_is_at_most_the_maximum),
		cmocka_unit_test(
		    beyond_the_issuer_a_default_is_cut_and_a_wish_refused),
		TEST(a_key_type_that_is_not_listed_is_refused),
		cmocka_unit_test(the_cluster_and_the_profile_must_be_right),
		cmocka_unit_test(a_cluster_whose_name_is_no_label_gets_nothing),
		cmocka_unit_test(long_lists_are_cut_and_the_rule_is_still_told),
		cmocka_unit_test(no_random_name_outside_the_patterns_is_allowed),
		cmocka_unit_test(
		    no_random_address_outside_the_ranges_is_allowed),
		cmocka_unit_test(no_two_clusters_can_have_one_bound_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
