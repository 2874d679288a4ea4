// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/key.h"

/* ---- reading and writing ---- */

static void what_was_put_is_found_and_the_rest_is_absent(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "orders", "one");
	assert_value(f->store, "orders", "one");
	assert_absent(f->store, "order");
	assert_absent(f->store, "orders2");
}

static void a_key_that_no_table_can_hold_is_absent(void **state)
{
	struct fixture *f = *state;
	static const char big[STORE_KEY_MAX + 1];
	OWNED_BUF(value);
	bool found = true;

	assert_absent(f->store, "");
	assert_int_equal(store_find(f->store, TABLE_CLUSTERS, BYTES_OF(big),
			     &value, NULL, &found, &f->err),
	    ERR_OK);
	assert_false(found);
}

static void finding_replaces_the_content_of_the_buffer(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(value);
	bool found = false;

	assert_put(f->store, "a", "new");
	buf_put_str(&value, "old and longer");
	assert_int_equal(store_find(f->store, TABLE_CLUSTERS, BYTES_STR("a"),
			     &value, NULL, &found, &f->err),
	    ERR_OK);
	assert_true(found);
	assert_true(bytes_equal(buf_bytes(&value), BYTES_STR("new")));
}

static void an_empty_value_is_found_as_empty(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "empty", "");
	assert_int_equal(assert_value(f->store, "empty", ""), 1);
}

static void a_revision_begins_at_one_and_grows_by_one(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 5; i++) {
		assert_put(f->store, "a", "x");
		assert_int_equal(assert_value(f->store, "a", "x"), i);
	}
	assert_put(f->store, "b", "y");
	assert_int_equal(assert_value(f->store, "b", "y"), 1);
}

