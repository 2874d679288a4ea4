// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: who has the files of a sealed store but not its key learns
 * nothing of what is sealed, and whatever they change, move, roll back, remove
 * or add is found: at once where the row is read, by verifying in any case.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/fs.h"
#include "base/log.h"
#include "raw.h"
#include "sealing.h"

/* Opens and unlocks. */
static void open_sealed(struct fixture *f)
{
	assert_int_equal(fixture_open(f, MAP_SIZE), ERR_OK);
	if (unseal_with(f, 1) != ERR_OK)
		fail_msg("%s%s", f->err.detail, f->err.cause);
}

static int begin_sealed(void **state)
{
	if (fixture_begin_open(state) != 0)
		return -1;
	seal(*state);
	return 0;
}

#define TEST_SEALED(name)                                                      \
	cmocka_unit_test_setup_teardown(name, begin_sealed, fixture_end)

static uint64_t assert_all_fits(struct fixture *f)
{
	uint64_t rows = 0;

	if (store_verify(f->store, &rows, &f->err) != ERR_OK)
		fail_msg("%s%s", f->err.detail, f->err.cause);
	return rows;
}

static void assert_found(struct fixture *f, const char *cause)
{
	uint64_t rows;

	assert_int_equal(store_verify(f->store, &rows, &f->err), ERR_CORRUPT);
	assert_contains(f->err.cause, cause);
}

static enum err_code find(struct fixture *f, const char *key, struct buf *value)
{
	bool found;

	return store_find(f->store, TABLE_CLUSTERS, BYTES_STR(key), value, NULL,
	    &found, &f->err);
}

/* Neither a look nor a walk gives any content. */
static void assert_does_not_open(struct fixture *f, const char *key)
{
	OWNED_BUF(value);
	OWNED(scan) scan = NULL;
	struct bytes k, v;
	bool more;
	enum err_code code;

	assert_int_equal(find(f, key, &value), ERR_CORRUPT);
	assert_int_equal(value.len, 0);
	assert_contains(f->err.cause, "clusters");
	assert_contains(f->err.cause, key);
	assert_string_equal(f->err.detail, "");
	assert_int_equal(scan_open(f->store, TABLE_CLUSTERS, BYTES_STR(key),
			     BYTES(NULL, 0), &scan, &f->err),
	    ERR_OK);
	code = scan_next(scan, &k, &v, &more, &f->err);
	assert_int_equal(code, ERR_CORRUPT);
	assert_int_equal(v.len, 0);
}

static void take(struct fixture *f, const char *key, struct buf *row)
{
	fixture_close(f);
	raw_get(f, "clusters", BYTES_STR(key), row);
	open_sealed(f);
}

static void give(struct fixture *f, const char *key, const struct buf *row)
{
	fixture_close(f);
	raw_put(f, "clusters", BYTES_STR(key), buf_bytes(row));
	open_sealed(f);
}

/* ---- what lies in the files ---- */

static bool file_holds(struct fixture *f, const char *name, const char *text)
{
	OWNED_STR(path) = fs_join(f->path, name);
	OWNED_BUF(content);

	assert_int_equal(fs_read(path, 1 << 26, &content, &f->err), ERR_OK);
	return memmem(content.data, content.len, text, strlen(text)) != NULL;
}

static void what_is_sealed_is_in_no_file(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", CANARY);
	assert_true(file_holds(f, "data.mdb", CANARY));
	seal(f);
	assert_false(file_holds(f, "data.mdb", CANARY));
	assert_put(f->store, "b", CANARY "-b");
	assert_put(f->store, "a", CANARY "-a");
	assert_false(file_holds(f, "data.mdb", CANARY));
	assert_false(file_holds(f, "lock.mdb", CANARY));
	assert_value(f->store, "a", CANARY "-a");
}

static void the_same_value_is_never_stored_the_same_way(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(a);
	OWNED_BUF(b);

	assert_put(f->store, "a", "1");
	take(f, "a", &a);
	assert_put(f->store, "a", "1");
	take(f, "a", &b);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.data + 8, b.data + 8, a.len - 8);
	/* Another process has another salt. */
	assert_memory_not_equal(a.data + 9, b.data + 9, 12);
}

/* ---- what it gives back ---- */

