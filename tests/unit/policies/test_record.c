// SPDX-License-Identifier: Apache-2.0
/* Goal: records of format version 1 are read for ever, and whatever octets come
 * are read into one sound object with one encoding, or refused.
 * To refresh the golden files see assert_golden in fixture.h: never those named
 * -v1 or -v2, whose octets stand in stores. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "policies/record.h"

static const uint8_t identity_id[IDENTITY_ID_SIZE] = {7, 8, 9};

/* One object of each kind, every part of it in use. */
static void set_exposure(struct cluster *cluster)
{
	static const char *const from[] = {"10.1.0.0/16", "fd00:1::/64"};
	struct err err;

	assert_int_equal(cluster_set_from(cluster, from, 2, &err), ERR_OK);
	assert_int_equal(
	    cluster_set_quarantine(cluster, "stolen key", &err), ERR_OK);
	cluster->quarantined = NOW + 60;
}

static void write_cluster(struct buf *out)
{
	OWNED(cluster) cluster = orders("etcd");

	cluster->created = NOW;
	cluster->state = CLUSTER_RETIRED;
	set_exposure(cluster);
	cluster_write(cluster, out);
}

static struct token sample_token(void)
{
	static char profile_1[] = "peer", profile_2[] = "server";
	static char *profiles[] = {profile_1, profile_2};
	static struct cidr ranges[2];
	static char cluster[] = "orders", creator[] = "serial:01";
	struct token token = {
		.hash = {0xaa, 1, 2, 3, [31] = 0xff},
		.cluster = cluster,
		.profiles = profiles,
		.profiles_count = 2,
		.ranges = ranges,
		.ranges_count = 2,
		.uses = 3,
		.spent = 2,
		.created = NOW,
		.expires = NOW + 3600,
		.revoked = true,
		.creator = creator,
	};

	assert_true(cidr_parse("10.1.0.0/16", &ranges[0], NULL));
	assert_true(cidr_parse("fd00:1::/64", &ranges[1], NULL));
	memcpy(token.id, token.hash, sizeof(token.id));
	return token;
}

static void write_token(struct buf *out)
{
	struct token token = sample_token();

	token_write(&token, out);
}

static void write_identity(struct buf *out)
{
	static char name[] = "Orders app", cluster[] = "orders";
	static char kms[] = "kms", own[] = "release", creator[] = "serial:0102";
	static struct cidr ranges[1];
	char *roles[] = {kms, own};
	struct identity identity = {
		.kind = IDENTITY_CERTIFICATE,
		.name = name,
		.roles = roles,
		.roles_count = ARRAY_LEN(roles),
		.cluster = cluster,
		.ranges = ranges,
		.ranges_count = ARRAY_LEN(ranges),
		.hash = {7, 8, 9, [31] = 1},
		.ttl = 86400,
		.code_expires = NOW + 3600,
		.created = NOW,
		.expires = NOW + 864000,
		.code_used = NOW + 90,
		.enrolled = NOW + 60,
		.revoked = NOW + 120,
		.serial = {1, 2, 3, 4},
		.serial_len = 18,
		.creator = creator,
	};

	assert_true(cidr_parse("10.1.0.0/16", &ranges[0], NULL));
	identity_write(&identity, out);
}

static void write_approval(struct buf *out)
{
	static char name[] = "Rex", action[] = "cluster.retire";
	static char cluster[] = "orders", method[] = "DELETE";
	static char path[] = "/clusters/orders", body[] = "{\"a\":1}";
	static char ann[] = "Ann", bob[] = "Bob", none[] = "", why[] = "in use";
	const struct approval approval = {
		.state = APPROVAL_REJECTED,
		.requester = {1, 2, 3},
		.requester_name = name,
		.action = action,
		.cluster = cluster,
		.method = method,
		.path = path,
		.body = body,
		.digest = {9, 8, 7, [31] = 1},
		.created = NOW,
		.expires = NOW + 3600,
		.ended = NOW + 60,
		.decisions = {{{4}, true, NOW + 30, ann, none},
			{{5}, false, NOW + 60, bob, why}},
		.decisions_count = 2,
	};

	approval_write(&approval, out);
}

