// SPDX-License-Identifier: Apache-2.0
#include "ca/der.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LENGTH_OCTETS_MAX 8
#define FIRST_LONG_LENGTH 128
/* The last second of year 9999: GeneralizedTime has four digits. */
#define TIME_MAX INT64_C(253402300799)

static size_t length_octets(size_t len)
{
	size_t octets = 0;

	for (; len > 0; len >>= 8)
		octets++;
	return octets;
}

size_t der_header_size(size_t content_len)
{
	return content_len < FIRST_LONG_LENGTH
	    ? 2
	    : 2 + length_octets(content_len);
}

void der_put_header(struct buf *out, uint8_t tag, size_t len)
{
	uint8_t header[2 + LENGTH_OCTETS_MAX] = {tag};
	size_t size = der_header_size(len);

	if (len < FIRST_LONG_LENGTH) {
		header[1] = (uint8_t)len;
	} else {
		header[1] = (uint8_t)(0x80 | (size - 2));
		for (size_t i = size; i > 2; i--, len >>= 8)
			header[i - 1] = (uint8_t)(len & 0xff);
	}
	buf_put(out, header, size);
}

void der_put(struct buf *out, uint8_t tag, struct bytes content)
{
	der_put_header(out, tag, content.len);
	buf_put_bytes(out, content);
}

void der_put_unsigned(struct buf *out, struct bytes magnitude)
{
	bool sign_octet;

	while (magnitude.len > 0 && magnitude.data[0] == 0) {
		magnitude.data++;
		magnitude.len--;
	}
	sign_octet = magnitude.len == 0 || (magnitude.data[0] & 0x80) != 0;
	der_put_header(out, DER_INTEGER, magnitude.len + sign_octet);
	if (sign_octet)
		buf_put_u8(out, 0);
	buf_put_bytes(out, magnitude);
}

void der_put_u64(struct buf *out, uint64_t value)
{
	uint8_t octets[8];

	for (size_t i = sizeof(octets); i > 0; i--, value >>= 8)
		octets[i - 1] = (uint8_t)(value & 0xff);
	der_put_unsigned(out, BYTES_OF(octets));
}

/* Writes VALUE as DIGITS decimal digits and returns where they end. */
static uint8_t *put_digits(uint8_t *at, int value, int digits)
{
	for (int i = digits; i > 0; i--, value /= 10)
		at[i - 1] = (uint8_t)('0' + value % 10);
	return at + digits;
}

static struct tm calendar(int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm parts;

	if (seconds < 0 || seconds > TIME_MAX ||
	    gmtime_r(&time, &parts) == NULL)
		abort();
	return parts;
}

static void put_time(
    struct buf *out, uint8_t tag, const struct tm *parts, int year_digits)
{
	uint8_t text[15], *at = text;

	at = put_digits(at, parts->tm_year + 1900, year_digits);
	at = put_digits(at, parts->tm_mon + 1, 2);
	at = put_digits(at, parts->tm_mday, 2);
	at = put_digits(at, parts->tm_hour, 2);
	at = put_digits(at, parts->tm_min, 2);
	at = put_digits(at, parts->tm_sec, 2);
	*at++ = 'Z';
	der_put(out, tag, BYTES(text, (size_t)(at - text)));
}

void der_put_time(struct buf *out, int64_t seconds)
{
	struct tm parts = calendar(seconds);

	if (parts.tm_year + 1900 < 2050)
		put_time(out, DER_UTC_TIME, &parts, 2);
	else
		put_time(out, DER_GENERALIZED_TIME, &parts, 4);
}

void der_put_generalized_time(struct buf *out, int64_t seconds)
{
	struct tm parts = calendar(seconds);

	put_time(out, DER_GENERALIZED_TIME, &parts, 4);
}