static void tables_do_not_see_each_other(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	uint64_t count = 9;

	batch_put(batch, TABLE_KEYS, BYTES_STR("a"), BYTES_STR("key"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_absent(f->store, "a");
	assert_int_equal(
	    store_count(f->store, TABLE_CLUSTERS, &count, &f->err), ERR_OK);
	assert_int_equal(count, 0);
	assert_int_equal(
	    store_count(f->store, TABLE_KEYS, &count, &f->err), ERR_OK);
	assert_int_equal(count, 1);
}

static void a_later_change_of_a_key_in_a_batch_replaces_the_earlier(
    void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	assert_put(f->store, "b", "old");
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_STR("1"));
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("b"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("c"), BYTES_STR("1"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_STR("2"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("b"), BYTES_STR("3"));
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("c"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(assert_value(f->store, "a", "2"), 1);
	assert_int_equal(assert_value(f->store, "b", "3"), 2);
	assert_absent(f->store, "c");
}

static void deleting_removes_and_absence_is_no_error(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	assert_put(f->store, "a", "1");
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	batch_delete(batch, TABLE_CLUSTERS, BYTES_STR("never"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_absent(f->store, "a");
}

static void a_committed_batch_is_empty_and_can_be_used_again(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	assert_true(batch_is_empty(batch));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_STR("1"));
	assert_false(batch_is_empty(batch));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_true(batch_is_empty(batch));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("b"), BYTES_STR("2"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(assert_value(f->store, "a", "1"), 1);
	assert_int_equal(assert_value(f->store, "b", "2"), 1);
}

static void an_empty_batch_commits_without_a_write(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	struct store_stats stats;

	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	store_stats(f->store, &stats);
	assert_int_equal(stats.commits, 0);
}

static void statistics_tell_commits_batches_and_the_map(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "b", "1");
	store_stats(f->store, &stats);
	assert_int_equal(stats.commits, 2);
	assert_int_equal(stats.batches, 2);
	assert_int_equal(stats.waiting, 0);
	assert_true(stats.used > 0 && stats.used < stats.map_size);
	assert_true(stats.writable);
}

/* Puts, replaces and deletes at random beside an array that does the same. */
#define MODEL_KEYS 300

static void change_at_random(
    struct batch *batch, unsigned *seed, uint64_t model[MODEL_KEYS])
{
	unsigned at = (unsigned)rand_r(seed) % MODEL_KEYS;
	uint8_t value[700] = {0};
	struct key key = KEY_INIT;

	key_add_text(&key, "model");
	key_add_u32(&key, at);
	if (rand_r(seed) % 3 == 0) {
		model[at] = 0;
		batch_delete(batch, TABLE_TOKENS, key_bytes(&key));
		return;
	}
	model[at] = 1 + (unsigned)rand_r(seed) % sizeof(value);
	memset(value, (int)at, sizeof(value));
	batch_put(
	    batch, TABLE_TOKENS, key_bytes(&key), BYTES(value, model[at]));
}

static void assert_model(struct fixture *f, const uint64_t model[MODEL_KEYS])
{
	OWNED_BUF(value);

	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		struct key key = KEY_INIT;
		bool found;

		key_add_text(&key, "model");
		key_add_u32(&key, i);
		assert_int_equal(
		    store_find(f->store, TABLE_TOKENS, key_bytes(&key), &value,
			NULL, &found, &f->err),
		    ERR_OK);
		assert_int_equal(found, model[i] != 0);
		assert_int_equal(value.len, model[i]);
		if (found)
			assert_int_equal(value.data[value.len - 1], i & 0xff);
	}
}

static void random_changes_leave_what_a_model_says(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	uint64_t model[MODEL_KEYS] = {0};
	unsigned seed = 7;

	for (unsigned i = 0; i < 60; i++) {
		for (int n = rand_r(&seed) % 60; n >= 0; n--)
			change_at_random(batch, &seed, model);
		assert_int_equal(
		    store_commit(f->store, batch, &f->err), ERR_OK);
	}
	assert_model(f, model);
	fixture_reopen(f);
	assert_model(f, model);
}

/* ---- preconditions ---- */

static enum err_code put_if_absent(struct fixture *f, const char *key)
{
	OWNED(batch) batch = batch_new();

	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR(key));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR(key), BYTES_STR("new"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("side"), BYTES_STR("new"));
	return store_commit(f->store, batch, &f->err);
}

static void an_absent_key_meets_require_absent(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_if_absent(f, "a"), ERR_OK);
	assert_value(f->store, "a", "new");
}

static void a_present_key_fails_require_absent_and_nothing_is_changed(
    void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "old");
	assert_int_equal(put_if_absent(f, "a"), ERR_CONFLICT);
	assert_true(f->err.detail[0] != '\0');
	assert_value(f->store, "a", "old");
	assert_absent(f->store, "side");
}

static enum err_code put_at(struct fixture *f, uint64_t revision)
{
	OWNED(batch) batch = batch_new();

	batch_require_revision(batch, TABLE_CLUSTERS, BYTES_STR("a"), revision);
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_STR("new"));
	return store_commit(f->store, batch, &f->err);
}

static void the_revision_that_was_read_meets_require_revision(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	assert_int_equal(put_at(f, 2), ERR_OK);
	assert_int_equal(assert_value(f->store, "a", "new"), 3);
}

static void any_other_revision_fails_require_revision(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_at(f, 1), ERR_CONFLICT);
	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	assert_int_equal(put_at(f, 1), ERR_CONFLICT);
	assert_int_equal(put_at(f, 3), ERR_CONFLICT);
	assert_int_equal(put_at(f, 0), ERR_CONFLICT);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
}

static void revision_zero_requires_absence(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_at(f, 0), ERR_OK);
	assert_int_equal(put_at(f, 0), ERR_CONFLICT);
}

static void a_refused_batch_is_unchanged_and_can_be_tried_again(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED(batch) away = batch_new();

	assert_put(f->store, "a", "old");
	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("b"), BYTES_STR("1"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_CONFLICT);
	assert_false(batch_is_empty(batch));
	batch_delete(away, TABLE_CLUSTERS, BYTES_STR("a"));
	assert_int_equal(store_commit(f->store, away, &f->err), ERR_OK);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_value(f->store, "b", "1");
}