static void a_sealed_store_gives_what_was_put(void **state)
{
	struct fixture *f = *state;
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	bool more;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	assert_put(f->store, "b", "");
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_value(f->store, "b", "");
	assert_absent(f->store, "c");
	assert_int_equal(scan_open(f->store, TABLE_CLUSTERS, BYTES(NULL, 0),
			     BYTES(NULL, 0), &scan, &f->err),
	    ERR_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
		    scan_next(scan, &key, &value, &more, &f->err), ERR_OK);
		assert_true(more);
		assert_true(bytes_equal(value, BYTES_STR(i == 0 ? "2" : "")));
	}
	assert_int_equal(scan_next(scan, &key, &value, &more, &f->err), ERR_OK);
	assert_false(more);
	scan_close(GIVE(scan));
	fixture_close(f);
	open_sealed(f);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_int_equal(assert_all_fits(f), 2);
}

static void sealing_keeps_rows_revisions_and_audit_log(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	for (unsigned i = 0; i < 10; i++)
		assert_audit(f->store, "x");
	seal(f);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_int_equal(assert_verifies(f->store), 10);
	assert_audit(f->store, "y");
	fixture_close(f);
	open_sealed(f);
	assert_int_equal(assert_verifies(f->store), 11);
	assert_put(f->store, "a", "3");
	assert_int_equal(assert_value(f->store, "a", "3"), 3);
	assert_int_equal(assert_all_fits(f), 1);
}

static void sealing_anew_shuts_out_the_old_key(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_int_equal(seal_with(f, 2), ERR_OK);
	assert_put(f->store, "b", "2");
	fixture_close(f);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_int_equal(unseal_with(f, 1), ERR_CORRUPT);
	assert_int_equal(unseal_with(f, 2), ERR_OK);
	assert_value(f->store, "a", "1");
	assert_value(f->store, "b", "2");
	assert_int_equal(assert_all_fits(f), 2);
}

static void the_record_of_the_key_is_read_while_locked(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(record);
	bool sealed = false;

	fixture_reopen(f);
	assert_int_equal(
	    store_seal_record(f->store, &record, &sealed, &f->err), ERR_OK);
	assert_true(sealed);
	assert_true(
	    bytes_equal(buf_bytes(&record), BYTES_STR("how to get it")));
}

static void a_store_that_is_not_sealed_says_so(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(record);
	uint64_t rows;
	bool sealed = true;

	assert_int_equal(
	    store_seal_record(f->store, &record, &sealed, &f->err), ERR_OK);
	assert_false(sealed);
	assert_int_equal(unseal_with(f, 1), ERR_CONFIG);
	assert_int_equal(store_verify(f->store, &rows, &f->err), ERR_CONFIG);
	assert_put(f->store, "a", "1");
}

static void a_locked_store_gives_plain_tables_only_and_takes_nothing(
    void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(value);
	uint64_t rows;

	assert_put(f->store, "a", "1");
	assert_audit(f->store, "x");
	fixture_reopen(f);
	assert_int_equal(find(f, "a", &value), ERR_STORE);
	assert_contains(f->err.cause, "clusters");
	assert_contains(f->err.cause, "without its key");
	assert_int_equal(value.len, 0);
	assert_int_equal(assert_verifies(f->store), 1);
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE);
	assert_int_equal(seal_with(f, 1), ERR_CONFIG);
	assert_int_equal(store_verify(f->store, &rows, &f->err), ERR_CONFIG);
}

static void a_store_opened_for_reading_is_unlocked_but_not_sealed(void **state)
{
	struct fixture *f = *state;
	struct store *writer = f->store;

	assert_put(f->store, "a", "1");
	f->store = fixture_open_read_only(f);
	assert_int_equal(unseal_with(f, 1), ERR_OK);
	assert_value(f->store, "a", "1");
	assert_int_equal(assert_all_fits(f), 1);
	assert_int_equal(seal_with(f, 2), ERR_CONFIG);
	store_close(f->store);
	f->store = writer;
}

/* ---- what is found ---- */

static void a_changed_row_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_put(f->store, "a", "content");
	take(f, "a", &row);
	for (size_t i = 0; i < row.len; i++) {
		row.data[i] ^= 1;
		/* A revision of none is damage of its own. */
		if (i == 7)
			row.data[i] ^= 3;
		give(f, "a", &row);
		assert_does_not_open(f, "a");
		assert_found(f, "clusters");
		row.data[i] ^= i == 7 ? 2 : 1;
	}
	give(f, "a", &row);
	assert_value(f->store, "a", "content");
	assert_all_fits(f);
}

