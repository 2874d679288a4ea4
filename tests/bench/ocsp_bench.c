// SPDX-License-Identifier: Apache-2.0
/*
 * Answers from the cache, for each second of one CPU, with the look at the
 * store that each costs: one certificate asked for again and again, and many in
 * turn.  Beside them stand the parts: the look at the store alone, and an
 * answer that is signed (by a software key).
 * Usage: ocsp_bench [RECORDS]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ca/ocsp.h"
#include "ca/responder.h"
#include "store/key.h"
#include "tests/unit/ca/ask.h"
#include "tests/unit/ca/authority.h"

#define DISTINCT 10000u
#define RUN_US 1000000

static struct buf requests[DISTINCT];

/* Of this thread: others that run meanwhile do not count. */
static int64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void prepare(struct authority *authority, struct ocsp *ocsp,
    uint32_t records)
{
	struct err err;

	for (uint32_t n = 0; n < records; n += 1000) {
		OWNED(batch) batch = batch_new();

		for (uint32_t i = n; i < n + 1000 && i < records; i++)
			authority_add_record(authority, batch, "issuing-1", i,
			    AUTHORITY_NOW + AUTHORITY_YEAR);
		if (store_commit(authority->store, batch, &err) != ERR_OK)
			abort();
	}
	for (uint32_t i = 0; i < DISTINCT; i++) {
		struct serial serial =
		    authority_serial(i * (records / DISTINCT));

		ask_write(authority, "issuing-1", serial_bytes(&serial),
		    &requests[i]);
		ocsp_response_free(
		    ocsp_answer(ocsp, buf_bytes(&requests[i])));
	}
}

static double cached(struct ocsp *ocsp, uint32_t distinct)
{
	int64_t start = cpu_us(), now;
	uint64_t count = 0;

	do {
		for (uint32_t i = 0; i < 1000; i++, count++) {
			struct ocsp_response *response = ocsp_cached(ocsp,
			    buf_bytes(&requests[count % distinct]));

			if (response == NULL)
				abort();
			ocsp_response_free(response);
		}
		now = cpu_us();
	} while (now - start < RUN_US);
	return (double)count * 1e6 / (double)(now - start);
}

static double looks(struct authority *authority, uint32_t records)
{
	int64_t start = cpu_us(), now;
	uint64_t count = 0;

	do {
		for (uint32_t i = 0; i < 1000; i++, count++) {
			struct serial serial = authority_serial(
			    (uint32_t)(count % DISTINCT) *
			    (records / DISTINCT));
			OWNED_BUF(value);
			struct err err;
			bool found;

			if (store_find(authority->store, TABLE_CERTIFICATES,
				serial_bytes(&serial), &value, NULL, &found,
				&err) != ERR_OK || !found)
				abort();
		}
		now = cpu_us();
	} while (now - start < RUN_US);
	return (double)count * 1e6 / (double)(now - start);
}

static double anew(struct authority *authority, struct ocsp *ocsp)
{
	int64_t start = cpu_us(), now;
	struct serial serial = authority_serial(UINT32_MAX);
	uint64_t count = 0;
	OWNED_BUF(unknown);

	/* A serial never issued is never cached. */
	ask_write(authority, "issuing-1", serial_bytes(&serial), &unknown);
	do {
		ocsp_response_free(ocsp_answer(ocsp, buf_bytes(&unknown)));
		count++;
		now = cpu_us();
	} while (now - start < RUN_US);
	return (double)count * 1e6 / (double)(now - start);
}

int main(int argc, char **argv)
{
	uint32_t records =
	    argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	struct authority *authority;
	struct ocsp *ocsp;
	struct err err;
	void *state;

	if (records < DISTINCT || authority_setup(&state) != 0)
		return 1;
	authority = state;
	authority->config.ocsp.cache_entries = 4 * DISTINCT;
	if (ocsp_open(authority->ca, &ocsp, &err) != ERR_OK ||
	    responder_renew(authority->ca, "issuing-1", &err) != ERR_OK)
		return 1;
	prepare(authority, ocsp, records);
	printf("records\t%u\n", records);
	printf("cached, one certificate\t%.0f/s\n", cached(ocsp, 1));
	printf("cached, %u certificates\t%.0f/s\n", DISTINCT,
	    cached(ocsp, DISTINCT));
	printf("store_find alone\t%.0f/s\n", looks(authority, records));
	printf("signed by a software key\t%.0f/s\n", anew(authority, ocsp));
	ocsp_close(ocsp);
	for (uint32_t i = 0; i < DISTINCT; i++)
		buf_free(&requests[i]);
	return authority_teardown(&state);
}
