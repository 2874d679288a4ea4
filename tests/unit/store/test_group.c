// SPDX-License-Identifier: Apache-2.0
/*
 * Batches that meet in one transaction, and what a failing disk does to them.
 * This program's own fdatasync, pwrite and nanosleep stand before the C
 * library's, so that a test holds the writer inside a commit or before it, or
 * fails it, at will.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/key.h"

static atomic_bool holding;
static sem_t held, release;
static atomic_int sync_error; /* errno of each data sync; 0: none */
static atomic_int meta_error; /* errno of each write of a meta page */

int fdatasync(int fd)
{
	int error = atomic_load(&sync_error);

	if (atomic_exchange(&holding, false)) {
		sem_post(&held);
		while (sem_wait(&release) != 0)
			continue;
	}
	if (error != 0) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* The engine writes its meta pages by a descriptor that syncs each write. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	int error = atomic_load(&meta_error);

	if (error != 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) {
		errno = error;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, at);
}

static atomic_int naps;
static atomic_bool holding_nap;

/* The writer's, while it waits for others. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	atomic_fetch_add(&naps, 1);
	if (atomic_exchange(&holding_nap, false)) {
		sem_post(&held);
		while (sem_wait(&release) != 0)
			continue;
	}
	return (int)syscall(SYS_nanosleep, time, left);
}

/* ---- commits in threads of their own ---- */

struct job {
	pthread_t thread;
	struct store *store;
	struct batch *batch;
	enum err_code code;
	struct err err;
};

static void *commit_job(void *arg)
{
	struct job *job = arg;

	job->code = store_commit(job->store, job->batch, &job->err);
	return NULL;
}

/* Starts the commit and returns once it is in the queue, behind BEFORE others:
 * the jobs of a test are queued in the order in which they are started. */
static void job_start(struct job *job, struct store *store, uint64_t before)
{
	struct store_stats stats;

	job->store = store;
	assert_int_equal(
	    pthread_create(&job->thread, NULL, commit_job, job), 0);
	do {
		sched_yield();
		store_stats(store, &stats);
	} while (stats.waiting <= before);
}

static enum err_code job_end(struct job *job)
{
	assert_int_equal(pthread_join(job->thread, NULL), 0);
	batch_free(job->batch);
	return job->code;
}

static struct batch *putting(const char *key, const char *value)
{
	struct batch *batch = batch_new();

	batch_put(batch, TABLE_CLUSTERS, BYTES_STR(key), BYTES_STR(value));
	return batch;
}

/* The writer waits inside a commit until let_go. */
static void hold(struct job *first, struct store *store)
{
	*first = (struct job){.batch = putting("first", "1")};
	atomic_store(&holding, true);
	job_start(first, store, 0);
	while (sem_wait(&held) != 0)
		continue;
}

static void let_go(struct job *first)
{
	sem_post(&release);
	assert_int_equal(job_end(first), ERR_OK);
}

static uint64_t commits_of(struct store *store)
{
	struct store_stats stats;

	store_stats(store, &stats);
	return stats.commits;
}

static bool is_writable(struct store *store)
{
	struct store_stats stats;

	store_stats(store, &stats);
	return stats.writable;
}

/* ---- groups ---- */

static void batches_that_wait_share_one_durable_write(void **state)
{
	struct fixture *f = *state;
	struct job first, jobs[20];

	hold(&first, f->store);
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
		char key[16];

		snprintf(key, sizeof(key), "key%u", i);
		jobs[i] = (struct job){.batch = putting(key, "x")};
		job_start(&jobs[i], f->store, i + 1);
	}
	let_go(&first);
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(job_end(&jobs[i]), ERR_OK);
	assert_int_equal(commits_of(f->store), 2);
	assert_value(f->store, "key0", "x");
	assert_value(f->store, "key19", "x");
}