static void a_precondition_without_a_change_is_judged_too(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();

	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_put(f->store, "a", "1");
	batch_require_absent(batch, TABLE_CLUSTERS, BYTES_STR("a"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_CONFLICT);
}

/* ---- scans ---- */

/* The keys of a scan, each with a comma behind it. */
static void scan_keys(
    struct fixture *f, const char *prefix, const char *after, struct buf *out)
{
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	bool more;

	assert_int_equal(scan_open(f->store, TABLE_CLUSTERS, BYTES_STR(prefix),
			     BYTES_STR(after), &scan, &f->err),
	    ERR_OK);
	for (;;) {
		assert_int_equal(
		    scan_next(scan, &key, &value, &more, &f->err), ERR_OK);
		if (!more)
			return;
		buf_put_bytes(out, key);
		buf_put_str(out, ",");
	}
}

static void assert_scan(
    struct fixture *f, const char *prefix, const char *after, const char *want)
{
	OWNED_BUF(out);

	scan_keys(f, prefix, after, &out);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.data, want);
}

static void fill(struct fixture *f)
{
	static const char *const keys[] = {"b2", "a", "b", "c", "b1", "ab"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_put(f->store, keys[i], keys[i]);
}

static void a_scan_walks_in_the_order_of_the_keys(void **state)
{
	fill(*state);
	assert_scan(*state, "", "", "a,ab,b,b1,b2,c,");
}

static void a_scan_keeps_to_its_prefix(void **state)
{
	fill(*state);
	assert_scan(*state, "b", "", "b,b1,b2,");
	assert_scan(*state, "a", "", "a,ab,");
	assert_scan(*state, "b1x", "", "");
	assert_scan(*state, "d", "", "");
}

static void a_scan_goes_on_after_a_key(void **state)
{
	fill(*state);
	assert_scan(*state, "", "b", "b1,b2,c,");
	assert_scan(*state, "b", "b", "b1,b2,");
	assert_scan(*state, "b", "b1", "b2,");
	assert_scan(*state, "b", "b1x", "b2,");
	assert_scan(*state, "b", "b2", "");
	assert_scan(*state, "b", "a", "b,b1,b2,");
	assert_scan(*state, "b", "c", "");
}

static void a_scan_of_an_empty_table_ends_at_once(void **state)
{
	assert_scan(*state, "", "", "");
	assert_scan(*state, "a", "a", "");
}

static void a_scan_sees_the_moment_at_which_it_was_opened(void **state)
{
	struct fixture *f = *state;
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	bool more;

	assert_put(f->store, "a", "old");
	assert_int_equal(scan_open(f->store, TABLE_CLUSTERS, BYTES(NULL, 0),
			     BYTES(NULL, 0), &scan, &f->err),
	    ERR_OK);
	assert_put(f->store, "a", "new");
	assert_put(f->store, "b", "new");
	assert_int_equal(scan_next(scan, &key, &value, &more, &f->err), ERR_OK);
	assert_true(more);
	assert_true(bytes_equal(value, BYTES_STR("old")));
	assert_int_equal(scan_next(scan, &key, &value, &more, &f->err), ERR_OK);
	assert_false(more);
}

static void many_scans_may_be_open_at_once(void **state)
{
	struct fixture *f = *state;
	struct scan *scans[200] = {NULL};

	fill(f);
	for (size_t i = 0; i < ARRAY_LEN(scans); i++)
		assert_int_equal(
		    scan_open(f->store, TABLE_CLUSTERS, BYTES(NULL, 0),
			BYTES(NULL, 0), &scans[i], &f->err),
		    ERR_OK);
	assert_value(f->store, "a", "a");
	for (size_t i = 0; i < ARRAY_LEN(scans); i++)
		scan_close(scans[i]);
	assert_value(f->store, "a", "a");
}

/* ---- the folder ---- */

static void records_outlive_the_process_that_wrote_them(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	fixture_reopen(f);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_put(f->store, "a", "3");
	assert_int_equal(assert_value(f->store, "a", "3"), 3);
}

static enum err_code open_existing(struct fixture *f, bool read_only)
{
	const struct store_options options = {
	    .path = f->path, .read_only = read_only};

	return store_open(&options, &f->store, &f->err);
}

static void a_store_that_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_existing(f, false), ERR_NOT_FOUND);
	assert_int_equal(open_existing(f, true), ERR_NOT_FOUND);
	assert_false(fs_exists(f->path));
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(open_existing(f, false), ERR_NOT_FOUND);
	assert_contains(f->err.detail, f->path);
	assert_int_equal(open_existing(f, true), ERR_NOT_FOUND);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void what_is_created_is_closed_to_others(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = fs_join(f->path, "data.mdb");
	OWNED_STR(lock) = fs_join(f->path, "lock.mdb");
	mode_t before = umask(0);

	assert_int_equal(fixture_open(f, 0), ERR_OK);
	umask(before);
	assert_int_equal(mode_of(f->path), 0700);
	assert_int_equal(mode_of(data), 0600);
	assert_int_equal(mode_of(lock), 0600);
}

