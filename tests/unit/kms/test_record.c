// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fixture.h"

#include <stdlib.h>
#include <string.h>

/* The value of row KEYS "orders|main" as version 1 wrote it. */
static const uint8_t golden_key[] = {1, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0, 0, 0, 3, 0,
    0, 0, 0, 0x6b, 0x49, 0xd2, 0};

/* The value of row KEKS, version 3, as version 1 wrote it: blob of two octets,
 * MAC of 32 times 0x5a. */
static const uint8_t golden_kek[] = {1, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0, 0, 0, 3, 2,
    0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0, 0, 0, 0, 2, 0xbe, 0xef, 0x5a, 0x5a, 0x5a,
    0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
    0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
    0x5a, 0x5a, 0x5a, 0x5a, 0x5a};

static void fill_id(uint8_t id[static KEY_ID_SIZE])
{
	for (size_t i = 0; i < KEY_ID_SIZE; i++)
		id[i] = (uint8_t)(0xa0 + i);
}

static struct kek_record sample_kek(void)
{
	struct kek_record record = {.version = 3,
	    .state = KEK_DISABLED,
	    .created = NOW,
	    .blob_len = 2,
	    .blob = {0xbe, 0xef}};

	fill_id(record.key_id);
	memset(record.mac, 0x5a, sizeof(record.mac));
	return record;
}

static bool key_reads(struct bytes row, struct bytes value)
{
	OWNED(key_info) info = NULL;

	return key_record_read(row, value, &info);
}

static bool kek_reads(struct bytes value)
{
	struct kek_record record;

	return kek_record_read(value, &record);
}

static void key_record_is_written_as_version_1_did(void **state)
{
	struct key_info info = {.version = 3, .created = NOW};
	OWNED_BUF(out);

	(void)state;
	fill_id(info.id);
	key_record_write(&info, &out);
	assert_int_equal(out.len, sizeof(golden_key));
	assert_memory_equal(out.data, golden_key, sizeof(golden_key));
}

static void key_record_of_version_1_is_read(void **state)
{
	struct key row = key_row("orders", "main");
	OWNED(key_info) info = NULL;
	uint8_t id[KEY_ID_SIZE];

	(void)state;
	fill_id(id);
	assert_true(
	    key_record_read(key_bytes(&row), BYTES_OF(golden_key), &info));
	assert_string_equal(info->cluster, "orders");
	assert_string_equal(info->name, "main");
	assert_memory_equal(info->id, id, sizeof(id));
	assert_int_equal(info->version, 3);
	assert_int_equal(info->created, NOW);
}

static void kek_record_is_written_as_version_1_did(void **state)
{
	struct kek_record record = sample_kek();
	OWNED_BUF(out);

	(void)state;
	kek_record_write(&record, &out);
	assert_int_equal(out.len, sizeof(golden_kek));
	assert_memory_equal(out.data, golden_kek, sizeof(golden_kek));
}

static void kek_record_of_version_1_is_read(void **state)
{
	struct kek_record want = sample_kek(), got;

	(void)state;
	assert_true(kek_record_read(BYTES_OF(golden_kek), &got));
	assert_memory_equal(got.key_id, want.key_id, sizeof(want.key_id));
	assert_int_equal(got.version, want.version);
	assert_int_equal(got.state, want.state);
	assert_int_equal(got.created, want.created);
	assert_int_equal(got.blob_len, want.blob_len);
	assert_memory_equal(got.blob, want.blob, want.blob_len);
	assert_memory_equal(got.mac, want.mac, sizeof(want.mac));
}

static void records_are_refused_at_every_other_length(void **state)
{
	struct key row = key_row("orders", "main");
	uint8_t longer[sizeof(golden_kek) + 1] = {0};

	(void)state;
	for (size_t len = 0; len < sizeof(golden_key); len++)
		assert_false(
		    key_reads(key_bytes(&row), BYTES(golden_key, len)));
	for (size_t len = 0; len < sizeof(golden_kek); len++)
		assert_false(kek_reads(BYTES(golden_kek, len)));
	memcpy(longer, golden_key, sizeof(golden_key));
	assert_false(
	    key_reads(key_bytes(&row), BYTES(longer, sizeof(golden_key) + 1)));
	memcpy(longer, golden_kek, sizeof(golden_kek));
	assert_false(kek_reads(BYTES(longer, sizeof(golden_kek) + 1)));
}