static void a_batch_whose_precondition_fails_is_refused_alone(void **state)
{
	struct fixture *f = *state;
	struct job first, a, b, c;

	hold(&first, f->store);
	a = (struct job){.batch = putting("x", "a")};
	batch_require_absent(a.batch, TABLE_CLUSTERS, BYTES_STR("x"));
	b = (struct job){.batch = putting("b", "b")};
	batch_require_absent(b.batch, TABLE_CLUSTERS, BYTES_STR("x"));
	add_audit(b.batch, "b");
	c = (struct job){.batch = putting("c", "c")};
	add_audit(c.batch, "c");
	job_start(&a, f->store, 1);
	job_start(&b, f->store, 2);
	job_start(&c, f->store, 3);
	let_go(&first);
	assert_int_equal(job_end(&a), ERR_OK);
	assert_int_equal(job_end(&b), ERR_CONFLICT);
	assert_int_equal(job_end(&c), ERR_OK);
	assert_int_equal(commits_of(f->store), 2);
	assert_int_equal(assert_value(f->store, "x", "a"), 1);
	assert_absent(f->store, "b");
	assert_value(f->store, "c", "c");
	assert_int_equal(assert_verifies(f->store), 1);
}

static void a_batch_sees_the_earlier_ones_of_its_group(void **state)
{
	struct fixture *f = *state;
	struct job first, a, b;

	hold(&first, f->store);
	a = (struct job){.batch = putting("x", "a")};
	b = (struct job){.batch = putting("x", "b")};
	batch_require_revision(b.batch, TABLE_CLUSTERS, BYTES_STR("x"), 1);
	job_start(&a, f->store, 1);
	job_start(&b, f->store, 2);
	let_go(&first);
	assert_int_equal(job_end(&a), ERR_OK);
	assert_int_equal(job_end(&b), ERR_OK);
	assert_int_equal(commits_of(f->store), 2);
	assert_int_equal(assert_value(f->store, "x", "b"), 2);
}

/* ---- those who were told of ---- */

static void expect(struct store *store, unsigned count)
{
	atomic_store(&naps, 0);
	for (unsigned i = 0; i < count; i++)
		store_join(store);
}

static void a_commit_waits_for_those_who_are_on_their_way(void **state)
{
	struct fixture *f = *state;
	struct job a = {.batch = putting("a", "1")};
	struct job b = {.batch = putting("b", "2")};

	expect(f->store, 2);
	atomic_store(&holding_nap, true);
	job_start(&a, f->store, 0);
	while (sem_wait(&held) != 0)
		continue;
	job_start(&b, f->store, 1);
	sem_post(&release);
	assert_int_equal(job_end(&a), ERR_OK);
	assert_int_equal(job_end(&b), ERR_OK);
	assert_int_equal(commits_of(f->store), 1);
	assert_int_equal(atomic_load(&naps), 1);
}

static void a_commit_waits_a_bounded_time_for_those_who_do_not_come(
    void **state)
{
	struct fixture *f = *state;

	expect(f->store, 100);
	assert_put(f->store, "a", "1");
	assert_int_equal(atomic_load(&naps), 5);
}

static void a_commit_does_not_wait_for_a_few_or_for_who_has_left(void **state)
{
	struct fixture *f = *state;

	expect(f->store, 1);
	assert_put(f->store, "a", "1");
	expect(f->store, 3);
	for (unsigned i = 0; i < 3; i++)
		store_leave(f->store);
	assert_put(f->store, "b", "2");
	store_leave(f->store);
	assert_put(f->store, "c", "3");
	assert_int_equal(atomic_load(&naps), 0);
}

/* ---- what is full ---- */

#define SMALL_MAP ((uint64_t)1 << 20)

static struct batch *putting_too_much(void)
{
	struct batch *batch = putting("small part of a big batch", "x");
	OWNED_BUF(value);

	buf_extend(&value, 2 * SMALL_MAP);
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("big"), buf_bytes(&value));
	add_audit(batch, "big");
	return batch;
}

