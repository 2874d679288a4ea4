// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void buf_reader_reads_what_buf_wrote(void **state)
{
	OWNED_BUF(buf);
	OWNED_STR(text) = NULL;
	OWNED_STR(empty) = NULL;
	uint8_t copy[3];

	(void)state;
	buf_put_u8(&buf, 0xfe);
	buf_put_u16(&buf, 0x0102);
	buf_put_u32(&buf, 0x01020304);
	buf_put_u64(&buf, UINT64_MAX - 1);
	buf_put_i64(&buf, INT64_MIN);
	buf_put_lv_str(&buf, "name");
	buf_put_lv_str(&buf, NULL);
	buf_put_str(&buf, "abc");
	assert_int_equal(buf.data[1], 1);	/* big-endian */
	assert_int_equal(buf.data[2], 2);

	struct reader reader = reader_over(buf_bytes(&buf));

	assert_int_equal(reader_u8(&reader), 0xfe);
	assert_int_equal(reader_u16(&reader), 0x0102);
	assert_int_equal(reader_u32(&reader), 0x01020304);
	assert_true(reader_u64(&reader) == UINT64_MAX - 1);
	assert_true(reader_i64(&reader) == INT64_MIN);
	assert_string_equal(text = reader_lv_str(&reader), "name");
	assert_string_equal(empty = reader_lv_str(&reader), "");
	assert_false(reader_done(&reader));
	reader_copy(&reader, copy, 3);
	assert_memory_equal(copy, "abc", 3);
	assert_true(reader_done(&reader));
}

static void buf_reader_fails_for_good_at_every_truncation(void **state)
{
	OWNED_BUF(buf);

	(void)state;
	buf_put_u16(&buf, 7);
	buf_put_lv_str(&buf, "abc");
	buf_put_u32(&buf, 9);
	for (size_t len = 0; len < buf.len; len++) {
		struct reader reader = reader_over(BYTES(buf.data, len));
		OWNED_STR(text) = NULL;

		(void)reader_u16(&reader);
		text = reader_lv_str(&reader);
		(void)reader_u32(&reader);
		assert_false(reader_done(&reader));
		assert_true(reader.failed);
		assert_int_equal(reader_u8(&reader), 0);
		assert_null(reader_take(&reader, 0).data);
		assert_null(reader_lv_str(&reader));
	}
}

static void buf_reader_refuses_a_length_beyond_the_end(void **state)
{
	const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
	struct reader reader = reader_over(BYTES_OF(huge));

	(void)state;
	assert_int_equal(reader_lv(&reader).len, 0);
	assert_false(reader_done(&reader));
}

static void buf_reader_refuses_a_string_with_nul(void **state)
{
	const uint8_t text[] = {0, 0, 0, 3, 'a', 0, 'b'};
	struct reader reader = reader_over(BYTES_OF(text));

	(void)state;
	assert_null(reader_lv_str(&reader));
	assert_false(reader_done(&reader));
}

static void buf_reader_copy_zeroes_what_it_cannot_fill(void **state)
{
	struct reader reader = reader_over(BYTES("ab", 2));
	uint8_t copy[3] = {1, 1, 1};

	(void)state;
	reader_copy(&reader, copy, 3);
	assert_memory_equal(copy, "\0\0\0", 3);
	assert_false(reader_done(&reader));
}

static void buf_over_nothing_is_done_at_once(void **state)
{
	struct reader reader = reader_over(BYTES(NULL, 0));

	(void)state;
	reader_copy(&reader, NULL, 0);
	assert_true(reader_done(&reader));
}

static void buf_grows_and_keeps_its_content(void **state)
{
	OWNED_BUF(buf);

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		buf_put_u8(&buf, (uint8_t)i);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(buf.data[i], (uint8_t)i);
	buf_reset(&buf);
	assert_int_equal(buf.len, 0);
	assert_true(buf.cap >= 10000);
}

static void buf_reserve_lets_additions_stay_in_place(void **state)
{
	OWNED_BUF(buf);
	const uint8_t *before;

	(void)state;
	buf_reserve(&buf, 5000);
	before = buf.data;
	memset(buf_extend(&buf, 5000), 1, 5000);
	assert_ptr_equal(buf.data, before);
}

static void buf_extend_beyond_memory_aborts(void **state)
{
	OWNED_BUF(buf);

	(void)state;
	buf_put_u8(&buf, 1);
	assert_true(aborts(buf_extend(&buf, SIZE_MAX)));
	assert_true(aborts(buf_extend(&buf, PTRDIFF_MAX)));
	assert_true(aborts(mem_zalloc_array(SIZE_MAX / 2, 3)));
}

static void buf_printf_formats_beyond_its_first_room(void **state)
{
	OWNED_BUF(buf);
	OWNED_STR(text) = NULL;

	(void)state;
	for (int len = 0; len < 300; len++) {
		buf_reset(&buf);
		buf_put_str(&buf, "x");
		buf_printf(&buf, "%*d", len, 7);
		assert_int_equal(buf.len, 1 + (len == 0 ? 1 : len));
		assert_int_equal(buf.data[buf.len - 1], '7');
	}
	text = buf_to_str(&buf);
	assert_int_equal(strlen(text), buf.len);
}

static void buf_give_leaves_an_empty_buffer(void **state)
{
	OWNED_BUF(buf);
	OWNED_BUF(taken);

	(void)state;
	buf_put_str(&buf, "abc");
	taken = buf_give(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.len, 0);
	assert_true(bytes_equal(buf_bytes(&taken), BYTES_STR("abc")));
	buf_wipe(&taken);
	assert_null(taken.data);
	buf_put_str(&taken, "usable");
}

static void buf_bytes_are_ordered_by_content_then_length(void **state)
{
	(void)state;
	assert_true(bytes_compare(BYTES_STR("a"), BYTES_STR("b")) < 0);
	assert_true(bytes_compare(BYTES_STR("ab"), BYTES_STR("a")) > 0);
	assert_true(bytes_compare(BYTES_STR("\xff"), BYTES_STR("a")) > 0);
	assert_true(bytes_compare(BYTES_STR(NULL), BYTES_STR("")) == 0);
	assert_true(bytes_equal(BYTES_STR(NULL), BYTES_STR("")));
	assert_false(bytes_equal(BYTES_STR("a"), BYTES_STR("b")));
	assert_false(bytes_equal(BYTES_STR("a"), BYTES_STR("aa")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buf_reader_reads_what_buf_wrote),
	    cmocka_unit_test(buf_reader_fails_for_good_at_every_truncation),
	    cmocka_unit_test(buf_reader_refuses_a_length_beyond_the_end),
	    cmocka_unit_test(buf_reader_refuses_a_string_with_nul),
	    cmocka_unit_test(buf_reader_copy_zeroes_what_it_cannot_fill),
	    cmocka_unit_test(buf_over_nothing_is_done_at_once),
	    cmocka_unit_test(buf_grows_and_keeps_its_content),
	    cmocka_unit_test(buf_reserve_lets_additions_stay_in_place),
	    cmocka_unit_test(buf_extend_beyond_memory_aborts),
	    cmocka_unit_test(buf_printf_formats_beyond_its_first_room),
	    cmocka_unit_test(buf_give_leaves_an_empty_buffer),
	    cmocka_unit_test(buf_bytes_are_ordered_by_content_then_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
