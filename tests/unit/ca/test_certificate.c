// SPDX-License-Identifier: Apache-2.0
/* Goal: a record reads back as it was written or not at all, and is put once
 * and replaced only as it was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/record.h"

static struct err err;

static void assert_same(
    const struct certificate *a, const struct certificate *b)
{
	assert_memory_equal(&a->serial.octets, &b->serial.octets, 18);
	assert_int_equal(a->state, b->state);
	assert_string_equal(a->issuer, b->issuer);
	assert_int_equal(a->cluster == NULL, b->cluster == NULL);
	if (a->cluster != NULL)
		assert_string_equal(a->cluster, b->cluster);
	assert_string_equal(a->profile, b->profile);
	assert_int_equal(a->policy == NULL, b->policy == NULL);
	if (a->policy != NULL)
		assert_string_equal(a->policy, b->policy);
	assert_string_equal(a->requester, b->requester);
	assert_int_equal(a->roles, b->roles);
	assert_int_equal(a->not_before, b->not_before);
	assert_int_equal(a->not_after, b->not_after);
	assert_int_equal(a->created, b->created);
	assert_int_equal(a->renew_after, b->renew_after);
	assert_int_equal(a->revoked, b->revoked);
	assert_int_equal(a->reason, b->reason);
	assert_memory_equal(a->spki_hash, b->spki_hash, 32);
	assert_memory_equal(a->tbs_hash, b->tbs_hash, 32);
	assert_memory_equal(a->token_id, b->token_id, TOKEN_ID_SIZE);
	assert_memory_equal(a->identity, b->identity, IDENTITY_ID_SIZE);
	assert_true(names_equal(a->names, b->names));
	assert_int_equal(a->der_len, b->der_len);
	if (a->der_len > 0)
		assert_memory_equal(a->der, b->der, a->der_len);
}

static void check_round(const struct certificate *record)
{
	OWNED(certificate) back = NULL;
	OWNED_BUF(value);

	certificate_write(record, &value);
	assert_int_equal(certificate_read(&record->serial, buf_bytes(&value),
	    &back, &err), ERR_OK);
	assert_same(record, back);
}

static void a_record_reads_back_as_it_was_written(void **state)
{
	OWNED(certificate) record = record_new(7);

	(void)state;
	check_round(record);
	record->state = CERTIFICATE_REVOKED;
	record->revoked = RECORD_NOW + 100;
	record->reason = 1;
	check_round(record);
	free(record->cluster);
	record->cluster = NULL;
	free(record->policy);
	record->policy = NULL;
	check_round(record);
	record->state = CERTIFICATE_UNRESOLVED;
	free(record->der);
	record->der = NULL;
	record->der_len = 0;
	check_round(record);
}

/* A store that was written by an older program must be read for ever. */
static void a_record_of_format_1_is_read(void **state)
{
	static const char golden[] =
	    "01" "01" "0000000969737375696e672d31" "00000003646231"
	    "0000000470656572" "0000000465746364"
	    "00000008746f6b656e3a3463" "00000010"
	    "000000006b49d200" "000000006b4b237f" "000000006b49d23c"
	    "000000006b4ab300" "0000000000000000" "00"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	    "cccccccccccccccccccccccccccccccc";
	OWNED(certificate) expected = record_new(7);
	OWNED(certificate) record = NULL;
	OWNED_BUF(value);
	OWNED_BUF(written);

	(void)state;
	assert_true(hex_parse_any(golden, sizeof(golden) / 2, &value));
	names_write(expected->names, &value);	/* has its own golden test */
	buf_put_lv(&value, BYTES("\x30\x02\x05\x00", 4));
	certificate_write(expected, &written);
	assert_int_equal(written.len, value.len);
	assert_memory_equal(written.data, value.data, value.len);
	assert_int_equal(certificate_read(&expected->serial,
	    buf_bytes(&value), &record, &err), ERR_OK);
	assert_same(expected, record);
}

/* Version 2 is version 1 with an identity, and only with one. */
static void a_record_of_an_identity_is_of_format_2(void **state)
{
	OWNED(certificate) record = record_new(7);
	OWNED(certificate) back = NULL;
	OWNED_BUF(first);
	OWNED_BUF(second);
	OWNED_BUF(none);

	(void)state;
	certificate_write(record, &first);
	assert_int_equal(first.data[0], 1);
	memset(record->identity, 0xdd, IDENTITY_ID_SIZE);
	check_round(record);
	certificate_write(record, &second);
	assert_int_equal(second.data[0], 2);
	assert_int_equal(second.len, first.len + IDENTITY_ID_SIZE);
	assert_memory_equal(
	    first.data + 1, second.data + 1, first.len - 1);
	buf_put_bytes(&none, buf_bytes(&second));
	memset(none.data + first.len, 0, IDENTITY_ID_SIZE);
	assert_int_equal(certificate_read(&record->serial, buf_bytes(&none),
	    &back, &err), ERR_CORRUPT);
	for (size_t len = 0; len < second.len; len++)
		assert_int_equal(certificate_read(&record->serial,
		    BYTES(second.data, len), &back, &err), ERR_CORRUPT);
}

