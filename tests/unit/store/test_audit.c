// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <lmdb.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/key.h"
#include "store/ledger.h"

/* ---- entries ---- */

struct seen {
	unsigned count;
	uint64_t sequences[16];
	int64_t times[16];
	char objects[16][32];
	uint8_t leaf[32];
	unsigned stop_at; /* 0: never */
};

static bool see(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->count < ARRAY_LEN(seen->sequences));
	seen->sequences[seen->count] = entry->sequence;
	seen->times[seen->count] = entry->time_ms;
	snprintf(seen->objects[seen->count], sizeof(seen->objects[0]), "%s",
	    entry->object == NULL ? "none" : entry->object);
	memcpy(seen->leaf, leaf, 32);
	return ++seen->count != seen->stop_at;
}

static void assert_read(
    struct fixture *f, uint64_t from, uint64_t count, struct seen *seen)
{
	assert_int_equal(
	    audit_read(f->store, from, count, see, seen, &f->err), ERR_OK);
}

static void add_entries(struct fixture *f, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		char object[16];

		snprintf(object, sizeof(object), "entry %u", i);
		assert_audit(f->store, object);
	}
}

static bool check_every_text(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	(void)leaf;
	*(bool *)arg = true;
	assert_string_equal(entry->action, "certificate.issue");
	assert_string_equal(entry->result, "granted");
	assert_string_equal(entry->actor, "token:4c");
	assert_string_equal(entry->source, "10.0.0.1");
	assert_string_equal(entry->cluster, "orders");
	assert_string_equal(entry->object, "serial:01");
	assert_string_equal(entry->rule, "etcd/peer");
	assert_string_equal(entry->request_id, "4f1c");
	assert_null(entry->detail);
	return true;
}

static void an_entry_is_read_as_it_was_given(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	const struct audit_entry entry = {
	    .sequence = 77, /* ignored, as is the time */
	    .time_ms = 1,
	    .action = "certificate.issue",
	    .result = "granted",
	    .actor = "token:4c",
	    .source = "10.0.0.1",
	    .cluster = "orders",
	    .object = "serial:01",
	    .rule = "etcd/peer",
	    .request_id = "4f1c",
	};
	bool called = false;

	batch_audit(batch, &entry);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(
	    audit_read(f->store, 1, 1, check_every_text, &called, &f->err),
	    ERR_OK);
	assert_true(called);
}

static void hash(uint8_t prefix, const uint8_t *a, size_t a_len,
    const uint8_t *b, size_t b_len, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, &prefix, 1), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, a, a_len), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, b, b_len), 1);
	assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 1);
	EVP_MD_CTX_free(ctx);
}

static void an_empty_log_has_the_hash_of_nothing(void **state)
{
	struct fixture *f = *state;
	struct audit_head head = {9, {9}};
	uint8_t nothing[32];

	assert_int_equal(
	    EVP_Digest("", 0, nothing, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(head.sequence, 0);
	assert_memory_equal(head.hash, nothing, 32);
	assert_int_equal(assert_verifies(f->store), 0);
}

static void what_is_not_utf8_is_written_as_question_marks(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};

	assert_audit(f->store, "a\xc3\xa4\xff\xc3");
	assert_read(f, 1, 1, &seen);
	assert_string_equal(seen.objects[0], "a\xc3\xa4??");
}

static void entries_are_numbered_from_one_in_their_order(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	struct seen seen = {0};

	add_audit(batch, "a");
	add_audit(batch, "b");
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_audit(f->store, "c");
	assert_read(f, 0, 10, &seen);
	assert_int_equal(seen.count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen.sequences[i], i + 1);
	assert_string_equal(seen.objects[0], "a");
	assert_string_equal(seen.objects[1], "b");
	assert_string_equal(seen.objects[2], "c");
}

static void reading_begins_and_ends_where_it_was_told(void **state)
{
	struct fixture *f = *state;
	struct seen two = {0}, stopped = {.stop_at = 1}, beyond = {0};

	add_entries(f, 5);
	assert_read(f, 3, 2, &two);
	assert_int_equal(two.count, 2);
	assert_string_equal(two.objects[0], "entry 3");
	assert_string_equal(two.objects[1], "entry 4");
	assert_read(f, 1, 10, &stopped);
	assert_int_equal(stopped.count, 1);
	assert_read(f, 6, 10, &beyond);
	assert_int_equal(beyond.count, 0);
}

static void the_time_of_entries_never_falls(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};

	clock_freeze(2000);
	assert_audit(f->store, "a");
	clock_freeze(1000);
	assert_audit(f->store, "b");
	fixture_reopen(f);
	assert_audit(f->store, "c");
	clock_freeze(3000);
	assert_audit(f->store, "d");
	clock_thaw();
	assert_read(f, 1, 10, &seen);
	assert_int_equal(seen.times[0], 2000000);
	assert_int_equal(seen.times[1], 2000000);
	assert_int_equal(seen.times[2], 2000000);
	assert_int_equal(seen.times[3], 3000000);
	assert_int_equal(assert_verifies(f->store), 4);
}

