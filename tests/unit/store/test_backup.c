// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <dirent.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/backup.h"
#include "store/inside.h"
#include "store/key.h"

static unsigned files_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static enum err_code backup(struct fixture *f, const char *name)
{
	OWNED_STR(path) = fixture_path(f, name);

	return store_backup(f->store, path, NULL, &f->err);
}

/* Opens what was restored as the fixture's store. */
static void restore(struct fixture *f, const char *name)
{
	OWNED_STR(path) = fixture_path(f, name);

	fixture_close(f);
	free(f->path);
	f->path = fixture_path(f, "restored");
	assert_int_equal(store_restore(path, f->path, NULL, &f->err), ERR_OK);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}

/* ---- backup ---- */

static void a_backup_is_one_file_for_its_owner_alone(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	struct stat st;
	mode_t before = umask(0);

	assert_audit(f->store, "a");
	assert_int_equal(backup(f, "copy"), ERR_OK);
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in(f->dir), 2);
}

static void a_backup_never_replaces_a_file(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_BUF(content);

	assert_int_equal(
	    fs_write(path, 0600, BYTES_STR("mine"), &f->err), ERR_OK);
	assert_int_equal(backup(f, "copy"), ERR_EXISTS);
	assert_int_equal(fs_read(path, 100, &content, &f->err), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&content), BYTES_STR("mine")));
	assert_int_equal(files_in(f->dir), 2);
}

static void a_backup_into_a_folder_that_is_not_there_fails(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(backup(f, "none/copy"), ERR_IO);
	assert_int_equal(files_in(f->dir), 1);
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
	assert_int_equal(backup(f, "copy"), ERR_CORRUPT);
	assert_contains(f->err.cause, "audit entry 1 is missing");
	assert_int_equal(files_in(f->dir), 1);
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
	assert_int_equal(backup(f, "before"), ERR_OK);
	batch_delete(batch, TABLE_TOKENS, BYTES_STR("big"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(backup(f, "after"), ERR_OK);
	assert_int_equal(stat(before, &with), 0);
	assert_int_equal(stat(after, &without), 0);
	assert_true(with.st_size >= without.st_size + 100000);
}

/* ---- as a stream ---- */

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
	assert_int_equal(backup(f, "copy"), ERR_OK);
	restore(f, "copy");
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
	assert_int_equal(backup(f, "copy"), ERR_STORE);
	assert_contains(f->err.cause, "the disk is gone");
	assert_int_equal(files_in(f->dir), 1);
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

static enum err_code fill_half(
    void *arg, const struct store_sink *sink, struct err *err)
{
	enum err_code code = sink->put(sink->arg, BYTES_STR("half"), err);

	(void)arg;
	return code == ERR_OK ? err_refuse(err, ERR_UNWRAP, "no more") : code;
}

static void what_is_not_received_whole_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(dir) = fixture_path(f, "received");

	assert_int_equal(
	    store_receive(dir, fill_half, NULL, &f->err), ERR_UNWRAP);
	assert_false(fs_exists(dir));
}

/* ---- restore ---- */

static void what_was_restored_is_what_was_backed_up(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_put(f->store, "a", "1");
	assert_put(f->store, "a", "2");
	assert_audit(f->store, "one");
	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_put(f->store, "a", "later");
	restore(f, "copy");
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(assert_value(f->store, "a", "2"), 2);
	assert_int_equal(assert_verifies(f->store), 1);
	assert_audit(f->store, "two");
	assert_int_equal(assert_verifies(f->store), 2);
}

static void restoring_into_an_empty_folder_succeeds(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_int_equal(mkdir(dir, 0700), 0);
	restore(f, "copy");
}

static void restoring_never_replaces_a_store(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");

	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_put(f->store, "a", "1");
	fixture_close(f);
	assert_int_equal(store_restore(path, f->path, NULL, &f->err), ERR_EXISTS);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_value(f->store, "a", "1");
}

static void restoring_into_a_folder_open_to_others_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_CONFIG);
	assert_int_equal(files_in(dir), 0);
}

static void restoring_from_nothing_is_not_found(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");

	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_NOT_FOUND);
	assert_false(fs_exists(dir));
}

