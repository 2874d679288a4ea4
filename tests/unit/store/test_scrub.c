// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: whatever is changed, moved, rolled back, removed or added in a
 * sealed store is found by a pass over it, though nobody reads; and a pass finds
 * nothing else, whatever is written beside it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/log.h"
#include "raw.h"
#include "sealing.h"
#include "store/scrub.h"

#define STEPS_MAX 10000

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

/* What happens between the steps of a pass. */
typedef void between(struct fixture *f, unsigned step);

struct found {
	unsigned faults;	/* steps that found something */
	struct err first;
	struct scrub_progress last;
};

/* One whole pass in steps of ROWS. */
static struct found pass_over(
    struct fixture *f, struct scrub *scrub, size_t rows, between *meanwhile)
{
	struct found found = {0};

	for (unsigned i = 0; i < STEPS_MAX; i++) {
		enum err_code code =
		    scrub_step(scrub, rows, &found.last, &f->err);

		if (code == ERR_CORRUPT && found.faults++ == 0)
			found.first = f->err;
		else if (code != ERR_OK && code != ERR_CORRUPT)
			fail_msg("%s%s", f->err.detail, f->err.cause);
		if (found.last.ended)
			return found;
		if (meanwhile != NULL)
			meanwhile(f, i);
	}
	fail_msg("the pass does not end");
	return found;
}

static struct found pass_once(struct fixture *f)
{
	OWNED(scrub) scrub = NULL;

	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	return pass_over(f, scrub, 3, NULL);
}

static void assert_all_fits(struct fixture *f)
{
	struct found found = pass_once(f);

	if (found.faults != 0)
		fail_msg("%s", found.first.cause);
}

static void assert_found(struct fixture *f, const char *cause)
{
	struct store_stats before, after;
	struct found found;

	store_stats(f->store, &before);
	found = pass_once(f);
	store_stats(f->store, &after);
	assert_int_not_equal(found.faults, 0);
	assert_contains(found.first.cause, cause);
	assert_true(after.amiss > before.amiss);
	/* It is found by each pass until it is mended. */
	assert_contains(pass_once(f).first.cause, cause);
}

static void put_row(struct fixture *f, enum table table, unsigned number)
{
	OWNED(batch) batch = batch_new();
	char key[16];

	snprintf(key, sizeof(key), "row-%05u", number);
	batch_put(batch, table, BYTES_STR(key), BYTES_STR("content"));
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
}

static void fill(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		put_row(f, TABLE_CLUSTERS, i);
		put_row(f, TABLE_CERTS_BY_CLUSTER, i);
	}
}

/* ---- what is not found ---- */

static void a_pass_over_what_was_written_finds_nothing(void **state)
{
	struct fixture *f = *state;
	OWNED(scrub) scrub = NULL;
	struct found found;

	fill(f, 20);
	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	for (size_t rows = 1; rows < 30; rows += 7) {
		found = pass_over(f, scrub, rows, NULL);
		assert_int_equal(found.faults, 0);
		assert_int_equal(found.last.rows, 40);
		assert_int_equal(found.last.total, 40);
	}
}

static unsigned long next_random = 1;

static unsigned draw(unsigned below)
{
	next_random = next_random * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(next_random >> 33) % below;
}

/* Puts, deletes, and batches that are refused, behind the pass and before it. */
static void write_anything(struct fixture *f, unsigned step)
{
	OWNED(batch) batch = batch_new();
	bool refused = step % 5 == 4;

	for (unsigned i = 0; i < 3; i++) {
		enum table table =
		    draw(2) == 0 ? TABLE_CLUSTERS : TABLE_CERTS_BY_CLUSTER;
		char key[16];

		snprintf(key, sizeof(key), "row-%05u", draw(120));
		if (draw(3) == 0)
			batch_delete(batch, table, BYTES_STR(key));
		else
			batch_put(batch, table, BYTES_STR(key),
			    BYTES_STR(draw(2) == 0 ? "one" : "other"));
	}
	if (refused)
		batch_require_revision(
		    batch, TABLE_CLUSTERS, BYTES_STR("nosuch"), 7);
	assert_int_equal(store_commit(f->store, batch, &f->err),
	    refused ? ERR_CONFLICT : ERR_OK);
}

