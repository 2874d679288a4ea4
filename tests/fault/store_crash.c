// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: what store_commit acknowledged is there after the process
 * was killed at any moment, batches are there whole or not at all, and the
 * audit chain verifies.
 *
 * A child process commits from several threads and reports each acknowledged
 * batch through a pipe.  The parent kills it (SIGKILL) after a number of
 * reports drawn anew each round, some of them before the first, and then opens
 * the store and compares.  The store lives through all rounds, and so do its
 * records.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/audit.h"
#include "store/key.h"
#include "tests/scratch.h"

#define ROUNDS 30
#define THREADS 8
#define REPORTS_MAX 300 /* the child is killed after at most so many */
#define REPORTS_BOUND 30000 /* a child that goes on is not dead */

struct report {
	uint32_t round, thread, number;
};

/* Octets in a pipe arrive whole when they are this few (PIPE_BUF). */
_Static_assert(sizeof(struct report) <= 512, "a report is one write");

struct committer {
	struct store *store;
	int pipe;
	struct report next;
};

static void die(const char *format, ...) PRINTF_LIKE(1, 2);
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static struct key key_of(const struct report *report)
{
	struct key key = KEY_INIT;

	key_add_u32(&key, report->round);
	key_add_u32(&key, report->thread);
	key_add_u32(&key, report->number);
	return key;
}

static struct store *open_store(const char *path)
{
	const struct store_options options = {.path = path, .create = true};
	struct store *store = NULL;
	struct err err = {0};

	if (store_open(&options, &store, &err) != ERR_OK)
		die("open: %s%s", err.detail, err.cause);
	return store;
}

/* ---- the child ---- */

static void *commit_for_ever(void *arg)
{
	struct committer *committer = arg;
	const struct audit_entry entry = {.action = "crash.put"};
	OWNED(batch) batch = batch_new();

	for (;; committer->next.number++) {
		struct key key = key_of(&committer->next);
		struct err err = {0};

		batch_require_absent(
		    batch, TABLE_CERTIFICATES, key_bytes(&key));
		batch_put(batch, TABLE_CERTIFICATES, key_bytes(&key),
		    BYTES_OF(key.octets));
		batch_put(
		    batch, TABLE_INTENTS, key_bytes(&key), key_bytes(&key));
		batch_audit(batch, &entry);
		if (store_commit(committer->store, batch, &err) != ERR_OK)
			die("commit: %s%s", err.detail, err.cause);
		if (write(committer->pipe, &committer->next,
			sizeof(committer->next)) < 0)
			_exit(1);
	}
}

static void run_child(const char *path, uint32_t round, int pipe)
{
	static struct committer committers[THREADS];
	struct store *store;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	store = open_store(path);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_t thread;

		committers[i] = (struct committer){store, pipe, {round, i, 0}};
		if (pthread_create(
			&thread, NULL, commit_for_ever, &committers[i]) != 0)
			die("pthread_create");
	}
	for (;;)
		pause();
}

/* ---- the parent ---- */

/* Reads reports until WANT of them have come, kills the child, and takes what
 * was reported before it died.  Returns how many came. */
static unsigned run_round(
    const char *path, uint32_t round, unsigned want, struct report *reports)
{
	unsigned count = 0;
	int ends[2];
	pid_t pid = -1;

	if (pipe(ends) != 0 || (pid = fork()) < 0)
		die("cannot start a child");
	if (pid == 0) {
		close(ends[0]);
		run_child(path, round, ends[1]);
	}
	close(ends[1]);
	for (;;) {
		if (count == want)
			kill(pid, SIGKILL);
		if (count == REPORTS_BOUND)
			die("the child does not die");
		if (read(ends[0], &reports[count], sizeof(*reports)) !=
		    sizeof(*reports))
			break;
		count++;
	}
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) != pid)
		die("waitpid");
	close(ends[0]);
	if (count < want)
		die("the child ended by itself after %u reports", count);
	return count;
}

static void check_record(
    struct store *store, enum table table, const struct report *report)
{
	struct key key = key_of(report);
	OWNED_BUF(value);
	struct err err = {0};
	bool found = false;

	if (store_find(store, table, key_bytes(&key), &value, NULL, &found,
		&err) != ERR_OK)
		die("find: %s", err.cause);
	if (!found)
		die("round %u, thread %u: acknowledged batch %u is lost",
		    (unsigned)report->round, (unsigned)report->thread,
		    (unsigned)report->number);
}

static uint64_t count_of(struct store *store, enum table table)
{
	struct err err = {0};
	uint64_t count = 0;

	if (store_count(store, table, &count, &err) != ERR_OK)
		die("count: %s", err.cause);
	return count;
}

/* Returns the records that the store has now. */
static uint64_t check_store(
    struct store *store, const struct report *reports, unsigned count)
{
	uint64_t records = count_of(store, TABLE_CERTIFICATES);
	struct audit_head head;
	struct err err = {0};

	for (unsigned i = 0; i < count; i++) {
		check_record(store, TABLE_CERTIFICATES, &reports[i]);
		check_record(store, TABLE_INTENTS, &reports[i]);
	}
	if (count_of(store, TABLE_INTENTS) != records)
		die("a batch was applied in part");
	if (audit_verify(store, &head, &err) != ERR_OK)
		die("audit: %s", err.cause);
	if (head.sequence != records)
		die("%llu records, but %llu audit entries",
		    (unsigned long long)records,
		    (unsigned long long)head.sequence);
	return records;
}

static unsigned first_seed(void)
{
	const char *text = getenv("STORE_CRASH_SEED");

	if (text == NULL)
		return (unsigned)getpid();
	return (unsigned)strtoul(text, NULL, 10);
}

int main(void)
{
	static struct report reports[REPORTS_BOUND];
	char dir[] = "/tmp/store-crash.XXXXXX";
	unsigned seed = first_seed();
	uint64_t acknowledged = 0;
	uint64_t records = 0;
	OWNED_STR(path) = NULL;

	if (mkdtemp(dir) == NULL)
		die("mkdtemp");
	path = mem_printf("%s/store", dir);
	printf("STORE_CRASH_SEED=%u, store in %s\n", seed, dir);
	fflush(stdout);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		unsigned want = round % 5 == 0
				    ? 0
				    : 1 + (unsigned)rand_r(&seed) % REPORTS_MAX;
		unsigned count = run_round(path, round, want, reports);
		struct store *store = open_store(path);

		acknowledged += count;
		records = check_store(store, reports, count);
		if (records < acknowledged)
			die("records of earlier rounds are lost");
		store_close(store);
	}
	printf("%u kills, %llu acknowledged, %llu found\n", ROUNDS,
	    (unsigned long long)acknowledged, (unsigned long long)records);
	scratch_remove(dir);
	return 0;
}
