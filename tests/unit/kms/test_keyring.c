// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static enum err_code get(struct fixture *f, const char *cluster,
    const char *name, struct key_info **info_out)
{
	return keyring_get(f->ring, cluster, name, info_out, &f->err);
}

/* The code of reading the key, and no error left behind. */
static enum err_code read_code(
    struct fixture *f, const char *cluster, const char *name)
{
	OWNED(key_info) info = NULL;
	enum err_code code = get(f, cluster, name, &info);

	err_clear(&f->err);
	return code;
}

static void key_is_found_again_as_it_was_made(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) made = fixture_key(f, "orders", "main");
	OWNED(key_info) found = NULL;

	assert_ok(get(f, "orders", "main", &found), &f->err);
	assert_string_equal(found->cluster, "orders");
	assert_string_equal(found->name, "main");
	assert_memory_equal(found->id, made->id, KEY_ID_SIZE);
	assert_int_equal(found->version, 1);
	assert_int_equal(found->state, KEK_ENABLED);
	assert_int_equal(found->created, NOW);
}

static void key_is_absent_where_it_was_not_made(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) made = fixture_key(f, "orders", "main");
	OWNED(key_info) none = NULL;

	assert_refused(get(f, "orders", "other", &none), ERR_NOT_FOUND,
	    &f->err, "cluster orders has no key other");
	assert_refused(get(f, "order", "main", &none), ERR_NOT_FOUND, &f->err,
	    "order has no key main");
	assert_null(none);
}

static void key_is_not_there_before_its_batch_is_committed(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED(key_info) info = NULL;

	assert_ok(keyring_create(
		      f->ring, "orders", "main", batch, &info, &f->err),
	    &f->err);
	assert_int_equal(read_code(f, "orders", "main"), ERR_NOT_FOUND);
}

static void key_of_a_name_in_use_does_not_commit(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) first = fixture_key(f, "orders", "main");
	OWNED(batch) batch = batch_new();
	OWNED(key_info) second = NULL;
	OWNED(key_info) found = NULL;

	assert_ok(keyring_create(
		      f->ring, "orders", "main", batch, &second, &f->err),
	    &f->err);
	assert_int_equal(
	    store_commit(f->store, batch, &f->err), ERR_CONFLICT);
	assert_ok(get(f, "orders", "main", &found), &f->err);
	assert_memory_equal(found->id, first->id, KEY_ID_SIZE);
}

static void key_ids_differ_though_names_do_not(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) one = fixture_key(f, "orders", "main");
	OWNED(key_info) two = fixture_key(f, "users", "main");

	assert_memory_not_equal(one->id, two->id, KEY_ID_SIZE);
}

static void key_names_that_are_no_labels_are_refused(void **state)
{
	static const char *const bad[] = {"", "A", "a b", "-a", "a-", "a/b",
	    "a.b", "ä", "a\n", "..",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED(key_info) info = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(keyring_create(f->ring, "orders", bad[i], batch,
				   &info, &f->err),
		    ERR_BAD_FIELD, &f->err, "a key's name is 1 to 63");
	assert_true(batch_is_empty(batch));
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_KEK_NEW), 0);
}

static void key_is_looked_up_safely_by_what_is_no_label(void **state)
{
	struct fixture *f = *state;
	char longer[2000];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(read_code(f, longer, "main"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, "orders", longer), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, "", ""), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, "a/b", "\x1b[2J"), ERR_NOT_FOUND);
}

static void key_is_not_made_when_the_token_fails(void **state)
{
	static const enum err_code codes[] = {
	    ERR_HSM_UNAVAILABLE, ERR_DEADLINE, ERR_HSM_REFUSED, ERR_OVERLOADED};
	static const enum fake_call calls[] = {FAKE_KEK_NEW, FAKE_HMAC};
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED(key_info) info = NULL;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		for (size_t k = 0; k < ARRAY_LEN(calls); k++) {
			fake_hsm_fail(f->hsm, calls[k], codes[i]);
			assert_failed(keyring_create(f->ring, "orders", "main",
					  batch, &info, &f->err),
			    codes[i], &f->err);
			fake_hsm_fail(f->hsm, calls[k], ERR_OK);
		}
	assert_true(batch_is_empty(batch));
	assert_null(info);
}

