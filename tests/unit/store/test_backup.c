// SPDX-License-Identifier: Apache-2.0
/* Goal: a backup is one file for its owner alone, whole or not there, and never
 * in place of another. */
#include "fixture.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/backup.h"
#include "store/inside.h"
#include "store/key.h"
#include "tests/unit/store/copy.h"

static void a_backup_is_one_file_for_its_owner_alone(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	struct stat st;
	mode_t before = umask(0);

	assert_audit(f->store, "a");
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(copy_files(f->dir), 2);
}

static void a_backup_never_replaces_a_file(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_BUF(content);

	assert_int_equal(
	    fs_write(path, 0600, BYTES_STR("mine"), &f->err), ERR_OK);
	assert_int_equal(copy_take(f, "copy"), ERR_EXISTS);
	assert_int_equal(fs_read(path, 100, &content, &f->err), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&content), BYTES_STR("mine")));
	assert_int_equal(copy_files(f->dir), 2);
}

static void a_backup_into_a_folder_that_is_not_there_fails(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(copy_take(f, "none/copy"), ERR_IO);
	assert_int_equal(copy_files(f->dir), 1);
}

static void damage_audit(struct fixture *f)
{
	struct key key = KEY_INIT;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k;

	key_add_u64(&key, 1);
	k = (MDB_val){key.len, key.octets};
	fixture_close(f);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "audit", 0, &dbi), 0);
	assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}

static void a_backup_that_does_not_verify_is_not_left(void **state)
{
	struct fixture *f = *state;

	assert_audit(f->store, "a");
	assert_audit(f->store, "b");
	damage_audit(f);
	assert_int_equal(copy_take(f, "copy"), ERR_CORRUPT);
	assert_contains(f->err.cause, "audit entry 1 is missing");
	assert_int_equal(copy_files(f->dir), 1);
}

static void a_backup_leaves_out_pages_that_are_free(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(before) = fixture_path(f, "before");
	OWNED_STR(after) = fixture_path(f, "after");
	OWNED(batch) batch = batch_new();
	uint8_t big[100000] = {1};
	struct stat with, without;

	batch_put(batch, TABLE_TOKENS, BYTES_STR("big"), BYTES_OF(big));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(copy_take(f, "before"), ERR_OK);
	batch_delete(batch, TABLE_TOKENS, BYTES_STR("big"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(copy_take(f, "after"), ERR_OK);
	assert_int_equal(stat(before, &with), 0);
	assert_int_equal(stat(after, &without), 0);
	assert_true(with.st_size >= without.st_size + 100000);
}

static struct engine_ops odd_ops;

static enum err_code (*true_copy)(struct engine *engine, int fd, bool compact,
    bool *unfit_out, struct err *err);

/* As of a file that has lost pages, whose last ones were never written. */
static enum err_code copy_unfit(struct engine *engine, int fd, bool compact,
    bool *unfit_out, struct err *err)
{
	*unfit_out = compact;
	if (!compact)
		return true_copy(engine, fd, false, unfit_out, err);
	assert_int_equal(write(fd, "in vain", 7), 7);
	return ERR_OK;
}

static void use_ops(struct fixture *f,
    enum err_code (*copy)(struct engine *engine, int fd, bool compact,
	bool *unfit_out, struct err *err))
{
	odd_ops = *f->store->engine->ops;
	true_copy = odd_ops.copy;
	odd_ops.copy = copy;
	f->store->engine->ops = &odd_ops;
}

static void what_cannot_be_compacted_is_copied_as_it_is(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	assert_audit(f->store, "one");
	use_ops(f, copy_unfit);
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	copy_restore(f, "copy");
	assert_value(f->store, "a", "1");
	assert_verifies(f->store);
}

static enum err_code copy_fault(struct engine *engine, int fd, bool compact,
    bool *unfit_out, struct err *err)
{
	(void)engine;
	(void)compact;
	*unfit_out = false;
	assert_int_equal(write(fd, "begun", 5), 5);
	return err_fail(err, ERR_STORE, "the disk is gone");
}

static void a_copy_that_the_engine_breaks_off_is_not_left(void **state)
{
	struct fixture *f = *state;

	use_ops(f, copy_fault);
	assert_int_equal(copy_take(f, "copy"), ERR_STORE);
	assert_contains(f->err.cause, "the disk is gone");
	assert_int_equal(copy_files(f->dir), 1);
}

static enum err_code put_nothing(
    void *arg, struct bytes octets, struct err *err)
{
	(void)arg;
	(void)octets;
	return err_fail(err, ERR_IO, "no room");
}

static enum err_code never(void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	abort();
}

/* The engine is in the midst of it, with more than a pipe holds. */
static void a_sink_that_fails_ends_the_copy(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	const struct store_sink sink = {put_nothing, never, NULL};
	struct buf big = BUF_INIT;

	memset(buf_extend(&big, 4 << 20), 1, 4 << 20);
	batch_put(batch, TABLE_TOKENS, BYTES_STR("big"), buf_bytes(&big));
	buf_free(&big);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(store_copy(f->store, &sink, &f->err), ERR_IO);
	assert_contains(f->err.cause, "no room");
	assert_put(f->store, "a", "1");
}

struct told_octets {
	unsigned times;
	uint64_t last;
};

static void keep_octets(void *arg, uint64_t octets)
{
	struct told_octets *told = arg;

	assert_true(octets > told->last);
	told->last = octets;
	told->times++;
}

static void progress_is_told_up_to_the_size_of_the_copy(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	struct told_octets told = {0};
	const struct store_progress progress = {keep_octets, &told};
	struct stat st;

	assert_audit(f->store, "a");
	assert_int_equal(
	    store_backup(f->store, path, &progress, &f->err), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_true(told.times > 0);
	assert_int_equal(told.last, st.st_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_backup_is_one_file_for_its_owner_alone),
	    TEST(a_backup_never_replaces_a_file),
	    TEST(a_backup_into_a_folder_that_is_not_there_fails),
	    TEST(a_backup_that_does_not_verify_is_not_left),
	    TEST(a_backup_leaves_out_pages_that_are_free),
	    TEST(what_cannot_be_compacted_is_copied_as_it_is),
	    TEST(a_copy_that_the_engine_breaks_off_is_not_left),
	    TEST(a_sink_that_fails_ends_the_copy),
	    TEST(progress_is_told_up_to_the_size_of_the_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
