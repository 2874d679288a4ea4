// SPDX-License-Identifier: Apache-2.0
/* Goal: a listing shows each certificate that matches once, whatever the page,
 * and nothing where a record is corrupt; those of an identity are listed while
 * they are valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/record.h"

static struct err err;

static void certificates_of_an_identity_are_listed_while_they_are_valid(
    void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct certificate *page[4];
	uint8_t id[IDENTITY_ID_SIZE];
	size_t count = 9;

	(void)state;
	clock_freeze(RECORD_NOW + 100);
	memset(id, 0xdd, sizeof(id));
	for (uint8_t i = 1; i <= 5; i++) {
		OWNED(certificate) record = record_new(i);

		memset(record->identity, i == 4 ? 0xee : 0xdd, sizeof(id));
		if (i == 2)
			record->not_after = RECORD_NOW + 50;
		if (i == 3) {
			record->state = CERTIFICATE_REVOKED;
			record->revoked = RECORD_NOW + 80;
		}
		record_commit(fixture, record);
	}
	assert_int_equal(certificate_list_identity(fixture->store, id, page, 4,
	    &count, &err), ERR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(page[0]->serial.octets[5], 1);
	assert_int_equal(page[1]->serial.octets[5], 5);
	certificate_free(page[0]);
	certificate_free(page[1]);
	assert_int_equal(certificate_list_identity(fixture->store, id, page, 1,
	    &count, &err), ERR_OK);
	assert_int_equal(count, 1);
	certificate_free(page[0]);
	clock_thaw();
}

static void a_revoked_certificate_leaves_the_list_of_its_identity(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(1);
	OWNED(certificate) kept = NULL;
	struct certificate *page[4];
	size_t count = 9;

	(void)state;
	clock_freeze(RECORD_NOW + 100);
	memset(record->identity, 0xdd, sizeof(record->identity));
	record_commit(fixture, record);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTS_BY_IDENTITY), 1);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &kept, &err), ERR_OK);
	kept->state = CERTIFICATE_REVOKED;
	kept->revoked = RECORD_NOW + 80;
	record_commit(fixture, kept);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTS_BY_IDENTITY), 0);
	assert_int_equal(certificate_list_identity(fixture->store,
	    record->identity, page, 4, &count, &err), ERR_OK);
	assert_int_equal(count, 0);
	clock_thaw();
}

/* 20 records: N = 1..20, cluster db1 for odd N, db2 for even; expiring N hours
 * after RECORD_NOW; those over 15 revoked; each with DNS name nN.example. */
static struct fixture *with_records(void)
{
	struct fixture *fixture = fixture_new();
	OWNED(batch) batch = batch_new();

	for (uint8_t n = 1; n <= 20; n++) {
		OWNED(certificate) record = record_new(n);
		OWNED_STR(name) = mem_printf("n%u.example", n);

		record->cluster[2] = n % 2 == 1 ? '1' : '2';
		record->not_after = RECORD_NOW + n * 3600;
		if (n > 15) {
			record->state = CERTIFICATE_REVOKED;
			record->revoked = RECORD_NOW + 61;
		}
		assert_int_equal(names_add(record->names, NAME_DNS,
		    bytes_str(name), &err), ERR_OK);
		certificate_put(batch, record);
	}
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	return fixture;
}

/* Walks all pages and sums 1 << N of what it is shown. */
static uint32_t list(struct fixture *fixture, struct certificate_query query)
{
	struct certificate *page[20];
	OWNED_BUF(cursor);
	OWNED_BUF(after);
	uint32_t seen = 0;
	size_t count;

	for (int pages = 0; pages < 100; pages++) {
		query.after = buf_bytes(&after);
		assert_int_equal(certificate_list(fixture->store, &query, page,
		    &count, &cursor, &err), ERR_OK);
		assert_true(count <= query.limit);
		for (size_t i = 0; i < count; i++) {
			uint32_t bit = 1u << page[i]->serial.octets[1];

			assert_int_equal(seen & bit, 0);
			seen |= bit;
			certificate_free(page[i]);
		}
		if (cursor.len == 0)
			return seen;
		buf_reset(&after);
		buf_put_bytes(&after, buf_bytes(&cursor));
	}
	fail();
	return 0;
}

