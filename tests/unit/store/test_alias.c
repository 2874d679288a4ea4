// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: an alias is the same for the same name, is another under
 * another key, and gives the name to who has the key alone.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/fs.h"
#include "base/text.h"
#include "sealing.h"
#include "store/alias.h"

#define NAME "db-7.canary.example.net"

static int begin_sealed(void **state)
{
	if (fixture_begin_open(state) != 0)
		return -1;
	seal(*state);
	return 0;
}

#define TEST_SEALED(name)                                                      \
	cmocka_unit_test_setup_teardown(name, begin_sealed, fixture_end)

static void keep(struct fixture *f, const char *name)
{
	OWNED(batch) batch = batch_new();

	alias_put(f->store, batch, name);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
}

/* The caller frees it; NULL: unknown. */
static char *look_up(struct fixture *f, const char *alias)
{
	char *name = NULL;

	if (alias_find(f->store, alias, &name, &f->err) != ERR_OK)
		fail_msg("%s", f->err.cause);
	return name;
}

static void the_same_name_has_the_same_alias_and_no_other_has(void **state)
{
	struct fixture *f = *state;
	char one[ALIAS_TEXT_SIZE], two[ALIAS_TEXT_SIZE];

	assert_true(alias_make(f->store, NAME, one));
	assert_true(alias_make(f->store, NAME, two));
	assert_string_equal(one, two);
	assert_int_equal(strlen(one), ALIAS_TEXT_SIZE - 1);
	assert_ptr_equal(alias_in(one), one);
	assert_true(alias_make(f->store, NAME "x", two));
	assert_string_not_equal(one, two);
	assert_true(alias_make(f->store, "", two));
	assert_string_not_equal(one, two);
}

static void a_name_is_found_by_its_alias_and_lies_in_no_file(void **state)
{
	struct fixture *f = *state;
	char alias[ALIAS_TEXT_SIZE];
	OWNED_STR(path) = fs_join(f->path, "data.mdb");
	OWNED_BUF(file);

	assert_true(alias_make(f->store, NAME, alias));
	assert_null(look_up(f, alias));
	keep(f, NAME);
	keep(f, NAME); /* again is no error */
	OWNED_STR(text) = mem_printf("DNS name %s is not allowed", alias);
	OWNED_STR(found) = look_up(f, alias_in(text));
	assert_string_equal(found, NAME);
	assert_int_equal(fs_read(path, 1u << 30, &file, &f->err), ERR_OK);
	assert_null(memmem(file.data, file.len, NAME, strlen(NAME)));
	assert_null(memmem(file.data, file.len, "canary", 6));
	/* The search does search. */
	assert_non_null(memmem(file.data, file.len, "aliases", 7));
}

static void another_key_gives_another_alias_and_finds_the_old_one(void **state)
{
	struct fixture *f = *state;
	char old[ALIAS_TEXT_SIZE], new[ALIAS_TEXT_SIZE];

	assert_true(alias_make(f->store, NAME, old));
	keep(f, NAME);
	assert_int_equal(seal_with(f, 2), ERR_OK);
	assert_true(alias_make(f->store, NAME, new));
	assert_string_not_equal(old, new);
	OWNED_STR(found) = look_up(f, old);
	assert_string_equal(found, NAME);
	assert_null(look_up(f, new));
}

static void without_the_key_there_is_neither_alias_nor_row(void **state)
{
	struct fixture *f = *state;
	OWNED(batch) batch = batch_new();
	char alias[ALIAS_TEXT_SIZE] = "as it was";

	assert_false(alias_make(f->store, NAME, alias));
	assert_string_equal(alias, "as it was");
	alias_put(f->store, batch, NAME);
	assert_true(batch_is_empty(batch));
}

static void a_digest_needs_the_key_where_there_is_one(void **state)
{
	struct fixture *f = *state;
	struct bytes octets = BYTES_STR(NAME);
	uint8_t plain[32], keyed[32], again[32];
	char alias[ALIAS_TEXT_SIZE], half[2 * ALIAS_SIZE + 1];

	alias_digest(f->store, octets, plain);
	seal(f);
	alias_digest(f->store, octets, keyed);
	alias_digest(f->store, octets, again);
	assert_memory_equal(keyed, again, 32);
	assert_memory_not_equal(keyed, plain, 32);
	/* Nor is it what the log tells of the same octets. */
	assert_true(alias_make(f->store, NAME, alias));
	assert_string_not_equal(
	    alias + strlen(ALIAS_PREFIX), hex_write(keyed, ALIAS_SIZE, half));
	assert_int_equal(seal_with(f, 2), ERR_OK);
	alias_digest(f->store, octets, again);
	assert_memory_not_equal(keyed, again, 32);
}

static void what_only_looks_like_an_alias_is_none(void **state)
{
	static const char *const samples[] = {"", "alias:", "alias:0123",
	    "ALIAS:0123456789abcdef0123456789abcdef",
	    "alias:0123456789abcdef0123456789abcdeg",
	    "alias 0123456789abcdef0123456789abcdef"};
	static const char good[] =
	    "alias:x alias:0123456789abcdef0123456789abcdef.";
	struct fixture *f = *state;

	assert_null(alias_in(NULL));
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		assert_null(alias_in(samples[i]));
		assert_null(look_up(f, samples[i]));
	}
	assert_ptr_equal(alias_in(good), good + 8);
}

static void rows_are_padded_and_what_is_no_row_is_refused(void **state)
{
	OWNED_BUF(row);
	OWNED_STR(name) = NULL;
	OWNED_BUF(other);

	(void)state;
	alias_write("a", &row);
	alias_write("a-name-of-thirty-octets.example", &other);
	assert_int_equal(row.len, other.len);
	assert_true(alias_read(buf_bytes(&other), &name));
	assert_string_equal(name, "a-name-of-thirty-octets.example");
	free(GIVE(name));
	for (size_t len = 0; len < row.len; len++)
		assert_false(alias_read(BYTES(row.data, len), &name));
	row.data[row.len - 1] = 1;
	assert_false(alias_read(buf_bytes(&row), &name));
	row.data[row.len - 1] = 0;
	row.data[0] = 2;
	assert_false(alias_read(buf_bytes(&row), &name));
	buf_reset(&row);
	alias_write("", &row);
	assert_false(alias_read(buf_bytes(&row), &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_SEALED(the_same_name_has_the_same_alias_and_no_other_has),
	    TEST_SEALED(a_name_is_found_by_its_alias_and_lies_in_no_file),
	    TEST_SEALED(another_key_gives_another_alias_and_finds_the_old_one),
	    TEST(without_the_key_there_is_neither_alias_nor_row),
	    TEST(a_digest_needs_the_key_where_there_is_one),
	    TEST_SEALED(what_only_looks_like_an_alias_is_none),
	    TEST(rows_are_padded_and_what_is_no_row_is_refused),
	};
	struct err err = {0};
	uint8_t octet;
	size_t idle;
	int failed;

	/* The generator's own state is there from its first use. */
	if (secret_heap_open(1 << 18, &err) != ERR_OK ||
	    RAND_bytes(&octet, 1) != 1)
		return 1;
	idle = secret_heap_used();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (secret_heap_used() != idle) {
		print_error("secrets are left in the locked heap\n");
		return 1;
	}
	return failed;
}