static void a_cut_row_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_put(f->store, "a", "content");
	take(f, "a", &row);
	while (row.len > 8) {
		row.len--;
		give(f, "a", &row);
		assert_does_not_open(f, "a");
	}
}

static void a_row_that_is_not_sealed_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_put(f->store, "a", "content");
	buf_put_u64(&row, 1);
	buf_put_str(&row, "a content that nobody sealed, long enough to be");
	give(f, "a", &row);
	assert_does_not_open(f, "a");
}

static void a_row_moved_to_another_key_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_put(f->store, "a", "1");
	assert_put(f->store, "b", "2");
	take(f, "a", &row);
	give(f, "b", &row);
	assert_does_not_open(f, "b");
	assert_value(f->store, "a", "1");
}

static void a_row_moved_to_another_table_does_not_open(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);
	OWNED_BUF(value);
	bool found;

	assert_put(f->store, "a", "1");
	fixture_close(f);
	raw_get(f, "clusters", BYTES_STR("a"), &row);
	raw_put(f, "identities", BYTES_STR("a"), buf_bytes(&row));
	open_sealed(f);
	assert_int_equal(store_find(f->store, TABLE_IDENTITIES, BYTES_STR("a"),
			     &value, NULL, &found, &f->err),
	    ERR_CORRUPT);
	assert_contains(f->err.cause, "identities");
}

static void a_row_put_back_to_what_it_was_is_found(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_put(f->store, "a", "good");
	take(f, "a", &row);
	assert_put(f->store, "a", "revoked");
	assert_all_fits(f);
	give(f, "a", &row);
	assert_found(f, "clusters: of the 1 rows");
}

static void a_row_of_an_earlier_life_is_found(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED_BUF(row);

	assert_put(f->store, "a", "first life");
	take(f, "a", &row);
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(assert_all_fits(f), 0);
	give(f, "a", &row);
	assert_found(f, "1 rows where the tally has 0");
	fixture_close(f);
	raw_delete(f, "clusters", BYTES_STR("a"));
	open_sealed(f);
	assert_put(f->store, "a", "second life");
	assert_all_fits(f);
	/* The same place, the same revision. */
	give(f, "a", &row);
	assert_value(f->store, "a", "first life");
	assert_found(f, "clusters: of the 1 rows");
}

static void a_row_that_is_gone_is_found(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "b", "2");
	fixture_close(f);
	raw_delete(f, "clusters", BYTES_STR("a"));
	open_sealed(f);
	assert_found(f, "clusters: 1 rows where the tally has 2");
}

static void put_index(struct fixture *f, const char *key)
{
	OWNED(batch) batch = batch_new();

	batch_put(
	    batch, TABLE_CERTS_BY_CLUSTER, BYTES_STR(key), BYTES("\x01", 1));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
}

static void a_counted_row_that_is_changed_gone_or_added_is_found(void **state)
{
	struct fixture *f = *state;
	const char *table = "certs_by_cluster";
	OWNED_BUF(row);

	put_index(f, "a");
	put_index(f, "b");
	assert_int_equal(assert_all_fits(f), 2);
	fixture_close(f);
	raw_get(f, table, BYTES_STR("a"), &row);
	raw_delete(f, table, BYTES_STR("a"));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: 1 rows where the tally has 2");
	fixture_close(f);
	raw_put(f, table, BYTES_STR("c"), buf_bytes(&row));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: of the 2 rows");
	fixture_close(f);
	raw_put(f, table, BYTES_STR("a"), buf_bytes(&row));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: 3 rows where the tally has 2");
	fixture_close(f);
	raw_delete(f, table, BYTES_STR("c"));
	open_sealed(f);
	assert_all_fits(f);
	row.data[8] ^= 2;
	fixture_close(f);
	raw_put(f, table, BYTES_STR("a"), buf_bytes(&row));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: of the 2 rows");
}

/* ---- tally and audit log ---- */

static void assert_stays_locked(struct fixture *f)
{
	assert_int_equal(fixture_open(f, MAP_SIZE), ERR_OK);
	assert_int_equal(unseal_with(f, 1), ERR_CORRUPT);
	assert_contains(f->err.cause, "rolled back");
	assert_int_equal(put(f->store, "a", "1"), ERR_STORE);
	fixture_close(f);
}