static void write_names(struct buf *out)
{
	OWNED(names) names = names_of("CN=db1.example.net",
	    "DNS:db1.example.net", "IP:10.1.0.1", "URI:signet://orders/x");

	names_write(names, out);
}

/* Reads RECORD and writes what was read; false when it was refused. */
typedef bool copy_record(struct bytes record, struct buf *again);

static bool copy_cluster(struct bytes record, struct buf *again)
{
	OWNED(cluster) cluster = NULL;

	if (!cluster_read("orders", record, &cluster))
		return false;
	cluster_write(cluster, again);
	return true;
}

static bool copy_token(struct bytes record, struct buf *again)
{
	struct token sample = sample_token();
	OWNED(token) token = NULL;

	if (!token_read(sample.id, record, &token))
		return false;
	token_write(token, again);
	return true;
}

static bool copy_identity(struct bytes record, struct buf *again)
{
	OWNED(identity) identity = NULL;

	if (!identity_read(identity_id, record, &identity))
		return false;
	identity_write(identity, again);
	return true;
}

static bool copy_approval(struct bytes record, struct buf *again)
{
	OWNED(approval) approval = NULL;

	if (!approval_read(identity_id, record, &approval))
		return false;
	approval_write(approval, again);
	return true;
}

static bool copy_names(struct bytes record, struct buf *again)
{
	struct reader reader = reader_over(record);
	OWNED(names) names = NULL;

	if (!names_read(&reader, &names) || !reader_done(&reader))
		return false;
	names_write(names, again);
	return true;
}

static const struct kind {
	const char *golden;
	void (*write)(struct buf *out);
	copy_record *copy;
} kinds[] = {
	{"cluster-v2.hex", write_cluster, copy_cluster},
	{"token-v1.hex", write_token, copy_token},
	{"identity-v3.hex", write_identity, copy_identity},
	{"approval-v1.hex", write_approval, copy_approval},
	{"names-v1.hex", write_names, copy_names},
};

static void records_are_written_in_their_newest_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		OWNED_STR(hex) = NULL;
		OWNED_BUF(record);
		OWNED_BUF(line);

		kinds[i].write(&record);
		hex = hex_new(record.data, record.len);
		buf_printf(&line, "%s\n", hex);
		assert_golden(kinds[i].golden, buf_bytes(&line));
	}
}

static void read_golden(const char *name, struct buf *record)
{
	OWNED_STR(path) = mem_printf(
	    "%s/tests/unit/policies/golden/%s", SOURCE_DIR, name);
	OWNED_STR(line) = NULL;
	OWNED_BUF(text);
	struct err err;

	assert_int_equal(fs_read(path, 1 << 16, &text, &err), ERR_OK);
	line = buf_to_str(&text);
	line[strcspn(line, "\n")] = '\0';
	assert_true(hex_parse_any(line, 1 << 15, record));
}

/* A cluster of version 1 has the same names, and is exposed as it was. */
static void a_cluster_of_format_version_1_is_read(void **state)
{
	OWNED_BUF(record);
	OWNED_BUF(newest);
	OWNED(cluster) old = NULL;
	OWNED(cluster) same = NULL;
	OWNED_BUF(old_again);
	OWNED_BUF(same_again);

	(void)state;
	read_golden("cluster-v1.hex", &record);
	assert_int_equal(record.data[0], 1);
	assert_true(cluster_read("orders", buf_bytes(&record), &old));
	assert_int_equal(old->state, CLUSTER_RETIRED);
	assert_int_equal(old->created, NOW);
	assert_int_equal(old->from_count, 0);
	assert_int_equal(old->quarantined, 0);
	assert_null(old->quarantine_reason);
	write_cluster(&newest);
	assert_true(cluster_read("orders", buf_bytes(&newest), &same));
	assert_int_equal(cluster_set_from(same, NULL, 0, NULL), ERR_OK);
	assert_int_equal(cluster_set_quarantine(same, NULL, NULL), ERR_OK);
	cluster_write(old, &old_again);
	cluster_write(same, &same_again);
	assert_true(
	    bytes_equal(buf_bytes(&old_again), buf_bytes(&same_again)));
	/* What has no ranges of its own in version 1 ends there. */
	buf_put_u8(&record, 0);
	assert_false(cluster_read("orders", buf_bytes(&record), &old));
}