static void a_batch_that_does_not_fit_fails_and_the_next_one_fits(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = putting_too_much();

	assert_int_equal(fixture_open(f, SMALL_MAP), ERR_OK);
	assert_int_equal(
	    store_commit(f->store, batch, &f->err), ERR_STORE_FULL);
	assert_contains(f->err.cause, "MAP_FULL");
	assert_false(batch_is_empty(batch));
	assert_true(is_writable(f->store));
	assert_absent(f->store, "small part of a big batch");
	assert_put(f->store, "a", "1");
	assert_value(f->store, "a", "1");
}

static void of_a_group_only_the_batch_that_does_not_fit_fails(void **state)
{
	struct fixture *f = *state;
	struct job first, a, big, refused, b;

	assert_int_equal(fixture_open(f, SMALL_MAP), ERR_OK);
	hold(&first, f->store);
	a = (struct job){.batch = putting("a", "1")};
	add_audit(a.batch, "a");
	big = (struct job){.batch = putting_too_much()};
	refused = (struct job){.batch = putting("refused", "1")};
	batch_require_absent(refused.batch, TABLE_CLUSTERS, BYTES_STR("a"));
	b = (struct job){.batch = putting("b", "1")};
	add_audit(b.batch, "b");
	job_start(&a, f->store, 1);
	job_start(&big, f->store, 2);
	job_start(&refused, f->store, 3);
	job_start(&b, f->store, 4);
	let_go(&first);
	assert_int_equal(job_end(&a), ERR_OK);
	assert_int_equal(job_end(&big), ERR_STORE_FULL);
	assert_int_equal(job_end(&refused), ERR_CONFLICT);
	assert_int_equal(job_end(&b), ERR_OK);
	assert_value(f->store, "a", "1");
	assert_absent(f->store, "big");
	assert_absent(f->store, "small part of a big batch");
	assert_absent(f->store, "refused");
	assert_value(f->store, "b", "1");
	assert_int_equal(assert_verifies(f->store), 2);
}

static void a_full_disk_fails_commits_until_there_is_room(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	atomic_store(&sync_error, ENOSPC);
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE_FULL);
	atomic_store(&sync_error, 0);
	assert_absent(f->store, "b");
	assert_true(is_writable(f->store));
	assert_put(f->store, "b", "2");
	fixture_reopen(f);
	assert_value(f->store, "a", "1");
	assert_value(f->store, "b", "2");
}

/* ---- a disk that fails ---- */

static void a_failed_sync_makes_the_store_read_only_for_good(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	atomic_store(&sync_error, EIO);
	assert_int_equal(put(f->store, "a", "2"), ERR_STORE);
	atomic_store(&sync_error, 0);
	assert_false(is_writable(f->store));
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE);
	assert_value(f->store, "a", "1");
	assert_absent(f->store, "b");
	fixture_reopen(f);
	assert_true(is_writable(f->store));
	assert_put(f->store, "b", "1");
	assert_value(f->store, "a", "1");
}

static void a_failed_meta_page_makes_the_store_read_only_for_good(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	atomic_store(&meta_error, EIO);
	assert_int_equal(put(f->store, "a", "2"), ERR_STORE);
	atomic_store(&meta_error, 0);
	assert_false(is_writable(f->store));
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE);
	fixture_reopen(f);
	assert_put(f->store, "b", "1");
	assert_int_equal(assert_verifies(f->store), 0);
}

static void a_meta_page_without_room_ends_in_a_read_only_store(void **state)
{
	struct fixture *f = *state;

	assert_put(f->store, "a", "1");
	atomic_store(&meta_error, ENOSPC);
	assert_int_equal(put(f->store, "a", "2"), ERR_STORE_FULL);
	atomic_store(&meta_error, 0);
	assert_int_equal(put(f->store, "b", "1"), ERR_STORE);
	assert_false(is_writable(f->store));
}

