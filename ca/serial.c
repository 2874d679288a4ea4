// SPDX-License-Identifier: Apache-2.0
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/text.h"
#include "ca/certificate.h"

#define NODE_MAX 0x7f
#define TIME_OCTETS 5
#define RANDOM_OCTETS 12
#define SERIAL_SIZE (1 + TIME_OCTETS + RANDOM_OCTETS)
#define TIME_MAX ((INT64_C(1) << (8 * TIME_OCTETS)) - 1)
#define POOL_SIZE (64 * RANDOM_OCTETS)

/* RAND_bytes takes a lock that all threads share, so each thread draws for many
 * serials at once.  What was given out is wiped. */
static bool draw_random(uint8_t out[static RANDOM_OCTETS])
{
	static _Thread_local uint8_t pool[POOL_SIZE];
	static _Thread_local size_t left;
	uint8_t *at;

	if (left == 0) {
		if (RAND_bytes(pool, sizeof(pool)) != 1)
			return false;
		left = sizeof(pool);
	}
	left -= RANDOM_OCTETS;
	at = pool + left;
	memcpy(out, at, RANDOM_OCTETS);
	OPENSSL_cleanse(at, RANDOM_OCTETS);
	return true;
}

enum err_code serial_draw(
    uint8_t node, int64_t now, struct serial *serial_out, struct err *err)
{
	uint8_t *at = serial_out->octets;

	if (node == 0 || node > NODE_MAX || now < 0 || now > TIME_MAX)
		return err_fail(err, ERR_INTERNAL,
		    "no serial for node %u at second %lld", node,
		    (long long)now);
	serial_out->len = SERIAL_SIZE;
	*at++ = node;
	for (int shift = 8 * (TIME_OCTETS - 1); shift >= 0; shift -= 8)
		*at++ = (uint8_t)(now >> shift & 0xff);
	if (!draw_random(at))
		return err_fail_crypto(err, "random octets of a serial");
	return ERR_OK;
}

bool serial_time(const struct serial *serial, int64_t *seconds_out)
{
	int64_t seconds = 0;

	if (serial->len != SERIAL_SIZE)
		return false;
	for (size_t i = 1; i <= TIME_OCTETS; i++)
		seconds = seconds << 8 | serial->octets[i];
	*seconds_out = seconds;
	return true;
}

struct bytes serial_bytes(const struct serial *serial)
{
	return BYTES(serial->octets, serial->len);
}

char *serial_format(const struct serial *serial)
{
	return hex_new(serial->octets, serial->len);
}

bool serial_read(struct bytes octets, struct serial *serial_out)
{
	if (octets.len == 0 || octets.len > SERIAL_MAX)
		return false;
	memcpy(serial_out->octets, octets.data, octets.len);
	serial_out->len = octets.len;
	return true;
}

bool serial_parse(const char *text, struct serial *serial_out)
{
	OWNED_BUF(octets);

	return hex_parse_any(text, SERIAL_MAX, &octets) &&
	    serial_read(buf_bytes(&octets), serial_out);
}