static void key_is_not_made_of_a_blob_that_a_record_cannot_hold(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	OWNED(key_info) info = NULL;

	fake_hsm_set_blob_len(f->hsm, KEK_BLOB_MAX + 1);
	assert_failed(keyring_create(
			  f->ring, "orders", "main", batch, &info, &f->err),
	    ERR_HSM_REFUSED, &f->err);
	assert_true(batch_is_empty(batch));
}

static void keys_are_listed_in_pages_that_lose_and_repeat_none(void **state)
{
	struct fixture *f = *state;
	char after[64] = "";
	size_t seen = 0, count;

	for (int i = 0; i < 25; i++) {
		char name[16];
		snprintf(name, sizeof(name), "key-%02d", (i * 7) % 25);
		key_info_free(fixture_key(f, "orders", name));
	}
	key_info_free(fixture_key(f, "order", "before"));
	key_info_free(fixture_key(f, "orders2", "behind"));
	do {
		struct key_info *page[10];
		assert_ok(keyring_list(f->ring, "orders",
			      after[0] == '\0' ? NULL : after, 10, page, &count,
			      &f->err),
		    &f->err);
		for (size_t i = 0; i < count; i++, seen++) {
			char want[16];
			snprintf(want, sizeof(want), "key-%02zu", seen);
			assert_string_equal(page[i]->name, want);
			assert_string_equal(page[i]->cluster, "orders");
			assert_int_equal(page[i]->state, KEK_ENABLED);
			snprintf(after, sizeof(after), "%s", page[i]->name);
			key_info_free(page[i]);
		}
	} while (count == 10);
	assert_int_equal(seen, 25);
}

static void list_is_empty_for_a_cluster_without_keys(void **state)
{
	struct fixture *f = *state;
	struct key_info *page[2];
	size_t count = 9;

	assert_ok(keyring_list(
		      f->ring, "orders", NULL, 2, page, &count, &f->err),
	    &f->err);
	assert_int_equal(count, 0);
	count = 9;
	assert_ok(keyring_list(
		      f->ring, "No Label", NULL, 2, page, &count, &f->err),
	    &f->err);
	assert_int_equal(count, 0);
}

static void list_refuses_a_cursor_that_is_no_name(void **state)
{
	struct fixture *f = *state;
	struct key_info *page[2];
	char longer[2000];
	size_t count;

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_refused(keyring_list(f->ring, "orders", longer, 2, page, &count,
			   &f->err),
	    ERR_BAD_FIELD, &f->err, "cursor");
	assert_refused(
	    keyring_list(f->ring, "orders", "", 2, page, &count, &f->err),
	    ERR_BAD_FIELD, &f->err, "cursor");
}

static void list_fails_rather_than_show_a_record_that_was_changed(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) good = fixture_key(f, "orders", "aaa");
	OWNED(key_info) bad = fixture_key(f, "orders", "bbb");
	struct key row = kek_row(bad->id, 1);
	struct key_info *page[4];
	OWNED_BUF(value);
	size_t count;

	fixture_get(f, TABLE_KEKS, &row, &value);
	value.data[21] = KEK_DISABLED;
	fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
	assert_failed(keyring_list(
			  f->ring, "orders", NULL, 4, page, &count, &f->err),
	    ERR_CORRUPT, &f->err);
	assert_int_equal(count, 0);

	row = key_row("orders", "bbb");
	fixture_put(f, TABLE_KEYS, &row, BYTES("\1", 1));
	assert_failed(keyring_list(
			  f->ring, "orders", NULL, 4, page, &count, &f->err),
	    ERR_CORRUPT, &f->err);
}