static void one_of_tally_and_audit_log_rolled_back_alone_is_found(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(tally);
	OWNED_BUF(head);
	OWNED_BUF(later);

	assert_audit(f->store, "x");
	fixture_close(f);
	raw_get(f, "meta", BYTES_STR("tally"), &tally);
	raw_get(f, "meta", BYTES_STR("audit_head"), &head);
	open_sealed(f);
	assert_audit(f->store, "y");
	fixture_close(f);
	raw_get(f, "meta", BYTES_STR("tally"), &later);
	raw_put(f, "meta", BYTES_STR("tally"), buf_bytes(&tally));
	assert_stays_locked(f);
	raw_put(f, "meta", BYTES_STR("tally"), buf_bytes(&later));
	raw_put(f, "meta", BYTES_STR("audit_head"), buf_bytes(&head));
	assert_stays_locked(f);
	raw_delete(f, "meta", BYTES_STR("audit_head"));
	assert_stays_locked(f);
	raw_delete(f, "meta", BYTES_STR("tally"));
	assert_stays_locked(f);
}

static void a_refused_batch_leaves_the_tally_right(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	assert_put(f->store, "a", "1");
	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("b"), BYTES_STR("1"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_CONFLICT);
	assert_int_equal(assert_all_fits(f), 1);
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("nothing"));
	assert_put(f->store, "b", "1");
	assert_int_equal(assert_all_fits(f), 2);
}

static void a_transaction_that_is_given_up_leaves_the_tally_right(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED_BUF(large);

	fixture_close(f);
	assert_int_equal(fixture_open(f, 1 << 20), ERR_OK);
	assert_int_equal(unseal_with(f, 1), ERR_OK);
	assert_put(f->store, "a", "1");
	memset(buf_extend(&large, 1 << 20), 0, 1 << 20);
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_STR("2"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("b"), buf_bytes(&large));
	add_audit(batch, "x");
	assert_int_equal(
	    store_commit(f->store, batch, &f->err), ERR_STORE_FULL);
	assert_audit(f->store, "y");
	assert_put(f->store, "c", "1");
	assert_int_equal(assert_all_fits(f), 2);
	fixture_close(f);
	open_sealed(f);
	assert_value(f->store, "a", "1");
	assert_int_equal(assert_all_fits(f), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_sealed_is_in_no_file),
	    TEST_SEALED(the_same_value_is_never_stored_the_same_way),
	    TEST_SEALED(a_sealed_store_gives_what_was_put),
	    TEST(sealing_keeps_rows_revisions_and_audit_log),
	    TEST_SEALED(sealing_anew_shuts_out_the_old_key),
	    TEST_SEALED(the_record_of_the_key_is_read_while_locked),
	    TEST(a_store_that_is_not_sealed_says_so),
	    TEST_SEALED(
		a_locked_store_gives_plain_tables_only_and_takes_nothing),
	    TEST_SEALED(a_store_opened_for_reading_is_unlocked_but_not_sealed),
	    TEST_SEALED(a_changed_row_does_not_open),
	    TEST_SEALED(a_cut_row_does_not_open),
	    TEST_SEALED(a_row_that_is_not_sealed_does_not_open),
	    TEST_SEALED(a_row_moved_to_another_key_does_not_open),
	    TEST_SEALED(a_row_moved_to_another_table_does_not_open),
	    TEST_SEALED(a_row_put_back_to_what_it_was_is_found),
	    TEST_SEALED(a_row_of_an_earlier_life_is_found),
	    TEST_SEALED(a_row_that_is_gone_is_found),
	    TEST_SEALED(a_counted_row_that_is_changed_gone_or_added_is_found),
	    TEST_SEALED(one_of_tally_and_audit_log_rolled_back_alone_is_found),
	    TEST_SEALED(a_refused_batch_leaves_the_tally_right),
	    TEST_SEALED(a_transaction_that_is_given_up_leaves_the_tally_right),
	};
	struct err err = {0};
	uint8_t octet;
	size_t idle;
	int failed;

	if (secret_heap_open(1 << 18, &err) != ERR_OK ||
	    RAND_bytes(&octet, 1) != 1)
		return 1;
	/* The alarms are meant. */
	log_open(STDOUT_FILENO, "test", LOG_ERROR);
	idle = secret_heap_used();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (secret_heap_used() != idle) {
		print_error("secrets are left in the locked heap\n");
		return 1;
	}
	return failed;
}