static void a_store_moves_whole_and_only_where_none_is(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(copy) = fixture_path(f, "copy");
	OWNED_STR(staged) = fixture_path(f, "staged");
	OWNED_STR(moved) = fixture_path(f, "moved");

	assert_audit(f->store, "a");
	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_int_equal(store_restore(copy, staged, NULL, &f->err), ERR_OK);
	/* The fixture's has a store, and is in use besides. */
	assert_int_equal(store_check_vacant(f->path, &f->err), ERR_EXISTS);
	assert_int_equal(store_move(staged, f->path, &f->err), ERR_EXISTS);
	assert_true(fs_exists(staged));
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_OK);
	assert_false(fs_exists(moved));
	assert_int_equal(mkdir(moved, 0700), 0);
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_OK);
	/* Not even the file that a claim locks. */
	assert_int_equal(rmdir(moved), 0);
	assert_int_equal(store_move(staged, moved, &f->err), ERR_OK);
	assert_false(fs_exists(staged));
	assert_int_equal(store_check_vacant(moved, &f->err), ERR_EXISTS);
	fixture_close(f);
	free(f->path);
	f->path = mem_strdup(moved);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}

static void a_move_that_fails_leaves_no_folder(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(none) = fixture_path(f, "none");
	OWNED_STR(moved) = fixture_path(f, "moved");

	assert_int_equal(store_move(none, moved, &f->err), ERR_IO);
	assert_false(fs_exists(moved));
}

static void a_folder_that_a_server_has_is_not_vacant(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(data) = mem_printf("%s/data.mdb", f->path);

	assert_audit(f->store, "a");
	assert_int_equal(unlink(data), 0);
	assert_int_equal(store_check_vacant(f->path, &f->err), ERR_CONFIG);
}

struct told {
	struct audit_entry entry;
	uint8_t leaf[32];
	char texts[9][64];
};

static const char *keep_text(char *room, const char *text)
{
	if (text == NULL)
		return NULL;
	snprintf(room, 64, "%s", text);
	return room;
}

static bool keep_told(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	struct told *told = arg;
	const char **to = &told->entry.action;
	const char *const *from = &entry->action;

	told->entry = *entry;
	for (size_t i = 0; i < 9; i++)
		to[i] = keep_text(told->texts[i], from[i]);
	memcpy(told->leaf, leaf, 32);
	return false;
}

static void an_entry_told_again_is_the_one_that_it_was(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	struct told was, is;
	struct audit_head before, after;

	assert_audit(f->store, "a");
	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_audit(f->store, "b");
	assert_int_equal(audit_head(f->store, &before, &f->err), ERR_OK);
	assert_int_equal(audit_read(f->store, before.sequence, 1, keep_told,
	    &was, &f->err), ERR_OK);
	restore(f, "copy");
	batch_audit_again(batch, &was.entry);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	assert_int_equal(audit_read(f->store, before.sequence, 1, keep_told,
	    &is, &f->err), ERR_OK);
	assert_memory_equal(is.leaf, was.leaf, 32);
	assert_int_equal(audit_verify(f->store, &after, &f->err), ERR_OK);
	assert_memory_equal(after.hash, before.hash, 32);
}

/* A backup cut at any page, and at odd places, is refused and leaves nothing.
 */
static void restoring_from_a_cut_backup_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");
	struct stat st;

	assert_audit(f->store, "a");
	assert_int_equal(backup(f, "copy"), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	for (off_t len = st.st_size - 1; len > 0; len -= 2048) {
		assert_int_equal(truncate(path, len), 0);
		assert_int_not_equal(store_restore(path, dir, NULL, &f->err), ERR_OK);
		assert_false(fs_exists(dir));
	}
}

static void restoring_from_something_else_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(path) = fixture_path(f, "copy");
	OWNED_STR(dir) = fixture_path(f, "restored");
	uint8_t junk[20000];

	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(fs_write(path, 0600, BYTES_OF(junk), &f->err), ERR_OK);
	assert_int_equal(store_restore(path, dir, NULL, &f->err), ERR_CORRUPT);
	assert_false(fs_exists(dir));
}

/* ---- under load ---- */

#define LOADERS 4