static void mac_is_asked_once_for_what_does_not_change(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	unsigned before = fake_hsm_count(f->hsm, FAKE_HMAC);

	for (int i = 0; i < 5; i++)
		assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_HMAC), before + 1);
	fixture_reopen(f);
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
	assert_int_equal(fake_hsm_count(f->hsm, FAKE_HMAC), before + 2);
}

static void mac_that_does_not_fit_is_not_remembered(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct key row = kek_row(info->id, 1);
	OWNED_BUF(value);

	fixture_get(f, TABLE_KEKS, &row, &value);
	value.data[value.len - 1] ^= 1;
	fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
	for (int i = 0; i < 3; i++)
		assert_int_equal(read_code(f, "orders", "main"), ERR_CORRUPT);
}

static void each_flipped_bit_of_a_kek_record_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct key row = kek_row(info->id, 1);
	OWNED_BUF(value);

	fixture_get(f, TABLE_KEKS, &row, &value);
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
	for (size_t bit = 0; bit < value.len * 8; bit += 3) {
		value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
		if (read_code(f, "orders", "main") != ERR_CORRUPT)
			fail_msg("bit %zu is not covered", bit);
		value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
}

/* Copies the value of one row over another. */
static void move_row(struct fixture *f, enum table table,
    const struct key *from, const struct key *to)
{
	OWNED_BUF(value);

	fixture_get(f, table, from, &value);
	fixture_put(f, table, to, buf_bytes(&value));
}

static void kek_moved_to_another_key_or_version_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) one = fixture_key(f, "orders", "one");
	OWNED(key_info) two = fixture_key(f, "orders", "two");
	struct key from = kek_row(one->id, 1), to = kek_row(two->id, 1);
	struct key second = kek_row(one->id, 2);
	struct kek_record record;
	OWNED_BUF(value);

	move_row(f, TABLE_KEKS, &from, &to);
	assert_int_equal(read_code(f, "orders", "two"), ERR_CORRUPT);
	assert_int_equal(read_code(f, "orders", "one"), ERR_OK);

	/* With the id of the key that it was moved to: the MAC has the other. */
	fixture_get(f, TABLE_KEKS, &from, &value);
	memcpy(value.data + 1, two->id, KEY_ID_SIZE);
	fixture_put(f, TABLE_KEKS, &to, buf_bytes(&value));
	assert_int_equal(read_code(f, "orders", "two"), ERR_CORRUPT);

	move_row(f, TABLE_KEKS, &from, &second);
	assert_failed(keyring_kek(f->ring, one, 2, &record, &f->err),
	    ERR_CORRUPT, &f->err);
	memcpy(value.data + 1, one->id, KEY_ID_SIZE);
	value.data[20] = 2;
	fixture_put(f, TABLE_KEKS, &second, buf_bytes(&value));
	assert_failed(keyring_kek(f->ring, one, 2, &record, &f->err),
	    ERR_CORRUPT, &f->err);
}

static void name_moved_to_another_cluster_or_name_is_refused(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct key from = key_row("orders", "main");
	struct key cluster = key_row("users", "main");
	struct key name = key_row("orders", "other");

	move_row(f, TABLE_KEYS, &from, &cluster);
	move_row(f, TABLE_KEYS, &from, &name);
	assert_int_equal(read_code(f, "users", "main"), ERR_CORRUPT);
	assert_int_equal(read_code(f, "orders", "other"), ERR_CORRUPT);
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
}

static void key_whose_active_version_is_gone_is_corrupt(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	OWNED(batch) batch = batch_new();
	struct key row = kek_row(info->id, 1);
	struct kek_record record;

	batch_delete(batch, TABLE_KEKS, key_bytes(&row));
	assert_ok(store_commit(f->store, batch, &f->err), &f->err);
	assert_int_equal(read_code(f, "orders", "main"), ERR_CORRUPT);
	assert_failed(keyring_kek(f->ring, info, 0, &record, &f->err),
	    ERR_CORRUPT, &f->err);
	assert_refused(keyring_kek(f->ring, info, 7, &record, &f->err),
	    ERR_NOT_FOUND, &f->err, "no version 7");
}