static void a_listing_shows_each_match_once_whatever_the_page(void **state)
{
	static const size_t limits[] = {1, 2, 3, 7, 19, 20};
	OWNED(fixture) fixture = with_records();
	const uint32_t all = 0x1ffffe, odd = 0x0aaaaa;

	(void)state;
	clock_freeze(RECORD_NOW);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		size_t limit = limits[i];

		assert_int_equal(list(fixture, (struct certificate_query){
		    .limit = limit}), all);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .cluster = "db1", .limit = limit}), odd);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .cluster = "db3", .limit = limit}), 0);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .state = CERTIFICATE_REVOKED, .limit = limit}), 0x1f0000);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .state = CERTIFICATE_UNRESOLVED, .limit = limit}), 0);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .expires_before = RECORD_NOW + 4 * 3600, .limit = limit}), 0xe);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .cluster = "db1", .expires_before = RECORD_NOW + 4 * 3600,
		    .limit = limit}), 0xa);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .name = "n9.example", .limit = limit}), 1u << 9);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .name = "a.example", .cluster = "db2", .limit = limit}),
		    all & ~odd);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .name = "n9.exampl", .limit = limit}), 0);
	}
	clock_thaw();
}

static void expired_certificates_are_neither_valid_nor_lost(void **state)
{
	OWNED(fixture) fixture = with_records();

	(void)state;
	/* 1 to 4 are over; 5 ends in this second and is still valid. */
	clock_freeze(RECORD_NOW + 5 * 3600);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .expired = true, .limit = 3}), 0x1e);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .state = CERTIFICATE_VALID, .limit = 3}), 0xffe0);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .state = CERTIFICATE_VALID, .expires_before = RECORD_NOW + 7 * 3600,
	    .limit = 3}), 0x60);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .expired = true, .cluster = "db2", .limit = 3}), 0x14);
	clock_thaw();
}

static void a_listing_refuses_a_wrong_limit_cluster_or_cursor(void **state)
{
	OWNED(fixture) fixture = with_records();
	struct certificate *page[1];
	OWNED_BUF(cursor);
	size_t count;
	const struct certificate_query wrong[] = {
	    {.limit = 0}, {.limit = 1001}, {.limit = 1, .cluster = "DB 1"},
	    {.limit = 1, .cluster = "db1", .after = BYTES("db2", 4)},
	    {.limit = 1, .cluster = "db1", .after = BYTES("d", 1)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(certificate_list(fixture->store, &wrong[i],
		    page, &count, &cursor, &err), ERR_BAD_FIELD);
		assert_int_equal(count, 0);
	}
}

static void a_listing_over_a_corrupt_record_fails_and_leaks_nothing(
    void **state)
{
	OWNED(fixture) fixture = with_records();
	OWNED(batch) batch = batch_new();
	OWNED(certificate) record = record_new(10);
	struct certificate *page[20];
	OWNED_BUF(cursor);
	size_t count;

	(void)state;
	batch_put(batch, TABLE_CERTIFICATES, serial_bytes(&record->serial),
	    BYTES("\x01\x00", 2));
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(certificate_list(fixture->store,
	    &(struct certificate_query){.limit = 20}, page, &count, &cursor,
	    &err), ERR_CORRUPT);
	assert_int_equal(count, 0);
}

#define TEST cmocka_unit_test

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(certificates_of_an_identity_are_listed_while_they_are_valid),
	    TEST(a_revoked_certificate_leaves_the_list_of_its_identity),
	    TEST(a_listing_shows_each_match_once_whatever_the_page),
	    TEST(expired_certificates_are_neither_valid_nor_lost),
	    TEST(a_listing_refuses_a_wrong_limit_cluster_or_cursor),
	    TEST(a_listing_over_a_corrupt_record_fails_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