struct loader {
	pthread_t thread;
	struct store *store;
	uint32_t number;
	atomic_uint done;
	atomic_bool *stop;
};

static struct key loaded_key(uint32_t number, uint32_t n)
{
	struct key key = KEY_INIT;

	key_add_text(&key, "load");
	key_add_u32(&key, number);
	key_add_u32(&key, n);
	return key;
}

static void *load(void *arg)
{
	struct loader *loader = arg;
	OWNED(batch) batch = batch_new();

	for (uint32_t n = 0; !atomic_load(loader->stop); n++) {
		struct key key = loaded_key(loader->number, n);
		struct err err;

		batch_put(batch, TABLE_CERTIFICATES, key_bytes(&key),
		    key_bytes(&key));
		batch_put(
		    batch, TABLE_INTENTS, key_bytes(&key), key_bytes(&key));
		add_audit(batch, "load");
		if (store_commit(loader->store, batch, &err) != ERR_OK)
			abort();
		atomic_store(&loader->done, n + 1);
	}
	return NULL;
}

static void load_begin(
    struct loader loaders[LOADERS], struct store *store, atomic_bool *stop)
{
	for (uint32_t i = 0; i < LOADERS; i++) {
		loaders[i].store = store;
		loaders[i].number = i;
		loaders[i].stop = stop;
		atomic_init(&loaders[i].done, 0);
		assert_int_equal(
		    pthread_create(&loaders[i].thread, NULL, load, &loaders[i]),
		    0);
	}
	for (uint32_t i = 0; i < LOADERS; i++)
		while (atomic_load(&loaders[i].done) < 3)
			sched_yield();
}

static void load_end(struct loader loaders[LOADERS], atomic_bool *stop)
{
	atomic_store(stop, true);
	for (uint32_t i = 0; i < LOADERS; i++)
		assert_int_equal(pthread_join(loaders[i].thread, NULL), 0);
}

static uint64_t count_of(struct fixture *f, enum table table)
{
	uint64_t count = 0;

	assert_int_equal(store_count(f->store, table, &count, &f->err), ERR_OK);
	return count;
}

static void a_backup_under_load_holds_whole_batches_and_all_before_it(
    void **state)
{
	struct fixture *f = *state;
	struct loader loaders[LOADERS];
	atomic_bool stop = false;
	unsigned before[LOADERS];
	uint64_t total;

	load_begin(loaders, f->store, &stop);
	for (unsigned i = 0; i < LOADERS; i++)
		before[i] = atomic_load(&loaders[i].done);
	assert_int_equal(backup(f, "copy"), ERR_OK);
	load_end(loaders, &stop);
	assert_verifies(f->store);

	restore(f, "copy");
	total = count_of(f, TABLE_CERTIFICATES);
	assert_int_equal(count_of(f, TABLE_INTENTS), total);
	assert_int_equal(assert_verifies(f->store), total);
	for (uint32_t i = 0; i < LOADERS; i++) {
		struct key key = loaded_key(i, before[i] - 1);
		OWNED_BUF(value);
		bool found;

		assert_int_equal(
		    store_find(f->store, TABLE_CERTIFICATES, key_bytes(&key),
			&value, NULL, &found, &f->err),
		    ERR_OK);
		assert_true(found);
	}
}

/* ---- another process ---- */