static void raw_leaf(struct fixture *f, uint64_t n, uint8_t leaf[32])
{
	OWNED_BUF(record);
	struct key key = KEY_INIT;
	struct ledger_record parsed;
	bool found;

	key_add_u64(&key, n);
	assert_int_equal(store_find(f->store, TABLE_AUDIT, key_bytes(&key),
			     &record, NULL, &found, &f->err),
	    ERR_OK);
	assert_true(found);
	assert_true(ledger_parse(buf_bytes(&record), &parsed));
	hash(0x00, parsed.octets.data, parsed.octets.len, NULL, 0, leaf);
}

/* Whoever holds the log can recompute the head. */
static void the_head_is_the_root_of_the_tree_of_rfc_9162(void **state)
{
	struct fixture *f = *state;
	struct audit_head head;
	uint8_t leaves[3][32], root[32];

	add_entries(f, 3);
	for (uint64_t n = 1; n <= 3; n++)
		raw_leaf(f, n, leaves[n - 1]);
	hash(0x01, leaves[0], 32, leaves[1], 32, root);
	hash(0x01, root, 32, leaves[2], 32, root);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(head.sequence, 3);
	assert_memory_equal(head.hash, root, 32);
}

static bool take_leaf(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	uint8_t(*leaves)[32] = arg;

	memcpy(leaves[entry->sequence - 1], leaf, 32);
	return true;
}

#define PROVEN 35

static void every_entry_is_proven_to_be_in_every_tree(void **state)
{
	struct fixture *f = *state;
	OWNED(hasher) hasher = NULL;
	uint8_t leaves[PROVEN][32], root[32];

	add_entries(f, PROVEN);
	assert_int_equal(hasher_new(&hasher, &f->err), ERR_OK);
	assert_int_equal(
	    audit_read(f->store, 1, PROVEN, take_leaf, leaves, &f->err),
	    ERR_OK);
	for (uint64_t size = 1; size <= PROVEN; size++) {
		assert_int_equal(
		    audit_root(f->store, size, root, &f->err), ERR_OK);
		for (uint64_t n = 1; n <= size; n++) {
			struct merkle_proof proof;
			struct merkle_inclusion claim = {
			    n - 1, size, leaves[n - 1], root};

			assert_int_equal(audit_prove_inclusion(f->store, n,
					     size, &proof, &f->err),
			    ERR_OK);
			assert_true(
			    merkle_check_inclusion(hasher, &claim, &proof));
			claim.leaf = leaves[n % PROVEN];
			assert_false(
			    merkle_check_inclusion(hasher, &claim, &proof));
		}
	}
}

static void every_tree_is_proven_to_go_on_every_smaller_one(void **state)
{
	struct fixture *f = *state;
	OWNED(hasher) hasher = NULL;
	uint8_t roots[PROVEN + 1][32];

	add_entries(f, PROVEN);
	assert_int_equal(hasher_new(&hasher, &f->err), ERR_OK);
	for (uint64_t to = 1; to <= PROVEN; to++) {
		assert_int_equal(
		    audit_root(f->store, to, roots[to], &f->err), ERR_OK);
		for (uint64_t from = 1; from <= to; from++) {
			struct merkle_proof proof;
			struct merkle_consistency claim = {
			    from, to, roots[from], roots[to]};

			assert_int_equal(audit_prove_consistency(f->store,
					     from, to, &proof, &f->err),
			    ERR_OK);
			assert_true(
			    merkle_check_consistency(hasher, &claim, &proof));
			claim.from_root = roots[from == 1 ? to : 1];
			if (to > 1)
				assert_false(merkle_check_consistency(
				    hasher, &claim, &proof));
		}
	}
}

static void nothing_is_proven_of_what_the_log_does_not_hold(void **state)
{
	struct fixture *f = *state;
	struct merkle_proof proof;
	uint8_t root[32];

	add_entries(f, 3);
	assert_int_equal(
	    audit_root(f->store, 4, root, &f->err), ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 0, 3, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 3, 2, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 1, 4, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 0, 3, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 3, 2, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 1, 4, &proof, &f->err),
	    ERR_BAD_FIELD);
}