static void assert_refused_when_open(
    struct fixture *f, const char *path, mode_t mode)
{
	mode_t before = mode_of(path);

	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(open_existing(f, false), ERR_CONFIG);
	assert_contains(f->err.detail, path);
	assert_contains(f->err.detail, "chmod");
	assert_int_equal(chmod(path, before), 0);
	assert_int_equal(open_existing(f, false), ERR_OK);
	fixture_close(f);
}

static void a_folder_or_file_that_others_reach_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = fs_join(f->path, "data.mdb");
	OWNED_STR(lock) = fs_join(f->path, "lock.mdb");

	fixture_close(f);
	assert_refused_when_open(f, f->path, 0750);
	assert_refused_when_open(f, f->path, 0701);
	assert_refused_when_open(f, data, 0640);
	assert_refused_when_open(f, data, 0602);
	assert_refused_when_open(f, lock, 0604);
}

static void a_store_that_another_writes_is_refused_until_it_is_closed(
    void **state)
{
	struct fixture *f = *state;
	const struct store_options options = {.path = f->path};
	struct store *second = NULL;

	assert_int_equal(store_open(&options, &second, &f->err), ERR_CONFIG);
	assert_contains(f->err.detail, "in use");
	fixture_close(f);
	assert_int_equal(store_open(&options, &second, &f->err), ERR_OK);
	store_close(second);
}

static void a_path_that_is_no_folder_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(open_existing(f, false), ERR_CONFIG);
	assert_contains(f->err.detail, "not a folder");
}

static void a_data_file_that_is_no_file_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = fs_join(f->path, "data.mdb");

	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(mkdir(data, 0700), 0);
	assert_int_equal(open_existing(f, false), ERR_CONFIG);
	assert_contains(f->err.detail, "not a regular file");
}

static void a_data_file_of_something_else_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = fs_join(f->path, "data.mdb");
	uint8_t junk[8192];

	memset(junk, 0x5a, sizeof(junk));
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(fs_write(data, 0600, BYTES_OF(junk), &f->err), ERR_OK);
	assert_int_equal(open_existing(f, false), ERR_CORRUPT);
	assert_int_equal(open_existing(f, true), ERR_CORRUPT);
}

static void a_parent_that_is_not_there_is_an_error(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fs_join(f->dir, "none/store");
	const struct store_options options = {.path = path, .create = true};

	assert_int_not_equal(store_open(&options, &f->store, &f->err), ERR_OK);
	assert_null(f->store);
}

static void no_file_of_the_store_is_inherited_by_programs(void **state)
{
	struct fixture *f = *state;
	unsigned seen = 0;
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char target[512] = "";
		int fd = atoi(entry->d_name);

		if (readlinkat(dirfd(fds), entry->d_name, target,
			sizeof(target) - 1) < 0 ||
		    strncmp(target, f->path, strlen(f->path)) != 0)
			continue;
		seen++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	closedir(fds);
	assert_true(seen >= 2);
}

static void a_store_opened_for_reading_refuses_to_commit(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	fixture_close(f);
	f->store = fixture_open_read_only(f);
	assert_value(f->store, "a", "1");
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE);
	assert_absent(f->store, "b");
}

/* ---- the format, changed behind the store's back ---- */

static void write_raw(
    struct fixture *f, const char *key, const void *value, size_t len)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = {strlen(key), (void *)(uintptr_t)key};
	MDB_val v = {len, (void *)(uintptr_t)value};

	fixture_close(f);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	if (value != NULL)
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	else
		assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void a_newer_format_is_refused_by_its_number(void **state)
{
	struct fixture *f = *state;
	static const uint8_t newer[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 9};

	write_raw(f, "format", newer, sizeof(newer));
	assert_int_equal(open_existing(f, false), ERR_CONFIG);
	assert_contains(f->err.detail, "has format 9");
	assert_contains(f->err.detail, f->path);
	assert_int_equal(open_existing(f, true), ERR_CONFIG);
}