static void what_is_written_beside_a_pass_is_counted_with_it(void **state)
{
	struct fixture *f = *state;
	OWNED(scrub) scrub = NULL;

	fill(f, 60);
	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	for (size_t rows = 1; rows <= 41; rows += 8) {
		struct found found =
		    pass_over(f, scrub, rows, write_anything);

		if (found.faults != 0)
			fail_msg("%zu: %s", rows, found.first.cause);
	}
}

struct writing {
	struct fixture *f;
	atomic_bool stop;
	unsigned written;
};

static void *write_on(void *arg)
{
	struct writing *writing = arg;
	struct err err;

	while (!atomic_load(&writing->stop)) {
		OWNED(batch) batch = batch_new();
		char key[16];
		unsigned number = writing->written * 7919 % 100;

		snprintf(key, sizeof(key), "row-%05u", number);
		if (writing->written % 3 == 0)
			batch_delete(batch, TABLE_CLUSTERS, BYTES_STR(key));
		else
			batch_put(batch, TABLE_CLUSTERS, BYTES_STR(key),
			    BYTES_STR("thread"));
		if (store_commit(writing->f->store, batch, &err) != ERR_OK)
			return arg;
		writing->written++;
	}
	return NULL;
}

static void a_pass_and_a_writer_at_once_do_not_disturb_each_other(void **state)
{
	struct fixture *f = *state;
	struct writing writing = {.f = f};
	OWNED(scrub) scrub = NULL;
	pthread_t thread;
	void *failed;

	fill(f, 50);
	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	assert_int_equal(
	    pthread_create(&thread, NULL, write_on, &writing), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct found found = pass_over(f, scrub, 5, NULL);

		if (found.faults != 0)
			fail_msg("%u: %s", i, found.first.cause);
	}
	atomic_store(&writing.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
}

/* ---- what is ---- */

static void spoil(struct fixture *f, const char *table, const char *key)
{
	OWNED_BUF(row);

	fixture_close(f);
	raw_get(f, table, BYTES_STR(key), &row);
	row.data[row.len - 1] ^= 1;
	raw_put(f, table, BYTES_STR(key), buf_bytes(&row));
	open_sealed(f);
}

static void a_row_that_nobody_reads_is_found_when_it_was_changed(void **state)
{
	struct fixture *f = *state;

	fill(f, 10);
	assert_all_fits(f);
	spoil(f, "clusters", "row-00004");
	assert_found(f, "clusters: the row row-00004, revision 1, does not open");
}

static void a_row_that_cannot_be_read_ends_no_pass_and_is_told_of(void **state)
{
	struct fixture *f = *state;
	OWNED(scrub) scrub = NULL;
	struct scrub_progress progress = {.ended = true};
	struct store_stats stats;

	fill(f, 3);
	fixture_close(f);
	raw_put(f, "clusters", BYTES_STR("row-00000"), BYTES_STR("short"));
	open_sealed(f);
	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	assert_int_equal(
	    scrub_step(scrub, 10, &progress, &f->err), ERR_CORRUPT);
	assert_false(progress.ended);
	store_stats(f->store, &stats);
	assert_int_equal(stats.amiss, 1);
}

static void each_row_that_was_changed_is_found_and_the_pass_goes_on(
    void **state)
{
	struct fixture *f = *state;
	struct found found;

	fill(f, 10);
	spoil(f, "clusters", "row-00002");
	spoil(f, "clusters", "row-00007");
	found = pass_once(f);
	/* Of both rows, and of the table that they are of. */
	assert_int_equal(found.faults, 3);
	assert_int_equal(found.last.rows, 20);
}

static void a_counted_row_that_was_changed_is_found_by_its_table(void **state)
{
	struct fixture *f = *state;

	fill(f, 10);
	spoil(f, "certs_by_cluster", "row-00004");
	assert_found(f, "certs_by_cluster: of the 10 rows");
}

static void a_row_that_was_put_back_is_found(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	fill(f, 5);
	fixture_close(f);
	raw_get(f, "clusters", BYTES_STR("row-00003"), &row);
	open_sealed(f);
	put_row(f, TABLE_CLUSTERS, 3);
	assert_all_fits(f);
	fixture_close(f);
	raw_put(f, "clusters", BYTES_STR("row-00003"), buf_bytes(&row));
	open_sealed(f);
	assert_found(f, "clusters: of the 5 rows");
}

static void a_row_that_is_gone_and_one_that_was_added_are_found(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	fill(f, 5);
	fixture_close(f);
	raw_get(f, "certs_by_cluster", BYTES_STR("row-00004"), &row);
	raw_delete(f, "certs_by_cluster", BYTES_STR("row-00004"));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: 4 rows where the tally has 5");
	fixture_close(f);
	raw_put(f, "certs_by_cluster", BYTES_STR("row-00004"), buf_bytes(&row));
	raw_put(f, "certs_by_cluster", BYTES_STR("row-00009"), buf_bytes(&row));
	open_sealed(f);
	assert_found(f, "certs_by_cluster: 6 rows where the tally has 5");
}

/* ---- beginning and end ---- */

static void a_store_that_is_not_sealed_has_no_pass(void **state)
{
	struct fixture *f = *state;
	OWNED(scrub) scrub = NULL;

	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_CONFIG);
	assert_null(scrub);
}

