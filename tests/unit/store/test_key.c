// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/key.h"

/* What a programming error does, in a process of its own. */
static int signal_of(void (*act)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static struct key of(const char *text, uint64_t number)
{
	struct key key = KEY_INIT;

	key_add_text(&key, text);
	key_add_u64(&key, number);
	return key;
}

static void composite_keys_stand_in_the_order_of_their_parts(void **state)
{
	/* Ascending, part by part: "a" before "ab" whatever follows them. */
	const struct key keys[] = {
	    of("", UINT64_MAX),
	    of("a", 0),
	    of("a", 1),
	    of("a", 255),
	    of("a", 256),
	    of("a", UINT64_MAX),
	    of("a\x01", 0),
	    of("ab", 0),
	    of("b", 0),
	    of("\xff", 0),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		for (size_t j = 0; j < ARRAY_LEN(keys); j++) {
			int order = bytes_compare(
			    key_bytes(&keys[i]), key_bytes(&keys[j]));

			assert_int_equal(
			    (order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void numbers_are_big_endian(void **state)
{
	static const uint8_t want[] = {
	    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
	struct key key = KEY_INIT;

	(void)state;
	key_add_u32(&key, 0x01020304);
	key_add_u64(&key, 0x05060708090a0b0c);
	key_add_octets(&key, BYTES("\x0d", 1));
	assert_true(bytes_equal(key_bytes(&key), BYTES_OF(want)));
}

static void text_of_one_part_never_reaches_into_the_next(void **state)
{
	struct key ab_c = KEY_INIT;
	struct key a_bc = KEY_INIT;

	(void)state;
	key_add_text(&ab_c, "ab");
	key_add_text(&ab_c, "c");
	key_add_text(&a_bc, "a");
	key_add_text(&a_bc, "bc");
	assert_false(bytes_equal(key_bytes(&ab_c), key_bytes(&a_bc)));
}

static const uint8_t zeros[STORE_KEY_MAX + 1];

static void add_exactly_the_limit(void)
{
	struct key key = KEY_INIT;

	key_add_octets(&key, BYTES(zeros, STORE_KEY_MAX - 8));
	key_add_u64(&key, 1);
}

static void add_past_the_limit(void)
{
	struct key key = KEY_INIT;

	key_add_octets(&key, BYTES(zeros, STORE_KEY_MAX - 7));
	key_add_u64(&key, 1);
}

static void add_one_part_past_the_limit(void)
{
	struct key key = KEY_INIT;

	key_add_octets(&key, BYTES_OF(zeros));
}

static void a_key_of_the_greatest_length_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(signal_of(add_exactly_the_limit), 0);
}

static void a_longer_key_aborts(void **state)
{
	(void)state;
	assert_int_equal(signal_of(add_past_the_limit), SIGABRT);
	assert_int_equal(signal_of(add_one_part_past_the_limit), SIGABRT);
}

static void put_with(enum table table, struct bytes key)
{
	struct batch *batch = batch_new();

	batch_put(batch, table, key, BYTES_STR("x"));
}

static void put_empty_key(void)
{
	put_with(TABLE_CLUSTERS, BYTES(NULL, 0));
}

static void put_long_key(void)
{
	put_with(TABLE_CLUSTERS, BYTES_OF(zeros));
}

static void put_audit_record(void)
{
	put_with(TABLE_AUDIT, BYTES_STR("12345678"));
}

static void put_audit_head(void)
{
	put_with(TABLE_META, BYTES_STR("audit_head"));
}

static void put_format(void)
{
	put_with(TABLE_META, BYTES_STR("format"));
}

static void delete_audit_record(void)
{
	struct batch *batch = batch_new();

	batch_delete(batch, TABLE_AUDIT, BYTES_STR("12345678"));
}

static void put_other_meta(void)
{
	put_with(TABLE_META, BYTES_STR("node_id"));
}

static void a_batch_refuses_keys_that_no_table_can_hold(void **state)
{
	(void)state;
	assert_int_equal(signal_of(put_empty_key), SIGABRT);
	assert_int_equal(signal_of(put_long_key), SIGABRT);
}

static void a_batch_refuses_to_touch_what_is_the_stores_own(void **state)
{
	(void)state;
	assert_int_equal(signal_of(put_audit_record), SIGABRT);
	assert_int_equal(signal_of(delete_audit_record), SIGABRT);
	assert_int_equal(signal_of(put_audit_head), SIGABRT);
	assert_int_equal(signal_of(put_format), SIGABRT);
	assert_int_equal(signal_of(put_other_meta), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(composite_keys_stand_in_the_order_of_their_parts),
	    cmocka_unit_test(numbers_are_big_endian),
	    cmocka_unit_test(text_of_one_part_never_reaches_into_the_next),
	    cmocka_unit_test(a_key_of_the_greatest_length_is_accepted),
	    cmocka_unit_test(a_longer_key_aborts),
	    cmocka_unit_test(a_batch_refuses_keys_that_no_table_can_hold),
	    cmocka_unit_test(a_batch_refuses_to_touch_what_is_the_stores_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