static void records_of_older_stores_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		OWNED_BUF(record);
		OWNED_BUF(again);

		read_golden(kinds[i].golden, &record);
		assert_true(kinds[i].copy(buf_bytes(&record), &again));
		assert_true(
		    bytes_equal(buf_bytes(&again), buf_bytes(&record)));
	}
}

static void every_prefix_of_a_record_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		OWNED_BUF(record);
		OWNED_BUF(again);

		kinds[i].write(&record);
		for (size_t len = 0; len < record.len; len++) {
			/* A copy of that size, so that a sanitizer sees over-reads. */
			OWNED_BUF(prefix);

			buf_put(&prefix, record.data, len);
			assert_false(
			    kinds[i].copy(buf_bytes(&prefix), &again));
		}
		assert_true(kinds[i].copy(buf_bytes(&record), &again));
		buf_put_u8(&record, 0);
		assert_false(kinds[i].copy(buf_bytes(&record), &again));
	}
}

/* Another object may come of it, but never two records of one object. */
static void a_garbled_record_is_refused_or_another_object(void **state)
{
	uint64_t seed = 20261124;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		OWNED_BUF(good);

		kinds[i].write(&good);
		for (unsigned round = 0; round < 20000; round++) {
			unsigned flips = 1 + random_next(&seed) % 3;
			OWNED_BUF(record);
			OWNED_BUF(again);

			buf_put_bytes(&record, buf_bytes(&good));
			while (flips-- > 0)
				record.data[random_next(&seed) % record.len] ^=
				    (uint8_t)(1u << random_next(&seed) % 8);
			if (kinds[i].copy(buf_bytes(&record), &again))
				assert_true(bytes_equal(buf_bytes(&again),
				    buf_bytes(&record)));
		}
	}
}

static void random_octets_are_refused(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		OWNED_BUF(record);
		OWNED_BUF(again);

		for (unsigned left = random_next(&seed) % 96; left > 0; left--)
			buf_put_u8(&record, (uint8_t)random_next(&seed));
		if (record.len > 0)
			record.data[0] = RECORD_VERSION;
		for (size_t i = 0; i < 3; i++)
			assert_false(
			    kinds[i].copy(buf_bytes(&record), &again));
	}
}

static bool token_survives(const struct token *token)
{
	OWNED(token) read = NULL;
	OWNED_BUF(record);

	token_write(token, &record);
	return token_read(token->id, buf_bytes(&record), &read);
}

static void a_token_beyond_its_bounds_is_refused(void **state)
{
	static char bad[] = "Bad Name", empty[] = "";
	struct token token = sample_token();

	(void)state;
	assert_true(token_survives(&token));
	token.spent = 4;
	assert_false(token_survives(&token));
	token = sample_token();
	token.uses = token.spent = 0;
	assert_false(token_survives(&token));
	token = sample_token();
	token.uses = TOKEN_USES_MAX + 1;
	assert_false(token_survives(&token));
	token = sample_token();
	token.id[0] ^= 1; /* another's record */
	assert_false(token_survives(&token));
	token = sample_token();
	token.cluster = bad;
	assert_false(token_survives(&token));
	token = sample_token();
	token.ranges[1].prefix = 63; /* a bit beyond the prefix is not set */
	assert_true(token_survives(&token));
	token.ranges[1].prefix = 129;
	assert_false(token_survives(&token));
	token = sample_token();
	token.profiles[1] = empty;
	assert_false(token_survives(&token));
}

static void a_cluster_beyond_its_bounds_is_refused(void **state)
{
	(void)state;
	for (unsigned fault = 0; fault <= 5; fault++) {
		OWNED(cluster) cluster = orders("etcd");
		OWNED(cluster) read = NULL;
		OWNED_BUF(record);
		char *text = fault <= 1 ? cluster->dns[0] : cluster->policy;

		if (fault == 1 || fault == 2)
			text[0] = 'D';
		if (fault == 3)
			cluster->state = (enum cluster_state)3;
		if (fault == 4)
			cluster->issuer[0] = '\0';
		cluster_write(cluster, &record);
		assert_int_equal(cluster_read(fault == 5 ? "Orders" : "orders",
				     buf_bytes(&record), &read), fault == 0);
	}
}