static void a_certificate_is_of_a_cluster_an_identity_or_signet(void **state)
{
	OWNED(certificate) record = record_new(7);
	uint8_t id[IDENTITY_ID_SIZE];

	(void)state;
	assert_int_equal(certificate_object(record).kind, OBJECT_PLAIN);
	assert_string_equal(certificate_object(record).cluster, "db1");
	/* A cluster's profile may be called so; a policy decided. */
	free(record->profile);
	record->profile = mem_strdup("identity");
	assert_false(certificate_identity(record, id));
	/* The first admin of an early version. */
	free(record->policy);
	record->policy = NULL;
	assert_true(certificate_identity(record, id));
	assert_memory_equal(id, record->spki_hash, sizeof(id));
	record->roles = 0;
	assert_false(certificate_identity(record, id));
	free(record->cluster);
	record->cluster = NULL;
	assert_int_equal(certificate_object(record).kind, OBJECT_SERVICE);
	memset(record->identity, 0xdd, IDENTITY_ID_SIZE);
	assert_int_equal(certificate_object(record).kind, OBJECT_IDENTITY);
	assert_null(certificate_object(record).cluster);
	assert_true(certificate_identity(record, id));
	assert_memory_equal(id, record->identity, sizeof(id));
}

static void a_certificate_of_another_cluster_is_not_found(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	OWNED(certificate) absent = record_new(8);
	OWNED(certificate) found = NULL;
	OWNED_STR(text) = serial_format(&record->serial);

	(void)state;
	record_commit(fixture, record);
	assert_int_equal(certificate_get_of(fixture->store, "db1",
	    &record->serial, &found, &err), ERR_OK);
	certificate_free(GIVE(found));
	assert_int_equal(certificate_get_of(fixture->store, "db2",
	    &record->serial, &found, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.detail, text));
	assert_int_equal(certificate_get_of(fixture->store, "db1",
	    &absent->serial, &found, &err), ERR_NOT_FOUND);
}

static void every_prefix_of_a_record_is_corrupt(void **state)
{
	OWNED(certificate) record = record_new(7);
	struct certificate *back = NULL;
	OWNED_BUF(value);

	(void)state;
	certificate_write(record, &value);
	for (size_t len = 0; len < value.len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, value.data, len);
		assert_int_equal(certificate_read(&record->serial,
		    BYTES(copy, len), &back, &err), ERR_CORRUPT);
		assert_null(back);
		free(copy);
	}
	buf_put_u8(&value, 0);
	assert_int_equal(certificate_read(&record->serial, buf_bytes(&value),
	    &back, &err), ERR_CORRUPT);
}

/* What can be read of a damaged record can be written and is then the same. */
static void a_damaged_record_is_corrupt_or_another_record(void **state)
{
	OWNED(certificate) record = record_new(7);
	OWNED_BUF(value);
	unsigned corrupt = 0;

	(void)state;
	certificate_write(record, &value);
	for (size_t i = 0; i < value.len * 8; i++) {
		OWNED(certificate) back = NULL;
		OWNED_BUF(again);
		enum err_code code;

		value.data[i / 8] ^= (uint8_t)(1u << i % 8);
		code = certificate_read(
		    &record->serial, buf_bytes(&value), &back, &err);
		if (code == ERR_OK) {
			certificate_write(back, &again);
			assert_int_equal(again.len, value.len);
			assert_memory_equal(
			    again.data, value.data, value.len);
		} else {
			assert_int_equal(code, ERR_CORRUPT);
			corrupt++;
		}
		value.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(corrupt > 100);
}

static void a_record_that_contradicts_itself_is_corrupt(void **state)
{
	static const struct {
		enum certificate_state state;
		int64_t revoked;
		uint8_t reason;
		bool der;
		enum err_code code;
	} cases[] = {
	    {CERTIFICATE_VALID, 0, 0, true, ERR_OK},
	    {CERTIFICATE_VALID, 0, 0, false, ERR_OK},	/* an intent */
	    {CERTIFICATE_VALID, 5, 0, true, ERR_CORRUPT},
	    {CERTIFICATE_REVOKED, 5, 10, true, ERR_OK},
	    {CERTIFICATE_REVOKED, 5, 11, true, ERR_CORRUPT},
	    {CERTIFICATE_REVOKED, 0, 0, true, ERR_CORRUPT},
	    {CERTIFICATE_REVOKED, 5, 0, false, ERR_CORRUPT},
	    {CERTIFICATE_UNRESOLVED, 5, 0, false, ERR_OK},
	    {CERTIFICATE_UNRESOLVED, 5, 0, true, ERR_CORRUPT},
	    {CERTIFICATE_UNRESOLVED, 0, 0, false, ERR_CORRUPT},
	    {(enum certificate_state)4, 5, 0, true, ERR_CORRUPT},
	    {(enum certificate_state)0, 0, 0, true, ERR_CORRUPT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED(certificate) record = record_new(7);
		OWNED(certificate) back = NULL;
		OWNED_BUF(value);

		record->state = cases[i].state;
		record->revoked = cases[i].revoked;
		record->reason = cases[i].reason;
		if (!cases[i].der)
			record->der_len = 0;
		certificate_write(record, &value);
		assert_int_equal(certificate_read(&record->serial,
		    buf_bytes(&value), &back, &err), cases[i].code);
	}
}

static void a_serial_that_is_not_on_record_is_not_found(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_NOT_FOUND);
	assert_int_equal(certificate_find(fixture->store, &record->serial,
	    &found, &err), ERR_OK);
	assert_null(found);
	record_commit(fixture, record);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_OK);
	assert_int_equal(found->revision, 1);
	certificate_free(found);
}

