// SPDX-License-Identifier: Apache-2.0
/* Goal: serials are positive, say node and time, never meet, and come back from
 * their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/ca/fixture.h"

static struct err err;

static void a_serial_is_positive_of_eighteen_octets_and_names_node_and_time(
    void **state)
{
	static const uint8_t begins[] = {0x7f, 0x00, 0x65, 0x43, 0x21, 0x00};
	struct serial serial;

	(void)state;
	assert_int_equal(
	    serial_draw(0x7f, 0x65432100, &serial, &err), ERR_OK);
	assert_int_equal(serial.len, 18);
	assert_memory_equal(serial.octets, begins, sizeof(begins));
	assert_int_equal(serial_draw(0, 1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(0x80, 1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(1, -1, &serial, &err), ERR_INTERNAL);
	assert_int_equal(serial_draw(1, INT64_C(1) << 40, &serial, &err),
	    ERR_INTERNAL);
}

static int compare_serial(const void *a, const void *b)
{
	return memcmp(a, b, 18);
}

static void ten_thousand_serials_of_one_second_differ(void **state)
{
	enum { COUNT = 10000 };
	uint8_t (*all)[18] = mem_zalloc_array(COUNT, 18);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		struct serial serial;

		assert_int_equal(serial_draw(1, 7, &serial, &err), ERR_OK);
		memcpy(all[i], serial.octets, 18);
	}
	qsort(all, COUNT, 18, compare_serial);
	for (int i = 1; i < COUNT; i++)
		assert_memory_not_equal(all[i - 1], all[i], 18);
	free(all);
}

static void a_serial_as_text_comes_back_and_other_text_is_refused(void **state)
{
	struct serial serial, back;
	OWNED_STR(text) = NULL;

	(void)state;
	assert_int_equal(serial_draw(1, 7, &serial, &err), ERR_OK);
	text = serial_format(&serial);
	assert_true(serial_parse(text, &back));
	assert_int_equal(back.len, serial.len);
	assert_memory_equal(back.octets, serial.octets, serial.len);
	assert_true(serial_parse("01:aB:ff", &back));
	assert_int_equal(back.len, 3);
	assert_false(serial_parse("", &back));
	assert_false(serial_parse("1", &back));
	assert_false(serial_parse("0x11", &back));
	assert_false(serial_parse(
	    "000102030405060708090a0b0c0d0e0f1011121314", &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_serial_is_positive_of_eighteen_octets_and_names_node_and_time),
	    cmocka_unit_test(ten_thousand_serials_of_one_second_differ),
	    cmocka_unit_test(
		a_serial_as_text_comes_back_and_other_text_is_refused),
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