static void records_of_an_unknown_version_or_state_are_refused(void **state)
{
	struct key row = key_row("orders", "main");
	uint8_t key[sizeof(golden_key)], kek[sizeof(golden_kek)];

	(void)state;
	memcpy(key, golden_key, sizeof(key));
	memcpy(kek, golden_kek, sizeof(kek));
	for (int octet = 0; octet < 256; octet++) {
		key[0] = kek[0] = (uint8_t)octet;
		assert_int_equal(
		    key_reads(key_bytes(&row), BYTES_OF(key)), octet == 1);
		assert_int_equal(kek_reads(BYTES_OF(kek)), octet == 1);
	}
	kek[0] = 1;
	for (int octet = 0; octet < 256; octet++) {
		kek[21] = (uint8_t)octet;
		assert_int_equal(
		    kek_reads(BYTES_OF(kek)), octet >= 1 && octet <= 4);
	}
}

static void key_record_without_an_active_version_is_refused(void **state)
{
	struct key row = key_row("orders", "main");
	uint8_t key[sizeof(golden_key)];

	(void)state;
	memcpy(key, golden_key, sizeof(key));
	memset(key + 17, 0, 4);
	assert_false(key_reads(key_bytes(&row), BYTES_OF(key)));
}

static void kek_record_with_a_blob_too_short_or_long_is_refused(void **state)
{
	struct kek_record record = sample_kek();
	OWNED_BUF(empty);
	OWNED_BUF(full);

	(void)state;
	record.blob_len = 0;
	kek_record_write(&record, &empty);
	assert_false(kek_reads(buf_bytes(&empty)));
	record.blob_len = KEK_BLOB_MAX;
	kek_record_write(&record, &full);
	assert_true(kek_reads(buf_bytes(&full)));

	/* One octet more than a record has room for. */
	uint8_t longer[256];
	size_t at = 30 + 4 + KEK_BLOB_MAX;
	memcpy(longer, full.data, at);
	longer[33] = KEK_BLOB_MAX + 1;
	longer[at] = 9;
	memcpy(longer + at + 1, full.data + at, full.len - at);
	assert_false(kek_reads(BYTES(longer, full.len + 1)));
}

static void key_record_in_a_row_that_is_not_two_names_is_refused(void **state)
{
	static const char *const rows[] = {"", "a", "a\0", "\0b\0", "a\0\0",
	    "a\0b", "a\0b\0c\0", "a\0b\0c"};
	static const size_t lens[] = {0, 1, 2, 3, 3, 3, 6, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_false(key_reads(
		    BYTES(rows[i], lens[i]), BYTES_OF(golden_key)));
	assert_true(key_reads(BYTES("a\0b\0", 4), BYTES_OF(golden_key)));
}

static void mac_covers_each_part_of_a_record(void **state)
{
	char orders[] = "orders", other[] = "order", s_main[] = "smain";
	char main_name[] = "main";
	struct key_info info = {.cluster = orders, .name = main_name};
	struct key_info shifted = {.cluster = other, .name = s_main};
	struct kek_record record = sample_kek();
	OWNED_BUF(before);

	(void)state;
	kek_record_mac_input(&record, &info, &before);
	for (int part = 0; part < 7; part++) {
		struct kek_record changed = record;
		OWNED_BUF(after);
		changed.key_id[15] ^= part == 0;
		changed.version += part == 1;
		if (part == 2)
			changed.state = KEK_ENABLED;
		changed.created += part == 3;
		changed.blob[0] ^= part == 4;
		changed.blob_len -= part == 5;
		kek_record_mac_input(
		    &changed, part == 6 ? &shifted : &info, &after);
		assert_false(
		    bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_record_is_written_as_version_1_did),
	    cmocka_unit_test(key_record_of_version_1_is_read),
	    cmocka_unit_test(kek_record_is_written_as_version_1_did),
	    cmocka_unit_test(kek_record_of_version_1_is_read),
	    cmocka_unit_test(records_are_refused_at_every_other_length),
	    cmocka_unit_test(
		records_of_an_unknown_version_or_state_are_refused),
	    cmocka_unit_test(key_record_without_an_active_version_is_refused),
	    cmocka_unit_test(
		kek_record_with_a_blob_too_short_or_long_is_refused),
	    cmocka_unit_test(
		key_record_in_a_row_that_is_not_two_names_is_refused),
	    cmocka_unit_test(mac_covers_each_part_of_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