static void a_valid_certificate_without_der_is_corrupt(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	struct certificate *found = NULL;

	(void)state;
	record->der_len = 0;
	record_commit(fixture, record);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_CORRUPT);
}

static void a_serial_is_put_once_and_replaced_only_as_read(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	OWNED(batch) again = batch_new();
	OWNED(batch) change = batch_new();
	OWNED(batch) stale = batch_new();

	(void)state;
	record_commit(fixture, record);
	certificate_put(again, record);
	assert_int_equal(
	    store_commit(fixture->store, again, &err), ERR_CONFLICT);
	record->revision = 1;
	record->state = CERTIFICATE_REVOKED;
	record->revoked = RECORD_NOW + 5;
	certificate_put(change, record);
	assert_int_equal(store_commit(fixture->store, change, &err), ERR_OK);
	certificate_put(stale, record);
	assert_int_equal(
	    store_commit(fixture->store, stale, &err), ERR_CONFLICT);
	assert_int_equal(fixture_count(fixture, TABLE_CERTIFICATES), 1);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_CLUSTER), 1);
	assert_int_equal(fixture_count(fixture, TABLE_CERTS_BY_EXPIRY), 1);
	assert_int_equal(fixture_count(fixture, TABLE_REVOKED), 1);
}

static void an_intent_needs_its_serial_unused(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	OWNED(batch) first = batch_new();
	OWNED(batch) second = batch_new();
	OWNED(batch) third = batch_new();
	OWNED(batch) settle = batch_new();
	OWNED(batch) twice = batch_new();

	(void)state;
	intent_put(first, record);
	assert_int_equal(store_commit(fixture->store, first, &err), ERR_OK);
	intent_put(second, record);
	assert_int_equal(
	    store_commit(fixture->store, second, &err), ERR_CONFLICT);
	intent_delete(settle, &record->serial);
	certificate_put(settle, record);
	assert_int_equal(store_commit(fixture->store, settle, &err), ERR_OK);
	intent_put(third, record);
	assert_int_equal(
	    store_commit(fixture->store, third, &err), ERR_CONFLICT);
	intent_delete(twice, &record->serial);
	assert_int_equal(
	    store_commit(fixture->store, twice, &err), ERR_CONFLICT);
}

static void a_revocation_row_tells_what_a_crl_entry_needs(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = record_new(7);
	OWNED(scan) scan = NULL;
	struct revocation row;
	struct bytes key, value;
	bool more;

	(void)state;
	record->state = CERTIFICATE_REVOKED;
	record->revoked = RECORD_NOW + 5;
	record->reason = 4;
	record_commit(fixture, record);
	assert_int_equal(scan_open(fixture->store, TABLE_REVOKED,
	    BYTES("issuing-1", 10), BYTES(NULL, 0), &scan, &err), ERR_OK);
	assert_int_equal(scan_next(scan, &key, &value, &more, &err), ERR_OK);
	assert_true(more);
	assert_true(revocation_read(key, 10, value, &row));
	assert_memory_equal(row.serial.octets, record->serial.octets, 18);
	assert_int_equal(row.revoked, RECORD_NOW + 5);
	assert_int_equal(row.not_after, record->not_after);
	assert_int_equal(row.reason, 4);
	for (size_t len = 0; len < value.len; len++)
		assert_false(revocation_read(
		    key, 10, BYTES(value.data, len), &row));
	assert_false(revocation_read(BYTES(key.data, 10), 10, value, &row));
	assert_false(revocation_read(key, 5, value, &row));
}

#define TEST cmocka_unit_test

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_record_reads_back_as_it_was_written),
	    TEST(a_record_of_format_1_is_read),
	    TEST(a_record_of_an_identity_is_of_format_2),
	    TEST(a_certificate_is_of_a_cluster_an_identity_or_signet),
	    TEST(a_certificate_of_another_cluster_is_not_found),
	    TEST(every_prefix_of_a_record_is_corrupt),
	    TEST(a_damaged_record_is_corrupt_or_another_record),
	    TEST(a_record_that_contradicts_itself_is_corrupt),
	    TEST(a_serial_that_is_not_on_record_is_not_found),
	    TEST(a_valid_certificate_without_der_is_corrupt),
	    TEST(a_serial_is_put_once_and_replaced_only_as_read),
	    TEST(an_intent_needs_its_serial_unused),
	    TEST(a_revocation_row_tells_what_a_crl_entry_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