static uint64_t find_time(struct fixture *f, int64_t time_ms)
{
	uint64_t sequence;

	assert_int_equal(
	    audit_find_time(f->store, time_ms, &sequence, &f->err), ERR_OK);
	return sequence;
}

static void the_first_entry_of_a_time_is_found(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(find_time(f, 0), 1);
	for (int64_t at = 10; at <= 50; at += 10) {
		clock_freeze(at);
		add_entries(f, 3);
	}
	clock_thaw();
	assert_int_equal(find_time(f, 0), 1);
	assert_int_equal(find_time(f, 10000), 1);
	assert_int_equal(find_time(f, 10001), 4);
	assert_int_equal(find_time(f, 30000), 7);
	assert_int_equal(find_time(f, 50001), 16);
}

static void the_tree_goes_on_over_a_reopening(void **state)
{
	struct fixture *f = *state;
	struct audit_head head, verified;

	add_entries(f, 3);
	fixture_reopen(f);
	assert_int_equal(assert_verifies(f->store), 3);
	add_entries(f, 2);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(audit_verify(f->store, &verified, &f->err), ERR_OK);
	assert_int_equal(verified.sequence, 5);
	assert_memory_equal(head.hash, verified.hash, 32);
}

static void a_log_of_several_pages_verifies(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < 4096; j++)
			add_audit(batch, "many");
		assert_int_equal(
		    store_commit(f->store, batch, &f->err), ERR_OK);
		assert_int_equal(assert_verifies(f->store), 4096 * (i + 1));
	}
	assert_audit(f->store, "one more");
	assert_int_equal(assert_verifies(f->store), 3 * 4096 + 1);
}

static void a_refused_batch_leaves_no_entry(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	assert_put(f->store, "a", "1");
	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	add_audit(batch, "refused");
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_CONFLICT);
	assert_int_equal(assert_verifies(f->store), 0);
	assert_audit(f->store, "next");
	assert_int_equal(assert_verifies(f->store), 1);
}

/* ---- tampering, behind the store's back ---- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi audit, meta;
};

static void raw_open(struct raw *raw, struct fixture *f)
{
	fixture_close(f);
	assert_int_equal(mdb_env_create(&raw->env), 0);
	assert_int_equal(mdb_env_set_maxdbs(raw->env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(raw->env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(raw->env, NULL, 0, &raw->txn), 0);
	assert_int_equal(mdb_dbi_open(raw->txn, "audit", 0, &raw->audit), 0);
	assert_int_equal(mdb_dbi_open(raw->txn, "meta", 0, &raw->meta), 0);
}

static void raw_close(struct raw *raw)
{
	assert_int_equal(mdb_txn_commit(raw->txn), 0);
	mdb_env_close(raw->env);
}

static void raw_get(
    struct raw *raw, MDB_dbi dbi, struct bytes key, struct buf *out)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data};
	MDB_val v;

	assert_int_equal(mdb_get(raw->txn, dbi, &k, &v), 0);
	buf_reset(out);
	buf_put(out, v.mv_data, v.mv_size);
}

static void raw_put(
    struct raw *raw, MDB_dbi dbi, struct bytes key, const struct buf *value)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data};
	MDB_val v = {value->len, value->data};

	assert_int_equal(mdb_put(raw->txn, dbi, &k, &v, 0), 0);
}

static void raw_delete(struct raw *raw, MDB_dbi dbi, struct bytes key)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data};

	assert_int_equal(mdb_del(raw->txn, dbi, &k, NULL), 0);
}

static struct key entry_key(uint64_t sequence)
{
	struct key key = KEY_INIT;

	key_add_u64(&key, sequence);
	return key;
}

static void assert_finds(struct fixture *f, const char *what)
{
	struct audit_head head;

	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_int_equal(audit_verify(f->store, &head, &f->err), ERR_CORRUPT);
	assert_contains(f->err.cause, what);
}

/* Every octet, one at a time: revision, entry and hashes. */
static void assert_flips_found(struct fixture *f, uint64_t sequence)
{
	OWNED_STR(place) = mem_printf(
	    "audit entry %llu ", (unsigned long long)sequence);
	struct key key = entry_key(sequence);
	size_t len = 9;

	for (size_t at = 8; at < len; at++) {
		OWNED_BUF(value);
		struct raw raw;

		raw_open(&raw, f);
		raw_get(&raw, raw.audit, key_bytes(&key), &value);
		len = value.len;
		value.data[at] ^= 0x01;
		raw_put(&raw, raw.audit, key_bytes(&key), &value);
		raw_close(&raw);
		assert_finds(f, place);

		value.data[at] ^= 0x01;
		raw_open(&raw, f);
		raw_put(&raw, raw.audit, key_bytes(&key), &value);
		raw_close(&raw);
	}
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}

