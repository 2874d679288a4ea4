// SPDX-License-Identifier: Apache-2.0
/* Goal: entries are read as they were given, in their order and at their times,
 * and a record from outside parses or does not, and never crashes. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/ledger.h"

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

	assert_audits(f->store, 5);
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
		assert_audits(f->store, 3);
	}
	clock_thaw();
	assert_int_equal(find_time(f, 0), 1);
	assert_int_equal(find_time(f, 10000), 1);
	assert_int_equal(find_time(f, 10001), 4);
	assert_int_equal(find_time(f, 30000), 7);
	assert_int_equal(find_time(f, 50001), 16);
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
	    TEST(what_is_not_utf8_is_written_as_question_marks),
	    TEST(entries_are_numbered_from_one_in_their_order),
	    TEST(reading_begins_and_ends_where_it_was_told),
	    TEST(the_time_of_entries_never_falls),
	    TEST(the_first_entry_of_a_time_is_found),
	    TEST(a_refused_batch_leaves_no_entry),
	    cmocka_unit_test(a_record_cut_anywhere_is_malformed),
	    cmocka_unit_test(a_garbled_record_parses_or_not_but_never_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
