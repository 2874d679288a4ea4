// SPDX-License-Identifier: Apache-2.0
/* Goal: a record reads back as it was written or not at all, only the exact
 * octets on record authenticate, and a listing shows each match once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "tests/unit/ca/fixture.h"

static struct err err;

#define NOW INT64_C(1800000000)

static char *text_of(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

/* Serial and times from N; with some made-up DER. */
static struct certificate *new_record(uint8_t n)
{
	struct certificate *record = mem_zalloc(sizeof(*record));

	memset(record->serial.octets, n, 18);
	record->serial.octets[0] = 1;
	record->serial.len = 18;
	record->state = CERTIFICATE_VALID;
	record->issuer = text_of("issuing-1");
	record->cluster = text_of("db1");
	record->profile = text_of("peer");
	record->policy = text_of("etcd");
	record->requester = text_of("token:4c");
	record->roles = ROLE_NODE;
	record->not_before = NOW;
	record->not_after = NOW + 86399;
	record->created = NOW + 60;
	record->renew_after = NOW + 57600;
	memset(record->spki_hash, 0xaa, 32);
	memset(record->tbs_hash, 0xbb, 32);
	memset(record->token_id, 0xcc, TOKEN_ID_SIZE);
	record->names = names_new();
	assert_int_equal(names_set_cn(record->names, BYTES_STR("a.example"),
	    &err), ERR_OK);
	assert_int_equal(names_add(record->names, NAME_DNS,
	    BYTES_STR("a.example"), &err), ERR_OK);
	record->der_len = 4;
	record->der = mem_zalloc(4);
	memcpy(record->der, "\x30\x02\x05\x00", 4);
	return record;
}

static void commit(struct fixture *fixture, const struct certificate *record)
{
	OWNED(batch) batch = batch_new();

	certificate_put(batch, record);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
}

/* ---- the record ---- */

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
	OWNED(certificate) record = new_record(7);

	(void)state;
	check_round(record);
	record->state = CERTIFICATE_REVOKED;
	record->revoked = NOW + 100;
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
	OWNED(certificate) expected = new_record(7);
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
	OWNED(certificate) record = new_record(7);
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
	OWNED(certificate) record = new_record(7);
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

static void certificates_of_an_identity_are_listed_while_they_are_valid(
    void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct certificate *page[4];
	uint8_t id[IDENTITY_ID_SIZE];
	size_t count = 9;

	(void)state;
	clock_freeze(NOW + 100);
	memset(id, 0xdd, sizeof(id));
	for (uint8_t i = 1; i <= 5; i++) {
		OWNED(certificate) record = new_record(i);

		memset(record->identity, i == 4 ? 0xee : 0xdd, sizeof(id));
		if (i == 2)
			record->not_after = NOW + 50;
		if (i == 3) {
			record->state = CERTIFICATE_REVOKED;
			record->revoked = NOW + 80;
		}
		commit(fixture, record);
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
	OWNED(certificate) record = new_record(1);
	OWNED(certificate) kept = NULL;
	struct certificate *page[4];
	size_t count = 9;

	(void)state;
	clock_freeze(NOW + 100);
	memset(record->identity, 0xdd, sizeof(record->identity));
	commit(fixture, record);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTS_BY_IDENTITY), 1);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &kept, &err), ERR_OK);
	kept->state = CERTIFICATE_REVOKED;
	kept->revoked = NOW + 80;
	commit(fixture, kept);
	assert_int_equal(
	    fixture_count(fixture, TABLE_CERTS_BY_IDENTITY), 0);
	assert_int_equal(certificate_list_identity(fixture->store,
	    record->identity, page, 4, &count, &err), ERR_OK);
	assert_int_equal(count, 0);
	clock_thaw();
}

static void a_certificate_of_another_cluster_is_not_found(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = new_record(7);
	OWNED(certificate) absent = new_record(8);
	OWNED(certificate) found = NULL;
	OWNED_STR(text) = serial_format(&record->serial);

	(void)state;
	commit(fixture, record);
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
	OWNED(certificate) record = new_record(7);
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
	OWNED(certificate) record = new_record(7);
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
		OWNED(certificate) record = new_record(7);
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
	OWNED(certificate) record = new_record(7);
	struct certificate *found = NULL;

	(void)state;
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_NOT_FOUND);
	assert_int_equal(certificate_find(fixture->store, &record->serial,
	    &found, &err), ERR_OK);
	assert_null(found);
	commit(fixture, record);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_OK);
	assert_int_equal(found->revision, 1);
	certificate_free(found);
}