static void verification_finds_any_flipped_octet(void **state)
{
	struct fixture *f = *state;

	add_entries(f, 5);
	for (uint64_t sequence = 1; sequence <= 5; sequence++)
		assert_flips_found(f, sequence);
	assert_int_equal(assert_verifies(f->store), 5);
}

static void drop(struct fixture *f, uint64_t sequence)
{
	struct key key = entry_key(sequence);
	struct raw raw;

	raw_open(&raw, f);
	raw_delete(&raw, raw.audit, key_bytes(&key));
	raw_close(&raw);
}

static void verification_finds_a_dropped_entry(void **state)
{
	struct fixture *f = *state;

	add_entries(f, 3);
	drop(f, 2);
	assert_finds(f, "audit entry 2 is missing");
}

static void verification_finds_a_dropped_first_entry(void **state)
{
	struct fixture *f = *state;

	add_entries(f, 3);
	drop(f, 1);
	assert_finds(f, "audit entry 1 is missing");
}

static void verification_finds_a_dropped_last_entry(void **state)
{
	struct fixture *f = *state;

	add_entries(f, 3);
	drop(f, 3);
	assert_finds(f, "audit entry 3 is missing");
}

static void verification_finds_swapped_entries(void **state)
{
	struct fixture *f = *state;
	struct key two = entry_key(2), three = entry_key(3);
	OWNED_BUF(second);
	OWNED_BUF(third);
	struct raw raw;

	add_entries(f, 4);
	raw_open(&raw, f);
	raw_get(&raw, raw.audit, key_bytes(&two), &second);
	raw_get(&raw, raw.audit, key_bytes(&three), &third);
	raw_put(&raw, raw.audit, key_bytes(&two), &third);
	raw_put(&raw, raw.audit, key_bytes(&three), &second);
	raw_close(&raw);
	assert_finds(f, "audit entry 2 is out of order");
}

static void verification_finds_an_entry_beyond_the_head(void **state)
{
	struct fixture *f = *state;
	struct key two = entry_key(2), four = entry_key(4);
	OWNED_BUF(value);
	struct raw raw;

	add_entries(f, 3);
	raw_open(&raw, f);
	raw_get(&raw, raw.audit, key_bytes(&two), &value);
	raw_put(&raw, raw.audit, key_bytes(&four), &value);
	raw_close(&raw);
	assert_finds(f, "beyond the head");
}

static void verification_finds_what_stands_before_the_first_entry(void **state)
{
	struct fixture *f = *state;
	struct key one = entry_key(1), zero = entry_key(0);
	OWNED_BUF(value);
	struct raw raw;

	add_entries(f, 2);
	raw_open(&raw, f);
	raw_get(&raw, raw.audit, key_bytes(&one), &value);
	raw_put(&raw, raw.audit, key_bytes(&zero), &value);
	raw_close(&raw);
	assert_finds(f, "audit entry 1 is missing");
}

/* One who sets the head back rightly is caught by checkpoints outside alone. */
static void verification_finds_a_head_that_was_set_back(void **state)
{
	struct fixture *f = *state;
	struct key three = entry_key(3);
	OWNED_BUF(value);
	struct raw raw;

	add_entries(f, 3);
	raw_open(&raw, f);
	raw_delete(&raw, raw.audit, key_bytes(&three));
	raw_get(&raw, raw.meta, BYTES_STR("audit_head"), &value);
	/* Of three entries the head holds the hashes of entry 3 and of 1 and 2
	 * together: the latter is left out here. */
	value.data[8 + 1 + 7] = 2;
	value.len -= 32;
	raw_put(&raw, raw.meta, BYTES_STR("audit_head"), &value);
	raw_close(&raw);
	assert_finds(f, "the head does not match entry 2");
}

static void a_removed_head_is_found_and_nothing_more_is_written(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	struct raw raw;

	add_entries(f, 3);
	raw_open(&raw, f);
	raw_delete(&raw, raw.meta, BYTES_STR("audit_head"));
	raw_close(&raw);
	assert_finds(f, "beyond the head");
	/* It would be numbered 1 again. */
	add_audit(batch, "again");
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_CORRUPT);
	assert_int_equal(put(f->store, "a", "1"), ERR_STORE);
}

