// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/asn1.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/der.h"

static void assert_hex(struct buf *out, const char *hex)
{
	char text[256];

	assert_in_range(out->len, 0, 120);
	assert_string_equal(hex_write(out->data, out->len, text), hex);
	buf_reset(out);
}

static void lengths_take_the_fewest_octets(void **state)
{
	OWNED_BUF(out);

	(void)state;
	der_put_header(&out, DER_SEQUENCE, 0);
	assert_hex(&out, "3000");
	der_put_header(&out, DER_SEQUENCE, 127);
	assert_hex(&out, "307f");
	der_put_header(&out, DER_SEQUENCE, 128);
	assert_hex(&out, "308180");
	der_put_header(&out, DER_SEQUENCE, 255);
	assert_hex(&out, "3081ff");
	der_put_header(&out, DER_SEQUENCE, 256);
	assert_hex(&out, "30820100");
	der_put_header(&out, DER_SEQUENCE, 65535);
	assert_hex(&out, "3082ffff");
	der_put_header(&out, DER_SEQUENCE, 65536);
	assert_hex(&out, "3083010000");
	der_put_header(&out, DER_SEQUENCE, 0x1000000);
	assert_hex(&out, "308401000000");
	der_put_header(&out, DER_SEQUENCE, 0x100000000);
	assert_hex(&out, "30850100000000");
}

static void the_size_of_a_header_is_what_is_written(void **state)
{
	static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535, 65536,
	    16777215, 16777216, 4294967295, 4294967296};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		OWNED_BUF(out);

		der_put_header(&out, DER_OCTET_STRING, lengths[i]);
		assert_int_equal(out.len, der_header_size(lengths[i]));
	}
}

static void unsigned_integers_are_minimal_and_never_negative(void **state)
{
	static const uint8_t padded[] = {0, 0, 0x80, 1};
	static const uint8_t zeros[] = {0, 0, 0};
	OWNED_BUF(out);

	(void)state;
	der_put_unsigned(&out, BYTES_OF(padded));
	assert_hex(&out, "0203008001");
	der_put_unsigned(&out, BYTES_OF(zeros));
	assert_hex(&out, "020100");
	der_put_unsigned(&out, BYTES(NULL, 0));
	assert_hex(&out, "020100");
	der_put_u64(&out, 0);
	assert_hex(&out, "020100");
	der_put_u64(&out, 127);
	assert_hex(&out, "02017f");
	der_put_u64(&out, 128);
	assert_hex(&out, "02020080");
	der_put_u64(&out, UINT64_MAX);
	assert_hex(&out, "020900ffffffffffffffff");
}

static void openssl_reads_each_unsigned_integer_back(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = UINT64_C(1) << bit, back = 0;
		const uint8_t *next;
		ASN1_INTEGER *read;
		OWNED_BUF(out);

		der_put_u64(&out, value);
		next = out.data;
		read = d2i_ASN1_INTEGER(NULL, &next, (long)out.len);
		assert_non_null(read);
		assert_ptr_equal(next, out.data + out.len);
		assert_int_equal(ASN1_INTEGER_get_uint64(&back, read), 1);
		assert_true(back == value);
		ASN1_INTEGER_free(read);
	}
}

static void put_text_time(
    struct buf *out, const char *text, void (*put)(struct buf *, int64_t))
{
	int64_t seconds;

	assert_true(clock_parse(text, &seconds));
	put(out, seconds);
}

static void times_change_their_form_at_2050(void **state)
{
	OWNED_BUF(out);

	(void)state;
	put_text_time(&out, "1970-01-01T00:00:00Z", der_put_time);
	assert_hex(&out, "170d3730303130313030303030305a");
	put_text_time(&out, "2049-12-31T23:59:59Z", der_put_time);
	assert_hex(&out, "170d3439313233313233353935395a");
	put_text_time(&out, "2050-01-01T00:00:00Z", der_put_time);
	assert_hex(&out, "180f32303530303130313030303030305a");
	put_text_time(&out, "2028-02-29T12:34:56Z", der_put_generalized_time);
	assert_hex(&out, "180f32303238303232393132333435365a");
	put_text_time(&out, "9999-12-31T23:59:59Z", der_put_time);
	assert_hex(&out, "180f39393939313233313233353935395a");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lengths_take_the_fewest_octets),
	    cmocka_unit_test(the_size_of_a_header_is_what_is_written),
	    cmocka_unit_test(unsigned_integers_are_minimal_and_never_negative),
	    cmocka_unit_test(openssl_reads_each_unsigned_integer_back),
	    cmocka_unit_test(times_change_their_form_at_2050),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