static void a_valid_certificate_without_der_is_corrupt(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = new_record(7);
	struct certificate *found = NULL;

	(void)state;
	record->der_len = 0;
	commit(fixture, record);
	assert_int_equal(certificate_get(fixture->store, &record->serial,
	    &found, &err), ERR_CORRUPT);
}

static void a_serial_is_put_once_and_replaced_only_as_read(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(certificate) record = new_record(7);
	OWNED(batch) again = batch_new();
	OWNED(batch) change = batch_new();
	OWNED(batch) stale = batch_new();

	(void)state;
	commit(fixture, record);
	certificate_put(again, record);
	assert_int_equal(
	    store_commit(fixture->store, again, &err), ERR_CONFLICT);
	record->revision = 1;
	record->state = CERTIFICATE_REVOKED;
	record->revoked = NOW + 5;
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
	OWNED(certificate) record = new_record(7);
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
	OWNED(certificate) record = new_record(7);
	OWNED(scan) scan = NULL;
	struct revocation row;
	struct bytes key, value;
	bool more;

	(void)state;
	record->state = CERTIFICATE_REVOKED;
	record->revoked = NOW + 5;
	record->reason = 4;
	commit(fixture, record);
	assert_int_equal(scan_open(fixture->store, TABLE_REVOKED,
	    BYTES("issuing-1", 10), BYTES(NULL, 0), &scan, &err), ERR_OK);
	assert_int_equal(scan_next(scan, &key, &value, &more, &err), ERR_OK);
	assert_true(more);
	assert_true(revocation_read(key, 10, value, &row));
	assert_memory_equal(row.serial.octets, record->serial.octets, 18);
	assert_int_equal(row.revoked, NOW + 5);
	assert_int_equal(row.not_after, record->not_after);
	assert_int_equal(row.reason, 4);
	for (size_t len = 0; len < value.len; len++)
		assert_false(revocation_read(
		    key, 10, BYTES(value.data, len), &row));
	assert_false(revocation_read(BYTES(key.data, 10), 10, value, &row));
	assert_false(revocation_read(key, 5, value, &row));
}

/* ---- authentication ---- */

static const char *why;

static enum err_code authenticate(
    struct fixture *fixture, struct bytes der, int64_t now)
{
	OWNED(certificate) found = NULL;

	return certificate_authenticate(
	    fixture->store, der, now, &found, &why, &err);
}

static void the_octets_on_record_authenticate_while_valid(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(certificate) found = NULL;
	struct bytes der = BYTES(issued->der, issued->der_len);

	(void)state;
	assert_int_equal(certificate_authenticate(fixture->store, der,
	    issued->not_before, &found, &why, &err), ERR_OK);
	assert_null(why);
	assert_memory_equal(found->serial.octets, issued->serial.octets, 18);
	assert_int_equal(
	    authenticate(fixture, der, issued->not_after), ERR_OK);
}

static void assert_refused(struct fixture *fixture, struct bytes der,
    int64_t now, const char *reason)
{
	assert_int_equal(
	    authenticate(fixture, der, now), ERR_UNAUTHENTICATED);
	assert_string_equal(why, reason);
	/* One text for every reason. */
	assert_string_equal(
	    err.detail, "the client certificate is not accepted");
}

static void anything_else_does_not_authenticate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(batch) batch = batch_new();
	struct bytes der = BYTES(issued->der, issued->der_len);
	int64_t now = issued->created;

	(void)state;
	assert_refused(fixture, der, issued->not_before - 1, "not yet valid");
	assert_refused(fixture, der, issued->not_after + 1, "expired");
	assert_refused(fixture, BYTES("", 0), now, "not a certificate");
	assert_refused(fixture, BYTES(der.data, der.len - 1), now,
	    "not a certificate");
	issued->der[issued->der_len - 1] ^= 1;
	assert_refused(fixture, der, now, "not the octets on record");
	issued->der[issued->der_len - 1] ^= 1;
	/* Serial: SEQUENCE, SEQUENCE, [0], INTEGER. */
	assert_int_equal(issued->der[13], 0x02);
	issued->der[20] ^= 1;
	assert_refused(fixture, der, now, "no record of its serial");
	issued->der[20] ^= 1;
	assert_int_equal(ca_revoke(fixture->ca, batch, issued, 1, &err),
	    ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_refused(fixture, der, now, "revoked");
}

