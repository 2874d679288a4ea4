// SPDX-License-Identifier: Apache-2.0
/* Goal: verification finds whatever was done to the log behind its back. */
#include "fixture.h"

#include <lmdb.h>
#include <stdio.h>

#include "store/key.h"

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

	assert_audits(f->store, 5);
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

	assert_audits(f->store, 3);
	drop(f, 2);
	assert_finds(f, "audit entry 2 is missing");
}

static void verification_finds_a_dropped_first_entry(void **state)
{
	struct fixture *f = *state;

	assert_audits(f->store, 3);
	drop(f, 1);
	assert_finds(f, "audit entry 1 is missing");
}

static void verification_finds_a_dropped_last_entry(void **state)
{
	struct fixture *f = *state;

	assert_audits(f->store, 3);
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

	assert_audits(f->store, 4);
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

	assert_audits(f->store, 3);
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

	assert_audits(f->store, 2);
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

	assert_audits(f->store, 3);
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

	assert_audits(f->store, 3);
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

	assert_audits(f->store, 1);
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

static bool count_entry(const struct audit_entry *entry,
    const uint8_t head[static 32], void *count)
{
	(void)entry;
	(void)head;
	(*(unsigned *)count)++;
	return true;
}

static void reading_a_malformed_entry_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct key two = entry_key(2);
	unsigned count = 0;
	OWNED_BUF(value);
	struct raw raw;

	assert_audits(f->store, 3);
	raw_open(&raw, f);
	raw_get(&raw, raw.audit, key_bytes(&two), &value);
	value.len = 20;
	raw_put(&raw, raw.audit, key_bytes(&two), &value);
	raw_close(&raw);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_int_equal(
	    audit_read(f->store, 1, 10, count_entry, &count, &f->err),
	    ERR_CORRUPT);
	assert_int_equal(count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_log_of_several_pages_verifies),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