static void tell(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static bool await(int fd)
{
	char octet;

	return read(fd, &octet, 1) == 1;
}

/* What signet does beside a server: 0, or the number of the step that failed.
 */
static int inspect(const char *path, const char *copy)
{
	const struct store_options options = {.path = path, .read_only = true};
	OWNED(store) store = NULL;
	OWNED_BUF(value);
	struct audit_head head;
	struct err err = {0};
	bool found = false;

	if (store_open(&options, &store, &err) != ERR_OK)
		return 1;
	if (store_find(store, TABLE_CLUSTERS, BYTES_STR("a"), &value, NULL,
		&found, &err) != ERR_OK ||
	    !found)
		return 2;
	for (unsigned i = 0; i < 5; i++)
		if (audit_verify(store, &head, &err) != ERR_OK)
			return 3;
	if (head.sequence == 0)
		return 4;
	return store_backup(store, copy, NULL, &err) == ERR_OK ? 0 : 5;
}

static void another_process_reads_and_backs_up_while_one_serves(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(copy) = fixture_path(f, "copy");
	struct loader loaders[LOADERS];
	atomic_bool stop = false;
	int go[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork(); /* before this process has a thread or a store */
	if (pid == 0) {
		close(go[1]);
		_exit(await(go[0]) ? inspect(f->path, copy) : 9);
	}
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_put(f->store, "a", "1");
	load_begin(loaders, f->store, &stop);
	tell(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	load_end(loaders, &stop);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(go[0]);
	close(go[1]);
	restore(f, "copy");
	assert_value(f->store, "a", "1");
	assert_verifies(f->store);
}

/* Opens a snapshot in another process and dies with it. */
static void read_and_wait_for_death(const char *path, int ready)
{
	const struct store_options options = {.path = path, .read_only = true};
	struct store *store = NULL;
	struct scan *scan = NULL;
	struct err err;

	if (store_open(&options, &store, &err) != ERR_OK ||
	    scan_open(store, TABLE_CLUSTERS, BYTES(NULL, 0), BYTES(NULL, 0),
		&scan, &err) != ERR_OK)
		_exit(1);
	if (write(ready, "x", 1) != 1)
		_exit(2);
	for (;;)
		pause();
}

static uint64_t growth_by_rewriting(struct fixture *f)
{
	struct store_stats before, after;
	OWNED(batch) batch = batch_new();
	uint8_t value[40000] = {1};

	store_stats(f->store, &before);
	for (unsigned i = 0; i < 20; i++) {
		batch_put(
		    batch, TABLE_TOKENS, BYTES_STR("same"), BYTES_OF(value));
		assert_int_equal(
		    store_commit(f->store, batch, &f->err), ERR_OK);
	}
	store_stats(f->store, &after);
	return after.used - before.used;
}

static void a_reader_that_died_does_not_keep_old_pages_for_ever(void **state)
{
	struct fixture *f = *state;
	int go[2], ready[2];
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (await(go[0]))
			read_and_wait_for_death(f->path, ready[1]);
		_exit(3);
	}
	assert_int_equal(fixture_open(f, 0), ERR_OK);
	assert_put(f->store, "a", "1");
	tell(go[1]);
	assert_true(await(ready[0]));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);

	assert_true(growth_by_rewriting(f) > 15 * 40000);
	f->store->engine->ops->tend(f->store->engine);
	assert_true(growth_by_rewriting(f) < 5 * 40000);
	for (unsigned i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_CLOSED(another_process_reads_and_backs_up_while_one_serves),
	    TEST_CLOSED(a_reader_that_died_does_not_keep_old_pages_for_ever),
	    TEST(a_backup_is_one_file_for_its_owner_alone),
	    TEST(a_backup_never_replaces_a_file),
	    TEST(a_backup_into_a_folder_that_is_not_there_fails),
	    TEST(a_backup_that_does_not_verify_is_not_left),
	    TEST(a_backup_leaves_out_pages_that_are_free),
	    TEST(what_cannot_be_compacted_is_copied_as_it_is),
	    TEST(a_copy_that_the_engine_breaks_off_is_not_left),
	    TEST(a_sink_that_fails_ends_the_copy),
	    TEST(progress_is_told_up_to_the_size_of_the_copy),
	    TEST(what_is_not_received_whole_leaves_nothing),
	    TEST(what_was_restored_is_what_was_backed_up),
	    TEST(restoring_into_an_empty_folder_succeeds),
	    TEST(restoring_never_replaces_a_store),
	    TEST(restoring_into_a_folder_open_to_others_is_refused),
	    TEST(restoring_from_nothing_is_not_found),
	    TEST(restoring_from_a_cut_backup_is_refused),
	    TEST(a_store_moves_whole_and_only_where_none_is),
	    TEST(a_move_that_fails_leaves_no_folder),
	    TEST(a_folder_that_a_server_has_is_not_vacant),
	    TEST(an_entry_told_again_is_the_one_that_it_was),
	    TEST(restoring_from_something_else_is_refused),
	    TEST(a_backup_under_load_holds_whole_batches_and_all_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
