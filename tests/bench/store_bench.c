// SPDX-License-Identifier: Apache-2.0
/*
 * What a durable commit costs: store_bench [THREADS [SECONDS [FOLDER [sealed]]]].
 * Each thread commits what issuing does, an intent and then a certificate, as
 * fast as it can; afterwards one thread alone does the same, and finds.  A
 * sealed store is also verified, and sealed anew.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "store/audit.h"
#include "store/key.h"
#include "tests/scratch.h"

#define THREADS_MAX 1024
#define FINDS 1000000

static struct store *store;
static atomic_bool stopping;

struct worker {
	pthread_t thread;
	uint32_t number;
	uint64_t done;
	int64_t slowest_us;
};

static int64_t cpu_us(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000LL +
	       use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

static void give_up(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s%s\n", what, err->detail, err->cause);
	exit(1);
}

static struct key serial_of(uint32_t number, uint64_t n)
{
	struct key key = KEY_INIT;

	key_add_octets(&key, BYTES("\x01", 1));
	key_add_u32(&key, (uint32_t)(clock_now() & 0xffffffff));
	key_add_u64(&key, n * 0x9e3779b97f4a7c15u);
	key_add_u32(&key, number);
	return key;
}

static void build_intent(struct batch *batch, struct bytes serial)
{
	static const uint8_t intent[200];

	batch_require_absent(batch, TABLE_INTENTS, serial);
	batch_require_absent(batch, TABLE_CERTIFICATES, serial);
	batch_put(batch, TABLE_INTENTS, serial, BYTES_OF(intent));
}

static void build_certificate(struct batch *batch, struct bytes serial)
{
	static const uint8_t certificate[900];
	const struct audit_entry entry = {
	    .action = "certificate.issue",
	    .result = "granted",
	    .actor = "token:4c0f9e2277aa01d3",
	    .source = "10.20.30.40",
	    .cluster = "orders",
	    .object = "serial:0165a1b2c3d4e5f60718293a4b5c6d7e8f90",
	    .rule = "etcd/peer",
	    .request_id = "4f1c2d3e",
	};
	struct key by_cluster = KEY_INIT;
	struct key by_expiry = KEY_INIT;

	key_add_text(&by_cluster, "orders");
	key_add_octets(&by_cluster, serial);
	key_add_u64(&by_expiry, (uint64_t)clock_now() + 86400);
	key_add_octets(&by_expiry, serial);
	batch_require_absent(batch, TABLE_CERTIFICATES, serial);
	batch_put(batch, TABLE_CERTIFICATES, serial, BYTES_OF(certificate));
	batch_put(batch, TABLE_CERTS_BY_CLUSTER, key_bytes(&by_cluster),
	    BYTES("\x01", 1));
	batch_put(batch, TABLE_CERTS_BY_EXPIRY, key_bytes(&by_expiry),
	    BYTES("\x01", 1));
	batch_put(batch, TABLE_CERTS_BY_REQUEST,
	    BYTES(serial.data + 5, serial.len - 5), serial);
	batch_delete(batch, TABLE_INTENTS, serial);
	batch_audit(batch, &entry);
}

static void commit(struct worker *worker, struct batch *batch)
{
	struct err err = {0};
	int64_t start = clock_mono_us();

	if (store_commit(store, batch, &err) != ERR_OK)
		give_up("commit", &err);
	start = clock_mono_us() - start;
	if (start > worker->slowest_us)
		worker->slowest_us = start;
	worker->done++;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	OWNED(batch) batch = batch_new();

	for (uint64_t n = 1; !atomic_load(&stopping); n++) {
		struct key serial = serial_of(worker->number, n);

		build_intent(batch, key_bytes(&serial));
		commit(worker, batch);
		build_certificate(batch, key_bytes(&serial));
		commit(worker, batch);
	}
	return NULL;
}

static void bench_commits(uint32_t threads, int64_t seconds)
{
	static struct worker workers[THREADS_MAX];
	struct store_stats before, after;
	int64_t cpu = cpu_us();
	int64_t start = clock_mono_us();
	int64_t slowest = 0;
	uint64_t batches;

	atomic_store(&stopping, false);
	store_stats(store, &before);
	for (uint32_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){.number = i + (threads << 16)};
		if (pthread_create(
			&workers[i].thread, NULL, work, &workers[i]) != 0)
			exit(1);
	}
	while (clock_mono_us() - start < seconds * 1000000)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	atomic_store(&stopping, true);
	for (uint32_t i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].slowest_us > slowest)
			slowest = workers[i].slowest_us;
	}
	start = clock_mono_us() - start;
	cpu = cpu_us() - cpu;
	store_stats(store, &after);
	batches = after.batches - before.batches;
	printf("%u threads: %.0f commits/s, %.0f batches/s, %.1f batches a "
	       "commit, %.1f us CPU a batch, mean wait %.0f us, slowest %lld "
	       "us\n",
	    (unsigned)threads,
	    (double)(after.commits - before.commits) * 1e6 / (double)start,
	    (double)batches * 1e6 / (double)start,
	    (double)batches / (double)(after.commits - before.commits),
	    (double)cpu / (double)batches,
	    (double)start * threads / (double)batches, (long long)slowest);
}

static void bench_find(void)
{
	OWNED(batch) batch = batch_new();
	OWNED_BUF(value);
	struct key serial = serial_of(1, 1);
	struct err err = {0};
	int64_t start;
	bool found;

	build_certificate(batch, key_bytes(&serial));
	if (store_commit(store, batch, &err) != ERR_OK)
		give_up("commit", &err);
	start = cpu_us();
	for (unsigned i = 0; i < FINDS; i++)
		if (store_find(store, TABLE_CERTIFICATES, key_bytes(&serial),
			&value, NULL, &found, &err) != ERR_OK ||
		    !found)
			give_up("find", &err);
	printf("find of 900 octets: %.3f us\n",
	    (double)(cpu_us() - start) / FINDS);
}

static struct secret *seal(void)
{
	struct secret *key = secret_new(STORE_KEY_SIZE);
	struct err err = {0};

	if (store_seal(store, BYTES_STR("bench"), key, &err) != ERR_OK)
		give_up("seal", &err);
	return key;
}

static void bench_seal(void)
{
	struct err err = {0};
	int64_t start = clock_mono_us();
	uint64_t rows;

	if (store_verify(store, &rows, &err) != ERR_OK)
		give_up("verify", &err);
	printf("verifying %llu rows: %.2f us each\n", (unsigned long long)rows,
	    (double)(clock_mono_us() - start) / (double)rows);
	start = clock_mono_us();
	secret_free(seal());
	printf("sealing them anew: %.2f us each\n",
	    (double)(clock_mono_us() - start) / (double)rows);
}

int main(int argc, char **argv)
{
	uint32_t threads = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 64;
	int64_t seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
	char dir[256] = "/tmp/store-bench.XXXXXX";
	struct store_options options = {.create = true};
	struct audit_head head;
	struct err err = {0};
	int64_t start;

	if (threads == 0 || threads > THREADS_MAX)
		threads = 64;
	if (argc > 3)
		snprintf(dir, sizeof(dir), "%s/store-bench.XXXXXX", argv[3]);
	if (mkdtemp(dir) == NULL) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return 1;
	}
	options.path = dir;
	if (secret_heap_open(1 << 18, &err) != ERR_OK ||
	    store_open(&options, &store, &err) != ERR_OK)
		give_up(dir, &err);
	bool sealed = argc > 4 && strcmp(argv[4], "sealed") == 0;
	if (sealed)
		secret_free(seal());
	printf("store in %s%s\n", dir, sealed ? ", sealed" : "");
	bench_commits(threads, seconds);
	bench_commits(1, seconds);
	bench_find();
	start = clock_mono_us();
	if (audit_verify(store, &head, &err) != ERR_OK)
		give_up("audit", &err);
	start = clock_mono_us() - start;
	printf("audit of %llu entries: %.2f us each\n",
	    (unsigned long long)head.sequence,
	    (double)start / (double)head.sequence);
	if (sealed)
		bench_seal();
	store_close(store);
	scratch_remove(dir);
	return 0;
}
