// SPDX-License-Identifier: Apache-2.0
/* Goal: a store of format 1, whose audit log was a hash chain, is brought up to
 * date when it is opened for writing, or refused with the place when the chain
 * is broken. */
#include "fixture.h"

#include <lmdb.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/backup.h"
#include "store/inside.h"
#include "store/key.h"
#include "store/ledger.h"

#define ENTRIES 6

struct old {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi audit, meta;
	uint8_t head[32];
};

static void old_open(struct old *old, struct fixture *f)
{
	fixture_close(f);
	memset(old, 0, sizeof(*old));
	assert_int_equal(mdb_env_create(&old->env), 0);
	assert_int_equal(mdb_env_set_maxdbs(old->env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(old->env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(old->env, NULL, 0, &old->txn), 0);
	assert_int_equal(mdb_dbi_open(old->txn, "audit", 0, &old->audit), 0);
	assert_int_equal(mdb_dbi_open(old->txn, "meta", 0, &old->meta), 0);
}

static void old_close(struct old *old)
{
	assert_int_equal(mdb_txn_commit(old->txn), 0);
	mdb_env_close(old->env);
}

static void old_put(
    struct old *old, MDB_dbi dbi, struct bytes key, const struct buf *value)
{
	OWNED_BUF(record);

	buf_put_u64(&record, 1); /* revision */
	buf_put_bytes(&record, buf_bytes(value));
	MDB_val k = {key.len, (void *)(uintptr_t)key.data};
	MDB_val v = {record.len, record.data};
	assert_int_equal(mdb_put(old->txn, dbi, &k, &v, 0), 0);
}

static void digest(uint8_t prefix, struct bytes a, struct bytes b,
    uint8_t out[static 32])
{
	OWNED_BUF(all);

	buf_put_u8(&all, prefix);
	buf_put_bytes(&all, a);
	buf_put_bytes(&all, b);
	assert_int_equal(
	    EVP_Digest(all.data, all.len, out, NULL, EVP_sha256(), NULL), 1);
}

/* As the version wrote it that knew the chain alone. */
static void old_entry(struct old *old, uint64_t sequence)
{
	OWNED_STR(object) =
	    mem_printf("entry %llu", (unsigned long long)sequence);
	const struct audit_entry entry = {.action = "a.b", .object = object};
	OWNED_BUF(record);
	struct key key = KEY_INIT;
	uint8_t leaf[32];

	buf_put_u8(&record, 1);
	buf_put_u64(&record, sequence);
	buf_put_i64(&record, (int64_t)sequence * 1000);
	ledger_write_body(&record, &entry);
	digest(0x00, buf_bytes(&record), BYTES(NULL, 0), leaf);
	digest(0x01, BYTES_OF(old->head), BYTES_OF(leaf), old->head);
	buf_put(&record, old->head, 32);
	key_add_u64(&key, sequence);
	old_put(old, old->audit, key_bytes(&key), &record);
}

static void old_end(struct old *old, uint64_t count)
{
	OWNED_BUF(head);
	OWNED_BUF(format);

	buf_put_u8(&format, 1);
	buf_put_u32(&format, 1);
	old_put(old, old->meta, BYTES_STR("format"), &format);
	if (count == 0)
		return;
	buf_put_u8(&head, 1);
	buf_put_u64(&head, count);
	buf_put_i64(&head, (int64_t)count * 1000);
	buf_put(&head, old->head, 32);
	old_put(old, old->meta, BYTES_STR("audit_head"), &head);
}

static void make_old(struct fixture *f, uint64_t count)
{
	struct old old;

	old_open(&old, f);
	for (uint64_t i = 1; i <= count; i++)
		old_entry(&old, i);
	old_end(&old, count);
	old_close(&old);
}

static bool see(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	unsigned *seen = arg;
	char object[32];

	(void)leaf;
	snprintf(object, sizeof(object), "entry %u", ++*seen);
	assert_int_equal(entry->sequence, *seen);
	assert_int_equal(entry->time_ms, *seen * 1000);
	assert_string_equal(entry->object, object);
	return true;
}

static void assert_moved(struct fixture *f)
{
	unsigned seen = 0;

	assert_int_equal(assert_verifies(f->store), ENTRIES);
	assert_int_equal(
	    audit_read(f->store, 1, 100, see, &seen, &f->err), ERR_OK);
	assert_int_equal(seen, ENTRIES);
}

static void a_chained_log_becomes_a_tree_with_the_same_entries(void **state)
{
	struct fixture *f = *state;

	make_old(f, ENTRIES);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_moved(f);
	fixture_reopen(f);
	assert_moved(f);
	assert_audit(f->store, "more");
	assert_int_equal(assert_verifies(f->store), ENTRIES + 1);
}

static void an_empty_log_goes_on_as_a_tree(void **state)
{
	struct fixture *f = *state;

	make_old(f, 0);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_int_equal(assert_verifies(f->store), 0);
	assert_audit(f->store, "first");
	fixture_reopen(f);
	assert_int_equal(assert_verifies(f->store), 1);
}

static void opened_for_reading_an_old_log_says_what_to_do(void **state)
{
	struct fixture *f = *state;
	OWNED(store) store = NULL;
	struct audit_head head;

	make_old(f, ENTRIES);
	store = fixture_open_read_only(f);
	assert_int_equal(audit_head(store, &head, &f->err), ERR_CONFIG);
	assert_contains(f->err.detail, "opening its store for writing");
	assert_int_equal(audit_verify(store, &head, &f->err), ERR_CONFIG);
}

static void a_restored_old_backup_is_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(backup) = mem_printf("%s/data.mdb", f->path);

	make_old(f, ENTRIES);
	free(f->path);
	f->path = fixture_path(f, "restored");
	assert_int_equal(store_restore(backup, f->path, NULL, &f->err), ERR_OK);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_moved(f);
}

static void break_at(struct fixture *f, uint64_t sequence, bool drop)
{
	struct key key = KEY_INIT;
	struct old old;
	OWNED_BUF(copy);
	MDB_val v;

	old_open(&old, f);
	key_add_u64(&key, sequence);
	MDB_val k = {key.len, key.octets};
	if (drop) {
		assert_int_equal(mdb_del(old.txn, old.audit, &k, NULL), 0);
	} else {
		assert_int_equal(mdb_get(old.txn, old.audit, &k, &v), 0);
		buf_put(&copy, v.mv_data, v.mv_size);
		copy.data[copy.len - 40] ^= 1;
		v = (MDB_val){copy.len, copy.data};
		assert_int_equal(mdb_put(old.txn, old.audit, &k, &v, 0), 0);
	}
	old_close(&old);
}

static void a_changed_old_entry_is_named_and_nothing_is_moved(void **state)
{
	struct fixture *f = *state;

	make_old(f, ENTRIES);
	break_at(f, 4, false);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fixture_open(f, 0), ERR_CORRUPT);
		assert_contains(f->err.cause, "audit entry 4 is changed");
	}
}

static void a_dropped_old_entry_is_named(void **state)
{
	struct fixture *f = *state;

	make_old(f, ENTRIES);
	break_at(f, 2, true);
	assert_int_equal(fixture_open(f, 0), ERR_CORRUPT);
	assert_contains(f->err.cause, "audit entry 2 is missing");
}

static void an_old_head_that_was_set_back_is_found(void **state)
{
	struct fixture *f = *state;
	struct old old;

	make_old(f, ENTRIES);
	old_open(&old, f);
	old_end(&old, ENTRIES - 1);
	old_close(&old);
	assert_int_equal(fixture_open(f, 0), ERR_CORRUPT);
	assert_contains(f->err.cause, "the head does not match entry 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_chained_log_becomes_a_tree_with_the_same_entries),
	    TEST(an_empty_log_goes_on_as_a_tree),
	    TEST(opened_for_reading_an_old_log_says_what_to_do),
	    TEST(a_restored_old_backup_is_brought_up_to_date),
	    TEST(a_changed_old_entry_is_named_and_nothing_is_moved),
	    TEST(a_dropped_old_entry_is_named),
	    TEST(an_old_head_that_was_set_back_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