static void no_prefix_and_no_flip_of_a_certificate_authenticates(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	int64_t now = issued->created;

	(void)state;
	for (size_t len = 0; len < issued->der_len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, issued->der, len);
		assert_int_equal(authenticate(fixture, BYTES(copy, len), now),
		    ERR_UNAUTHENTICATED);
		free(copy);
	}
	for (size_t i = 0; i < issued->der_len; i++) {
		issued->der[i] ^= 0x10;
		assert_int_equal(authenticate(fixture,
		    BYTES(issued->der, issued->der_len), now),
		    ERR_UNAUTHENTICATED);
		issued->der[i] ^= 0x10;
	}
}

static void an_unresolved_serial_does_not_authenticate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(batch) batch = batch_new();
	struct certificate unresolved = *issued;

	(void)state;
	unresolved.state = CERTIFICATE_UNRESOLVED;
	unresolved.revoked = issued->created;
	unresolved.der = NULL;
	unresolved.der_len = 0;
	certificate_put(batch, &unresolved);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_refused(fixture, BYTES(issued->der, issued->der_len),
	    issued->created, "not the octets on record");
}

/* ---- listing ---- */

/* 20 records: N = 1..20, cluster db1 for odd N, db2 for even; expiring N hours
 * after NOW; those over 15 revoked; each with DNS name nN.example. */
static struct fixture *with_records(void)
{
	struct fixture *fixture = fixture_new();
	OWNED(batch) batch = batch_new();

	for (uint8_t n = 1; n <= 20; n++) {
		OWNED(certificate) record = new_record(n);
		OWNED_STR(name) = mem_printf("n%u.example", n);

		record->cluster[2] = n % 2 == 1 ? '1' : '2';
		record->not_after = NOW + n * 3600;
		if (n > 15) {
			record->state = CERTIFICATE_REVOKED;
			record->revoked = NOW + 61;
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
	clock_freeze(NOW);
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
		    .expires_before = NOW + 4 * 3600, .limit = limit}), 0xe);
		assert_int_equal(list(fixture, (struct certificate_query){
		    .cluster = "db1", .expires_before = NOW + 4 * 3600,
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
	clock_freeze(NOW + 5 * 3600);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .expired = true, .limit = 3}), 0x1e);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .state = CERTIFICATE_VALID, .limit = 3}), 0xffe0);
	assert_int_equal(list(fixture, (struct certificate_query){
	    .state = CERTIFICATE_VALID, .expires_before = NOW + 7 * 3600,
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
	OWNED(certificate) record = new_record(10);
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
	    TEST(a_record_reads_back_as_it_was_written),
	    TEST(a_record_of_format_1_is_read),
	    TEST(a_record_of_an_identity_is_of_format_2),
	    TEST(a_certificate_is_of_a_cluster_an_identity_or_signet),
	    TEST(certificates_of_an_identity_are_listed_while_they_are_valid),
	    TEST(a_revoked_certificate_leaves_the_list_of_its_identity),
	    TEST(a_certificate_of_another_cluster_is_not_found),
	    TEST(every_prefix_of_a_record_is_corrupt),
	    TEST(a_damaged_record_is_corrupt_or_another_record),
	    TEST(a_record_that_contradicts_itself_is_corrupt),
	    TEST(a_serial_that_is_not_on_record_is_not_found),
	    TEST(a_valid_certificate_without_der_is_corrupt),
	    TEST(a_serial_is_put_once_and_replaced_only_as_read),
	    TEST(an_intent_needs_its_serial_unused),
	    TEST(a_revocation_row_tells_what_a_crl_entry_needs),
	    TEST(the_octets_on_record_authenticate_while_valid),
	    TEST(anything_else_does_not_authenticate),
	    TEST(no_prefix_and_no_flip_of_a_certificate_authenticates),
	    TEST(an_unresolved_serial_does_not_authenticate),
	    TEST(a_listing_shows_each_match_once_whatever_the_page),
	    TEST(expired_certificates_are_neither_valid_nor_lost),
	    TEST(a_listing_refuses_a_wrong_limit_cluster_or_cursor),
	    TEST(a_listing_over_a_corrupt_record_fails_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