static void a_malformed_head_is_corrupt(void **state)
{
	struct fixture *f = *state;
	struct audit_head head;
	OWNED_BUF(value);
	struct raw raw;

	add_entries(f, 1);
	raw_open(&raw, f);
	raw_get(&raw, raw.meta, BYTES_STR("audit_head"), &value);
	value.len--;
	raw_put(&raw, raw.meta, BYTES_STR("audit_head"), &value);
	raw_close(&raw);
	assert_finds(f, "audit head: malformed");
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_CORRUPT);

	value.data[8] = 3;
	raw_open(&raw, f);
	raw_put(&raw, raw.meta, BYTES_STR("audit_head"), &value);
	raw_close(&raw);
	assert_finds(f, "audit head: unknown format");
}

static void reading_a_malformed_entry_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct key two = entry_key(2);
	struct seen seen = {0};
	OWNED_BUF(value);
	struct raw raw;

	add_entries(f, 3);
	raw_open(&raw, f);
	raw_get(&raw, raw.audit, key_bytes(&two), &value);
	value.len = 20;
	raw_put(&raw, raw.audit, key_bytes(&two), &value);
	raw_close(&raw);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_int_equal(
	    audit_read(f->store, 1, 10, see, &seen, &f->err), ERR_CORRUPT);
	assert_int_equal(seen.count, 1);
}

/* ---- records from outside ---- */

static void make_record(struct buf *record)
{
	const struct audit_entry entry = {
	    .action = "a.b", .actor = "system", .detail = "why"};
	OWNED(ledger) ledger = NULL;
	OWNED_BUF(body);
	struct err err;

	ledger_write_body(&body, &entry);
	assert_int_equal(ledger_new(&ledger, &err), ERR_OK);
	ledger_append(ledger, buf_bytes(&body), 1000, record);
}

/* In memory of exactly that length, so that a sanitizer sees each overrun. */
static bool parses(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	struct ledger_record entry;
	bool parsed;

	assert_non_null(exact);
	if (len > 0)
		memcpy(exact, data, len);
	parsed = ledger_parse(BYTES(exact, len), &entry);
	free(exact);
	return parsed;
}

static void a_record_cut_anywhere_is_malformed(void **state)
{
	OWNED_BUF(record);

	(void)state;
	make_record(&record);
	assert_true(parses(record.data, record.len));
	for (size_t len = 0; len < record.len; len++)
		assert_false(parses(record.data, len));
	buf_put_u8(&record, 0);
	assert_false(parses(record.data, record.len));
}

static void a_garbled_record_parses_or_not_but_never_crashes(void **state)
{
	OWNED_BUF(record);
	unsigned refused = 0;
	unsigned seed = 3;

	(void)state;
	make_record(&record);
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = (size_t)rand_r(&seed) % record.len;
		uint8_t before = record.data[at];
		size_t len = (size_t)rand_r(&seed) % (record.len + 1);

		record.data[at] = (uint8_t)rand_r(&seed);
		refused += !parses(record.data, i % 2 ? record.len : len);
		record.data[at] = before;
	}
	assert_true(refused > 0);
	record.data[0] = 1;
	assert_false(parses(record.data, record.len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_entry_is_read_as_it_was_given),
	    TEST(an_empty_log_has_the_hash_of_nothing),
	    TEST(what_is_not_utf8_is_written_as_question_marks),
	    TEST(entries_are_numbered_from_one_in_their_order),
	    TEST(reading_begins_and_ends_where_it_was_told),
	    TEST(the_time_of_entries_never_falls),
	    TEST(the_head_is_the_root_of_the_tree_of_rfc_9162),
	    TEST(every_entry_is_proven_to_be_in_every_tree),
	    TEST(every_tree_is_proven_to_go_on_every_smaller_one),
	    TEST(nothing_is_proven_of_what_the_log_does_not_hold),
	    TEST(the_first_entry_of_a_time_is_found),
	    TEST(the_tree_goes_on_over_a_reopening),
	    TEST(a_log_of_several_pages_verifies),
	    TEST(a_refused_batch_leaves_no_entry),
	    TEST(verification_finds_any_flipped_octet),
	    TEST(verification_finds_a_dropped_entry),
	    TEST(verification_finds_a_dropped_first_entry),
	    TEST(verification_finds_a_dropped_last_entry),
	    TEST(verification_finds_swapped_entries),
	    TEST(verification_finds_an_entry_beyond_the_head),
	    TEST(verification_finds_what_stands_before_the_first_entry),
	    TEST(verification_finds_a_head_that_was_set_back),
	    TEST(a_removed_head_is_found_and_nothing_more_is_written),
	    TEST(a_malformed_head_is_corrupt),
	    TEST(reading_a_malformed_entry_is_an_error),
	    cmocka_unit_test(a_record_cut_anywhere_is_malformed),
	    cmocka_unit_test(a_garbled_record_parses_or_not_but_never_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