static void every_batch_of_a_group_learns_that_its_commit_failed(void **state)
{
	struct fixture *f = *state;
	struct job first, a, refused, b;

	hold(&first, f->store);
	a = (struct job){.batch = putting("a", "1")};
	refused = (struct job){.batch = putting("refused", "1")};
	batch_require_absent(refused.batch, TABLE_CLUSTERS, BYTES_STR("a"));
	b = (struct job){.batch = putting("b", "1")};
	job_start(&a, f->store, 1);
	job_start(&refused, f->store, 2);
	job_start(&b, f->store, 3);
	/* The held sync read its own fate before it was held. */
	atomic_store(&sync_error, EIO);
	let_go(&first);
	assert_int_equal(job_end(&a), ERR_STORE);
	assert_int_equal(job_end(&refused), ERR_STORE);
	assert_int_equal(job_end(&b), ERR_STORE);
	atomic_store(&sync_error, 0);
	assert_contains(b.err.cause, "commit");
	assert_absent(f->store, "a");
	assert_value(f->store, "first", "1");
	assert_false(is_writable(f->store));
}

/* ---- many threads ---- */

#define THREADS 32
#define ROUNDS 20

static void add_one(struct store *store, struct batch *batch)
{
	OWNED_BUF(value);
	struct reader reader;
	struct err err;
	uint64_t revision;
	uint64_t count = 0;
	bool found;

	if (store_find(store, TABLE_META, BYTES_STR("count"), &value, &revision,
		&found, &err) != ERR_OK)
		abort();
	reader = reader_over(buf_bytes(&value));
	if (found)
		count = reader_u64(&reader);
	buf_reset(&value);
	buf_put_u64(&value, count + 1);
	batch_require_revision(batch, TABLE_META, BYTES_STR("count"), revision);
	batch_put(batch, TABLE_META, BYTES_STR("count"), buf_bytes(&value));
	add_audit(batch, "count");
}

static void *count_up(void *arg)
{
	struct store *store = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		enum err_code code;
		struct err err;

		do {
			OWNED(batch) batch = batch_new();

			add_one(store, batch);
			code = store_commit(store, batch, &err);
		} while (code == ERR_CONFLICT);
		if (code != ERR_OK)
			abort();
	}
	return NULL;
}

static void no_change_of_many_threads_is_lost(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	OWNED_BUF(value);
	struct reader reader;
	uint64_t revision;
	bool found;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, count_up, f->store), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(store_find(f->store, TABLE_META, BYTES_STR("count"),
			     &value, &revision, &found, &f->err),
	    ERR_OK);
	reader = reader_over(buf_bytes(&value));
	assert_int_equal(reader_u64(&reader), THREADS * ROUNDS);
	assert_int_equal(revision, THREADS * ROUNDS);
	assert_int_equal(assert_verifies(f->store), THREADS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(batches_that_wait_share_one_durable_write),
	    TEST(a_batch_whose_precondition_fails_is_refused_alone),
	    TEST(a_batch_sees_the_earlier_ones_of_its_group),
	    TEST(a_commit_waits_for_those_who_are_on_their_way),
	    TEST(a_commit_waits_a_bounded_time_for_those_who_do_not_come),
	    TEST(a_commit_does_not_wait_for_a_few_or_for_who_has_left),
	    TEST_CLOSED(a_batch_that_does_not_fit_fails_and_the_next_one_fits),
	    TEST_CLOSED(of_a_group_only_the_batch_that_does_not_fit_fails),
	    TEST(a_full_disk_fails_commits_until_there_is_room),
	    TEST(a_failed_sync_makes_the_store_read_only_for_good),
	    TEST(a_failed_meta_page_makes_the_store_read_only_for_good),
	    TEST(a_meta_page_without_room_ends_in_a_read_only_store),
	    TEST(every_batch_of_a_group_learns_that_its_commit_failed),
	    TEST(no_change_of_many_threads_is_lost),
	};

	sem_init(&held, 0, 0);
	sem_init(&release, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
