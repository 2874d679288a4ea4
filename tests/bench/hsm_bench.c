// SPDX-License-Identifier: Apache-2.0
/*
 * What crossing to the workers costs: blocking callers through the pool, by
 * number of workers, beside the same operations in one process without crossing.
 * Usage: hsm_bench [CALLERS [SECONDS]]
 */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/worker.h"
#include "hsm/ops.h"
#include "tests/unit/hsm/real.h"

static struct real real;
static char *signer, *root;
static struct hsm_kek kek;
static struct buf blob;
static unsigned callers = 64;
static int64_t duration_us = 3000000;

static void must(enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return;
	fprintf(stderr, "%s: %s%s\n", err_slug(code), err->detail, err->cause);
	exit(1);
}

static void sign_once(struct buf *out)
{
	static const uint8_t digest[32] = {1, 2, 3};
	struct err err = {0};

	must(hsm_sign(real.hsm, signer, HSM_ECDSA, BYTES_OF(digest), out,
		 &err),
	    &err);
}

static void data_key_once(struct buf *out)
{
	OWNED(secret) key = NULL;
	struct err err = {0};

	must(hsm_data_key(real.hsm, &kek, BYTES_STR("cluster/key/1"), 32, &key,
		 out, &err),
	    &err);
}

static void ping_once(struct buf *out UNUSED)
{
	struct err err = {0};

	must(hsm_ping(real.hsm, &err), &err);
}

struct run {
	void (*once)(struct buf *);
	int64_t until_us;
	uint64_t done;
	int64_t slowest_us;
};

static void *call_until(void *arg)
{
	struct run *run = arg;
	OWNED_BUF(out);
	int64_t now = clock_mono_us();

	while (now < run->until_us) {
		int64_t before = now;

		buf_reset(&out);
		run->once(&out);
		run->done++;
		now = clock_mono_us();
		if (now - before > run->slowest_us)
			run->slowest_us = now - before;
	}
	return NULL;
}

static int64_t own_cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	    usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int64_t workers_cpu_us(void)
{
	pid_t pids[64];
	size_t count = real_children(pids, ARRAY_LEN(pids));
	int64_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += real_cpu_us(pids[i]);
	return total;
}

static void measure(const char *what, void (*once)(struct buf *),
    unsigned workers, unsigned threads)
{
	struct run *runs = mem_zalloc_array(threads, sizeof(*runs));
	pthread_t *ids = mem_zalloc_array(threads, sizeof(*ids));
	int64_t own = own_cpu_us(), theirs = workers_cpu_us();
	int64_t began = clock_mono_us(), took, slowest = 0;
	uint64_t done = 0;

	for (unsigned i = 0; i < threads; i++) {
		runs[i] = (struct run){once, began + duration_us, 0, 0};
		pthread_create(&ids[i], NULL, call_until, &runs[i]);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		done += runs[i].done;
		if (runs[i].slowest_us > slowest)
			slowest = runs[i].slowest_us;
	}
	took = clock_mono_us() - began;
	own = own_cpu_us() - own;
	theirs = workers_cpu_us() - theirs;
	printf("%-9s %2u worker(s) %3u caller(s) %8.0f/s  CPU us/call: "
	       "client %5.2f worker %6.2f  slowest %6.1f ms\n",
	    what, workers, threads, (double)done * 1e6 / (double)took,
	    (double)own / (double)done, (double)theirs / (double)done,
	    (double)slowest / 1e3);
	free(runs);
	free(ids);
}

static void through_workers(unsigned workers)
{
	real_open(&real, workers);
	measure("ping", ping_once, workers, callers);
	measure("sign", sign_once, workers, callers);
	measure("data-key", data_key_once, workers, callers);
	measure("sign", sign_once, workers, 1);
	measure("data-key", data_key_once, workers, 1);
	real_close(&real);
}

static void check(enum wire_status status, const struct fault *fault)
{
	if (status == WIRE_OK)
		return;
	fprintf(stderr, "raw: %s\n", fault->text);
	exit(1);
}

static void measure_raw(
    const char *what, struct ops *ops, uint8_t op, struct bytes fields)
{
	struct fault fault = {.status = WIRE_OK};
	int64_t own = own_cpu_us(), began = clock_mono_us(), took;
	uint64_t done = 0;
	OWNED_BUF(out);

	while (clock_mono_us() < began + duration_us) {
		buf_reset(&out);
		check(ops_run(ops, op, reader_over(fields), &out, &fault),
		    &fault);
		done++;
	}
	took = clock_mono_us() - began;
	own = own_cpu_us() - own;
	printf("%-9s raw, one process         %8.0f/s  CPU us/call: %.2f\n",
	    what, (double)done * 1e6 / (double)took,
	    (double)own / (double)done);
}

/* The worker's own code on the same token, without socket or process. */
static void without_crossing(void)
{
	const struct token_options options = {
	    real.options.token, real.options.pin_file};
	struct fault fault = {.status = WIRE_OK};
	OWNED(module) module = NULL;
	OWNED(token) token = NULL;
	OWNED(entropy) entropy = NULL;
	OWNED(keyring) ring = NULL;
	OWNED(kek_cache) keks = NULL;
	OWNED_BUF(sign);
	OWNED_BUF(key);
	struct ops ops;

	putenv(real.environment[0]);
	check(module_open(real.options.module, &module, &fault), &fault);
	check(token_open(module, &options, &token, &fault), &fault);
	entropy = entropy_new(token);
	ring = keyring_new(token);
	keks = kek_cache_new(token, entropy, KEK_CACHE_DEFAULT);
	ops = (struct ops){token, ring, entropy, keks};
	buf_put_lv_str(&sign, signer);
	buf_put_u8(&sign, HSM_ECDSA);
	buf_put_lv(&sign, BYTES("0123456789abcdef0123456789abcdef", 32));
	buf_put_lv_str(&key, root);
	buf_put_lv(&key, kek.blob);
	buf_put_lv_str(&key, "cluster/key/1");
	buf_put_u16(&key, 32);
	buf_put_u8(&key, 1);
	measure_raw("sign", &ops, WIRE_SIGN, buf_bytes(&sign));
	measure_raw("data-key", &ops, WIRE_DATA_KEY, buf_bytes(&key));
}

int main(int argc, char **argv)
{
	struct err err = {0};
	OWNED_BUF(spki);

	if (argc > 1)
		callers = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		duration_us = strtol(argv[2], NULL, 10) * 1000000;
	must(secret_heap_open(4 << 20, &err), &err);
	real_begin(&real);
	real_open(&real, 1);
	must(hsm_generate_pair(
		 real.hsm, "bench", HSM_EC_P256, &signer, &spki, &err),
	    &err);
	must(hsm_generate_secret(
		 real.hsm, "bench-kek", HSM_USE_WRAP, &root, &err),
	    &err);
	must(hsm_kek_new(real.hsm, root, &blob, &err), &err);
	kek = (struct hsm_kek){root, buf_bytes(&blob)};
	real_close(&real);
	through_workers(1);
	through_workers(2);
	without_crossing();
	real_end(&real);
	free(signer);
	free(root);
	buf_free(&blob);
	return 0;
}
