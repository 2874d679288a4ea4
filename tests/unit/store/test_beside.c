// SPDX-License-Identifier: Apache-2.0
/* Goal: another process reads and backs up while one serves, and neither load
 * nor a reader that died spoils anything. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/backup.h"
#include "store/inside.h"
#include "store/key.h"
#include "tests/unit/store/copy.h"

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
	assert_int_equal(copy_take(f, "copy"), ERR_OK);
	load_end(loaders, &stop);
	assert_verifies(f->store);

	copy_restore(f, "copy");
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
	copy_restore(f, "copy");
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
	    TEST(a_backup_under_load_holds_whole_batches_and_all_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