static void a_format_record_of_a_newer_kind_is_refused(void **state)
{
	struct fixture *f = *state;
	static const uint8_t newer[] = {
	    0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 7};

	write_raw(f, "format", newer, sizeof(newer));
	assert_int_equal(open_existing(f, false), ERR_CONFIG);
}

static void a_malformed_format_record_is_corrupt(void **state)
{
	struct fixture *f = *state;
	static const uint8_t cut[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0};
	static const uint8_t unrevised[] = {0, 0, 0};

	write_raw(f, "format", cut, sizeof(cut));
	assert_int_equal(open_existing(f, false), ERR_CORRUPT);
	write_raw(f, "format", unrevised, sizeof(unrevised));
	assert_int_equal(open_existing(f, false), ERR_CORRUPT);
}

static void a_store_whose_format_record_was_removed_is_corrupt(void **state)
{
	struct fixture *f = *state;

	assert_audit(f->store, "one");
	write_raw(f, "format", NULL, 0);
	assert_int_equal(open_existing(f, false), ERR_CORRUPT);
	assert_contains(f->err.cause, "no format record");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_put_is_found_and_the_rest_is_absent),
	    TEST(a_key_that_no_table_can_hold_is_absent),
	    TEST(finding_replaces_the_content_of_the_buffer),
	    TEST(an_empty_value_is_found_as_empty),
	    TEST(a_revision_begins_at_one_and_grows_by_one),
	    TEST(tables_do_not_see_each_other),
	    TEST(a_later_change_of_a_key_in_a_batch_replaces_the_earlier),
	    TEST(deleting_removes_and_absence_is_no_error),
	    TEST(a_committed_batch_is_empty_and_can_be_used_again),
	    TEST(an_empty_batch_commits_without_a_write),
	    TEST(statistics_tell_commits_batches_and_the_map),
	    TEST(random_changes_leave_what_a_model_says),
	    TEST(an_absent_key_meets_require_absent),
	    TEST(a_present_key_fails_require_absent_and_nothing_is_changed),
	    TEST(the_revision_that_was_read_meets_require_revision),
	    TEST(any_other_revision_fails_require_revision),
	    TEST(revision_zero_requires_absence),
	    TEST(a_refused_batch_is_unchanged_and_can_be_tried_again),
	    TEST(a_precondition_without_a_change_is_judged_too),
	    TEST(a_scan_walks_in_the_order_of_the_keys),
	    TEST(a_scan_keeps_to_its_prefix),
	    TEST(a_scan_goes_on_after_a_key),
	    TEST(a_scan_of_an_empty_table_ends_at_once),
	    TEST(a_scan_sees_the_moment_at_which_it_was_opened),
	    TEST(many_scans_may_be_open_at_once),
	    TEST(records_outlive_the_process_that_wrote_them),
	    TEST_CLOSED(a_store_that_is_not_there_is_not_found),
	    TEST_CLOSED(what_is_created_is_closed_to_others),
	    TEST(a_folder_or_file_that_others_reach_is_refused),
	    TEST(a_store_that_another_writes_is_refused_until_it_is_closed),
	    TEST_CLOSED(a_path_that_is_no_folder_is_refused),
	    TEST_CLOSED(a_data_file_that_is_no_file_is_refused),
	    TEST_CLOSED(a_data_file_of_something_else_is_refused),
	    TEST_CLOSED(a_parent_that_is_not_there_is_an_error),
	    TEST(no_file_of_the_store_is_inherited_by_programs),
	    TEST(a_store_opened_for_reading_refuses_to_commit),
	    TEST(a_newer_format_is_refused_by_its_number),
	    TEST(a_format_record_of_a_newer_kind_is_refused),
	    TEST(a_malformed_format_record_is_corrupt),
	    TEST(a_store_whose_format_record_was_removed_is_corrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