static void an_identity_of_format_version_1_is_read(void **state)
{
	OWNED(identity) identity = NULL;
	OWNED(identity) unbound = NULL;
	OWNED_BUF(old);
	OWNED_BUF(newest);

	(void)state;
	read_golden("identity-v1.hex", &old);
	assert_int_equal(old.data[0], 1);
	assert_true(identity_read(identity_id, buf_bytes(&old), &identity));
	assert_int_equal(identity->kind, IDENTITY_CERTIFICATE);
	assert_string_equal(identity->name, "Ann Admin");
	assert_int_equal(identity->roles_count, 2);
	assert_string_equal(identity->roles[0], "admin");
	assert_string_equal(identity->roles[1], "kms");
	assert_string_equal(identity->cluster, "orders");
	assert_int_equal(identity->serial_len, 18);
	assert_int_equal(identity->enrolled, NOW);
	assert_int_equal(identity->ttl, IDENTITY_TTL_MAX);
	assert_null(identity_fault(identity, NOW + 1));
	/* Written again it is of the newest format, and the same. */
	identity_write(identity, &newest);
	assert_int_equal(newest.data[0], IDENTITY_RECORD_VERSION);
	assert_true(identity_read(identity_id, buf_bytes(&newest), &unbound));
	assert_string_equal(unbound->roles[1], "kms");
	for (size_t len = 0; len < old.len; len++) {
		OWNED(identity) none = NULL;
		OWNED_BUF(prefix);

		buf_put(&prefix, old.data, len);
		assert_false(
		    identity_read(identity_id, buf_bytes(&prefix), &none));
	}
}

/* Its one code was used when it enrolled. */
static void an_identity_of_format_version_2_is_read(void **state)
{
	OWNED(identity) identity = NULL;
	OWNED_BUF(old);

	(void)state;
	read_golden("identity-v2.hex", &old);
	assert_int_equal(old.data[0], 2);
	assert_true(identity_read(identity_id, buf_bytes(&old), &identity));
	assert_string_equal(identity->name, "Orders app");
	assert_int_equal(identity->enrolled, NOW + 60);
	assert_int_equal(identity->code_used, NOW + 60);
	assert_int_equal(identity->revoked, NOW + 120);
	for (size_t len = 0; len < old.len; len++) {
		OWNED(identity) none = NULL;

		assert_false(identity_read(
		    identity_id, BYTES(old.data, len), &none));
	}
}

/* Its role of programs was one of people, whom no cluster bound. */
static void the_first_admin_of_format_version_1_keeps_the_use_of_keys(
    void **state)
{
	OWNED(identity) identity = NULL;
	struct caller caller = {.kind = CALLER_CERTIFICATE};
	const struct object object = {.cluster = "orders"};
	struct err err;
	OWNED_BUF(old);

	(void)state;
	buf_put_u8(&old, 1);
	buf_put_lv_str(&old, "admin");
	buf_put_u32(&old, 0x2f);
	buf_put_lv_str(&old, "");
	buf_put_lv_str(&old, "serial");
	buf_put_i64(&old, NOW);
	assert_true(identity_read(identity_id, buf_bytes(&old), &identity));
	identity_act(identity, NULL, &caller);
	assert_int_equal(caller.roles, ROLE_ALL_HUMAN);
	assert_int_equal(
	    authorize(&caller, PERM_KEY_USE, &object, &err), ERR_OK);
}