static void key_is_not_usable_in_any_state_but_enabled(void **state)
{
	static const char *const words[] = {
	    [KEK_DISABLED] = "is disabled",
	    [KEK_PENDING_DESTRUCTION] = "waiting for its destruction",
	    [KEK_DESTROYED] = "has been destroyed"};
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");
	struct key row = kek_row(info->id, 1);
	struct kek_record record;

	assert_ok(keyring_kek(f->ring, info, 0, &record, &f->err), &f->err);
	for (int s = KEK_DISABLED; s <= KEK_DESTROYED; s++) {
		OWNED_BUF(input);
		OWNED_BUF(value);
		OWNED(key_info) found = NULL;
		record.state = (enum kek_state)s;
		kek_record_mac_input(&record, info, &input);
		assert_ok(hsm_hmac(f->hsm, FAKE_MAC, buf_bytes(&input),
			      record.mac, &f->err),
		    &f->err);
		kek_record_write(&record, &value);
		fixture_put(f, TABLE_KEKS, &row, buf_bytes(&value));
		struct kek_record read;
		assert_refused(keyring_kek(f->ring, info, 0, &read, &f->err),
		    ERR_KEY_DISABLED, &f->err, words[s]);
		/* What people look at tells the state all the same. */
		assert_ok(get(f, "orders", "main", &found), &f->err);
		assert_int_equal(found->state, s);
	}
}

static void fault_of_the_token_is_handed_on_when_the_mac_is_due(void **state)
{
	struct fixture *f = *state;
	OWNED(key_info) info = fixture_key(f, "orders", "main");

	fake_hsm_fail(f->hsm, FAKE_HMAC, ERR_HSM_UNAVAILABLE);
	assert_int_equal(
	    read_code(f, "orders", "main"), ERR_HSM_UNAVAILABLE);
	fake_hsm_fail(f->hsm, FAKE_HMAC, ERR_OK);
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
	/* Remembered: the token's absence hinders no more. */
	fake_hsm_fail(f->hsm, FAKE_HMAC, ERR_HSM_UNAVAILABLE);
	assert_int_equal(read_code(f, "orders", "main"), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(key_is_found_again_as_it_was_made),
	    TEST(key_is_absent_where_it_was_not_made),
	    TEST(key_is_not_there_before_its_batch_is_committed),
	    TEST(key_of_a_name_in_use_does_not_commit),
	    TEST(key_ids_differ_though_names_do_not),
	    TEST(key_names_that_are_no_labels_are_refused),
	    TEST(key_is_looked_up_safely_by_what_is_no_label),
	    TEST(key_is_not_made_when_the_token_fails),
	    TEST(key_is_not_made_of_a_blob_that_a_record_cannot_hold),
	    TEST(keys_are_listed_in_pages_that_lose_and_repeat_none),
	    TEST(list_is_empty_for_a_cluster_without_keys),
	    TEST(list_refuses_a_cursor_that_is_no_name),
	    TEST(list_fails_rather_than_show_a_record_that_was_changed),
	    TEST(mac_is_asked_once_for_what_does_not_change),
	    TEST(mac_that_does_not_fit_is_not_remembered),
	    TEST(each_flipped_bit_of_a_kek_record_is_refused),
	    TEST(kek_moved_to_another_key_or_version_is_refused),
	    TEST(name_moved_to_another_cluster_or_name_is_refused),
	    TEST(key_whose_active_version_is_gone_is_corrupt),
	    TEST(key_is_not_usable_in_any_state_but_enabled),
	    TEST(fault_of_the_token_is_handed_on_when_the_mac_is_due),
	};

	return RUN_TESTS(tests);
}