static int64_t find_end(struct fixture *f)
{
	OWNED(scrub) scrub = NULL;
	int64_t time = -1;

	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	assert_int_equal(scrub_find_end(scrub, &time, &f->err), ERR_OK);
	return time;
}

static void put_end(struct fixture *f, int64_t time)
{
	OWNED(scrub) scrub = NULL;
	OWNED(batch) batch = batch_new();

	assert_int_equal(scrub_new(f->store, &scrub, &f->err), ERR_OK);
	assert_int_equal(scrub_put_end(scrub, batch, time, &f->err), ERR_OK);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
}

static void the_end_of_a_pass_is_known_to_the_next_and_made_up_by_nobody(
    void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(row);

	assert_int_equal(find_end(f), 0);
	put_end(f, 1000);
	fixture_close(f);
	open_sealed(f);
	assert_int_equal(find_end(f), 1000);
	assert_all_fits(f);
	fixture_close(f);
	raw_get(f, "meta", BYTES_STR("scrub"), &row);
	for (size_t i = 8; i < row.len; i += 5) {
		row.data[i] ^= 1;
		raw_put(f, "meta", BYTES_STR("scrub"), buf_bytes(&row));
		open_sealed(f);
		assert_int_equal(find_end(f), 0);
		fixture_close(f);
		row.data[i] ^= 1;
	}
	raw_put(f, "meta", BYTES_STR("scrub"), buf_bytes(&row));
	open_sealed(f);
	assert_int_equal(find_end(f), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_SEALED(
		a_row_that_cannot_be_read_ends_no_pass_and_is_told_of),
	    TEST_SEALED(a_pass_over_what_was_written_finds_nothing),
	    TEST_SEALED(what_is_written_beside_a_pass_is_counted_with_it),
	    TEST_SEALED(
		a_pass_and_a_writer_at_once_do_not_disturb_each_other),
	    TEST_SEALED(a_row_that_nobody_reads_is_found_when_it_was_changed),
	    TEST_SEALED(
		each_row_that_was_changed_is_found_and_the_pass_goes_on),
	    TEST_SEALED(a_counted_row_that_was_changed_is_found_by_its_table),
	    TEST_SEALED(a_row_that_was_put_back_is_found),
	    TEST_SEALED(a_row_that_is_gone_and_one_that_was_added_are_found),
	    TEST(a_store_that_is_not_sealed_has_no_pass),
	    TEST_SEALED(
		the_end_of_a_pass_is_known_to_the_next_and_made_up_by_nobody),
	};

	struct err err;
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