static void an_identity_is_read_back_and_listed_in_pages(void **state)
{
	struct fixture *fixture = *state;
	static char name[] = "admin", cluster[] = "orders", creator[] = "";
	static char admin[] = "admin";
	char *roles[] = {admin};
	struct identity identity = {.kind = IDENTITY_CERTIFICATE, .name = name,
	    .roles = roles, .roles_count = 1, .ttl = 60, .created = NOW,
	    .creator = creator};
	OWNED(batch) batch = batch_new();
	OWNED(batch) again = batch_new();
	struct identity *page[4];
	size_t count = 0;

	for (uint8_t i = 1; i <= 3; i++) {
		identity.id[0] = i;
		identity.cluster = i == 2 ? cluster : NULL;
		identity_put(batch, &identity);
	}
	assert_commit(fixture->store, batch);
	identity_put(again, &identity);
	assert_int_equal(store_commit(fixture->store, again, &fixture->err),
	    ERR_CONFLICT);
	assert_int_equal(identity_list(fixture->store, NULL, 2, page, &count,
			     &fixture->err), ERR_OK);
	assert_int_equal(count, 2);
	assert_null(page[0]->cluster);
	assert_string_equal(page[1]->cluster, "orders");
	assert_string_equal(page[1]->name, "admin");
	assert_string_equal(page[1]->roles[0], "admin");
	memcpy(identity.id, page[1]->id, sizeof(identity.id));
	identity_free(page[0]);
	identity_free(page[1]);
	assert_int_equal(identity_list(fixture->store, identity.id, 4, page,
			     &count, &fixture->err), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(page[0]->id[0], 3);
	identity_free(page[0]);
}

static void a_record_of_an_identity_that_cannot_be_read_is_a_fault(void **state)
{
	struct fixture *fixture = *state;
	OWNED(batch) batch = batch_new();
	struct identity *page[4];
	size_t count = 9;
	OWNED_BUF(record);

	write_identity(&record);
	batch_put(batch, TABLE_IDENTITIES, BYTES_OF(identity_id),
	    buf_bytes(&record));
	/* Behind a good one: that is freed again. */
	batch_put(batch, TABLE_IDENTITIES, BYTES_STR("zzzzzzzzzzzzzzzz"),
	    BYTES_STR("\x01"));
	assert_commit(fixture->store, batch);
	assert_int_equal(identity_list(fixture->store, NULL, 4, page, &count,
			     &fixture->err), ERR_CORRUPT);
	assert_int_equal(count, 0);
}

static bool identity_survives(const struct identity *identity)
{
	OWNED(identity) read = NULL;
	OWNED_BUF(record);

	identity_write(identity, &record);
	return identity_read(identity->id, buf_bytes(&record), &read);
}

static void an_identity_beyond_its_bounds_is_refused(void **state)
{
	static char bad[] = "Bad Role", cluster[] = "orders";
	static char odd[] = "Or ders";
	OWNED(identity) good = NULL;
	OWNED_BUF(record);
	struct identity changed;
	char *roles[] = {bad};

	(void)state;
	write_identity(&record);
	assert_true(identity_read(identity_id, buf_bytes(&record), &good));
	assert_true(identity_survives(good));
	changed = *good;
	changed.kind = (enum identity_kind)3;
	assert_false(identity_survives(&changed));
	changed = *good;
	changed.ttl = 0;
	assert_false(identity_survives(&changed));
	changed = *good;
	changed.roles = roles;
	changed.roles_count = 1;
	assert_false(identity_survives(&changed));
	changed = *good;
	changed.cluster = odd;
	assert_false(identity_survives(&changed));
	/* A token that lasts for ever, or is of no cluster. */
	changed = *good;
	changed.kind = IDENTITY_TOKEN;
	changed.ttl = 0;
	changed.cluster = cluster;
	assert_true(identity_survives(&changed));
	changed.expires = 0;
	assert_false(identity_survives(&changed));
	changed.expires = NOW;
	changed.cluster = NULL;
	assert_false(identity_survives(&changed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_written_in_their_newest_format),
		cmocka_unit_test(records_of_older_stores_are_read),
		cmocka_unit_test(a_cluster_of_format_version_1_is_read),
		cmocka_unit_test(every_prefix_of_a_record_is_refused),
		cmocka_unit_test(a_garbled_record_is_refused_or_another_object),
		cmocka_unit_test(random_octets_are_refused),
		cmocka_unit_test(a_token_beyond_its_bounds_is_refused),
		cmocka_unit_test(a_cluster_beyond_its_bounds_is_refused),
		TEST_STORE(an_identity_is_read_back_and_listed_in_pages),
		TEST_STORE(
		    a_record_of_an_identity_that_cannot_be_read_is_a_fault),
		cmocka_unit_test(an_identity_beyond_its_bounds_is_refused),
		cmocka_unit_test(an_identity_of_format_version_1_is_read),
		cmocka_unit_test(an_identity_of_format_version_2_is_read),
		cmocka_unit_test(
		    the_first_admin_of_format_version_1_keeps_the_use_of_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
