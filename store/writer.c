// SPDX-License-Identifier: Apache-2.0
#include "store/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fiber.h"
#include "base/thread.h"
#include "base/wait.h"
#include "store/key.h"
#include "store/ledger.h"

#define TEND_INTERVAL_MS 10000
/* How long a commit waits for others that are expected, and how often it looks. */
#define GATHER_LOOKS 5
#define GATHER_NAP_US 200

/* A batch on its way, on the stack of who waits for it: the waiter's until pushed,
 * then the writer's until the waiting has ended. */
struct request {
	struct request *next;
	struct batch *batch;
	struct err *err;
	enum err_code code;
	struct waiter waiter;
};

/* A step of the pass, on the stack of who waits for it. */
struct look {
	struct pass_step *step;
	struct err *err;
	enum err_code code;
	struct waiter waiter;
};

struct writer {
	struct engine *engine;
	pthread_t thread;
	/* Newest first.  Whoever pushes onto an empty queue rings the writer's
	 * bell, so that a busy writer costs its callers no system call. */
	struct request *_Atomic queue;
	struct look *_Atomic look; /* NULL: nobody waits for a step */
	_Atomic uint64_t bell; /* struct bells of the thread */
	atomic_bool stopping;
	atomic_bool writable; /* false once the disk has failed, for good */
	atomic_uint_fast64_t commits, batches;
	atomic_int_fast64_t waiting; /* counted once queued: may dip below 0 */
	atomic_int_fast64_t expected; /* on their way here, or waiting */

	/* The writer thread's alone. */
	struct sealer *sealer; /* NULL: the store is not sealed */
	struct ledger *ledger;
	bool ledger_begun; /* in this transaction */
	int64_t now_ms; /* of this transaction */
	struct buf record;
};

/* ---- one batch inside the transaction ---- */

static enum err_code check(struct writer *writer, struct transaction *tx,
    const struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->requirement_count; i++) {
		const struct requirement *want = &batch->requirements[i];
		struct record record;
		enum err_code code = writer->engine->ops->look(tx, want->table,
		    batch_octets(batch, want->key), &record, err);

		if (code != ERR_OK)
			return code;
		if (record.revision != want->revision)
			return err_refuse(err, ERR_CONFLICT,
			    "the record was changed meanwhile; read it again");
	}
	return ERR_OK;
}

static enum err_code change_one(struct writer *writer, struct transaction *tx,
    const struct row *row, const struct bytes *value, struct err *err)
{
	const struct engine_ops *ops = writer->engine->ops;

	if (writer->sealer != NULL)
		return value != NULL
			   ? sealer_put(writer->sealer, tx, row, *value, err)
			   : sealer_erase(writer->sealer, tx, row, err);
	return value != NULL ? ops->put(tx, row->table, row->key, *value, err)
			     : ops->erase(tx, row->table, row->key, err);
}

static enum err_code change(struct writer *writer, struct transaction *tx,
    const struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->change_count; i++) {
		const struct change *it = &batch->changes[i];
		const struct row row = {
		    .table = it->table, .key = batch_octets(batch, it->key)};
		struct bytes value = batch_octets(batch, it->value);
		enum err_code code = change_one(
		    writer, tx, &row, it->is_put ? &value : NULL, err);

		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* The head is read in the transaction: another process may have moved it. */
static enum err_code begin_ledger(
    struct writer *writer, struct transaction *tx, struct err *err)
{
	struct record head;
	enum err_code code;

	if (writer->ledger_begun)
		return ERR_OK;
	code = writer->engine->ops->look(
	    tx, TABLE_META, BYTES_STR(STORE_META_AUDIT), &head, err);
	if (code == ERR_OK)
		code = ledger_resume(writer->ledger, head.value, err);
	writer->ledger_begun = code == ERR_OK;
	writer->now_ms = clock_now_ms();
	return code;
}

static enum err_code record_audit(struct writer *writer, struct transaction *tx,
    const struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->audit_count; i++) {
		const struct audit_body *body = &batch->audits[i];
		struct key key = {.len = 0};
		enum err_code code = begin_ledger(writer, tx, err);

		if (code != ERR_OK)
			return code;
		ledger_append(writer->ledger,
		    batch_octets(batch, body->texts),
		    body->time_ms != 0 ? body->time_ms : writer->now_ms,
		    &writer->record);
		key_add_u64(&key, ledger_size(writer->ledger));
		code = writer->engine->ops->append(tx, TABLE_AUDIT,
		    key_bytes(&key), buf_bytes(&writer->record), err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code end_ledger(
    struct writer *writer, struct transaction *tx, struct err *err)
{
	if (!writer->ledger_begun)
		return ERR_OK;
	buf_reset(&writer->record);
	ledger_write_head(writer->ledger, &writer->record);
	return writer->engine->ops->put(tx, TABLE_META,
	    BYTES_STR(STORE_META_AUDIT), buf_bytes(&writer->record), err);
}

/* Sets the request's code.  A refusal comes before the first change and leaves
 * the transaction good for the others; anything else spoils it. */
static enum err_code apply(struct writer *writer, struct transaction *tx,
    struct request *request, struct err *err)
{
	const struct batch *batch = request->batch;
	enum err_code code = check(writer, tx, batch, request->err);

	request->code = code;
	if (code == ERR_CONFLICT)
		return ERR_OK;
	if (code == ERR_OK)
		code = change(writer, tx, batch, request->err);
	if (code == ERR_OK)
		code = record_audit(writer, tx, batch, request->err);
	request->code = code;
	if (code != ERR_OK)
		*err = *request->err;
	return code;
}

/* ---- a group in one transaction ---- */

/* The requests from FIRST up to and without END: all of those that are not
 * refused, or none. */
static enum err_code apply_all(struct writer *writer, struct request *first,
    const struct request *end, struct err *err)
{
	const struct engine_ops *ops = writer->engine->ops;
	struct transaction *tx;
	enum err_code code = ops->begin(writer->engine, &tx, err);

	if (code != ERR_OK)
		return code;
	writer->ledger_begun = false;
	if (writer->sealer != NULL)
		sealer_begin(writer->sealer);
	for (struct request *it = first; it != end && code == ERR_OK;
	     it = it->next)
		code = apply(writer, tx, it, err);
	if (code == ERR_OK)
		code = end_ledger(writer, tx, err);
	if (code == ERR_OK && writer->sealer != NULL)
		code = sealer_end(writer->sealer, tx, err);
	if (code != ERR_OK) {
		ops->abort(tx);
		return code;
	}
	if ((code = ops->commit(tx, err)) != ERR_OK)
		return code;
	if (writer->sealer != NULL)
		sealer_committed(writer->sealer);
	atomic_fetch_add(&writer->commits, 1);
	return ERR_OK;
}

/* Gives the fault of the group to each member. */
static void fail_all(
    struct request *first, const struct request *end, const struct err *err)
{
	for (struct request *it = first; it != end; it = it->next) {
		it->code = err->code;
		*it->err = *err;
	}
}

/* What may be no more than one batch's own trouble. */
static bool is_of_one(enum err_code code)
{
	return code == ERR_STORE_FULL || code == ERR_CRYPTO;
}

static void serve_one(struct writer *writer, struct request *request)
{
	struct err err = {0};
	enum err_code code;

	if (!atomic_load(&writer->writable)) {
		request->code = err_fail(request->err, ERR_STORE,
		    "the store is read-only since its disk failed");
		return;
	}
	code = apply_all(writer, request, request->next, &err);
	if (code == ERR_OK)
		return;
	if (!is_of_one(code))
		atomic_store(&writer->writable, false);
	fail_all(request, request->next, &err);
}

static void serve(struct writer *writer, struct request *group)
{
	struct err err = {0};
	enum err_code code;

	if (group->next == NULL || !atomic_load(&writer->writable)) {
		for (struct request *it = group; it != NULL; it = it->next)
			serve_one(writer, it);
		return;
	}
	code = apply_all(writer, group, NULL, &err);
	if (code == ERR_OK)
		return;
	if (is_of_one(code)) {
		for (struct request *it = group; it != NULL; it = it->next)
			serve_one(writer, it);
		return;
	}
	atomic_store(&writer->writable, false);
	fail_all(group, NULL, &err);
}

/* ---- the queue ---- */

static bool most_are_here(const struct writer *writer)
{
	int64_t missing = atomic_load(&writer->expected) * 3;
	const struct request *it = atomic_load(&writer->queue);

	for (; it != NULL && missing > 0; it = it->next)
		missing -= 4;
	return missing <= 0;
}

/* Until three in four of those expected are here: the rest is slow, or will not
 * commit.  A nap is dearer than a look but gives the processor to those who are
 * awaited. */
static void gather(const struct writer *writer)
{
	static const struct timespec nap = {.tv_nsec = GATHER_NAP_US * 1000};

	for (unsigned i = 0; i < GATHER_LOOKS && !most_are_here(writer); i++)
		nanosleep(&nap, NULL);
}

/* Everything that waits, oldest first. */
static struct request *take_all(struct writer *writer)
{
	struct request *newest = atomic_exchange(&writer->queue, NULL);
	struct request *oldest = NULL;

	while (newest != NULL) {
		struct request *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void wake_all(struct writer *writer, struct request *group)
{
	struct bells bells = {0};
	unsigned done = 0, written = 0;

	while (group != NULL) {
		struct request *next = group->next;

		done++;
		written += group->code == ERR_OK;
		waiter_end(&group->waiter, &bells); /* gone from here on */
		group = next;
	}
	atomic_fetch_add(&writer->batches, written);
	atomic_fetch_sub(&writer->waiting, done);
	bells_ring(&bells);
}

static void take_look(struct writer *writer)
{
	struct look *look = atomic_load(&writer->look);
	struct bells bells = {0};

	if (look == NULL)
		return;
	atomic_store(&writer->look, NULL);
	if (atomic_load(&writer->writable))
		look->code = sealer_pass(writer->sealer, look->step, look->err);
	else
		look->code = err_fail(look->err, ERR_STORE,
		    "the tally is not known since the disk failed");
	waiter_end(&look->waiter, &bells);
	bells_ring(&bells);
}

static void tend(struct writer *writer, int64_t *next_ms)
{
	if (clock_mono_ms() < *next_ms)
		return;
	writer->engine->ops->tend(writer->engine);
	*next_ms = clock_mono_ms() + TEND_INTERVAL_MS;
}

static void *run(void *arg)
{
	struct writer *writer = arg;
	int64_t next_tend_ms = clock_mono_ms() + TEND_INTERVAL_MS;

	atomic_store(&writer->bell, bell_mine().set);
	for (;;) {
		unsigned strokes = bell_strokes();
		bool stopping = atomic_load(&writer->stopping);
		struct request *group;

		take_look(writer);
		if (atomic_load(&writer->queue) != NULL && !stopping)
			gather(writer);
		group = take_all(writer);
		if (group != NULL) {
			serve(writer, group);
			wake_all(writer, group);
		} else if (stopping) {
			return NULL;
		} else {
			bell_sleep(strokes, next_tend_ms);
		}
		tend(writer, &next_tend_ms);
	}
}

static void ring(void *arg)
{
	struct writer *writer = arg;
	struct bells bells = {atomic_load(&writer->bell)};

	bells_ring(&bells);
}

static void push(struct writer *writer, struct request *request)
{
	struct request *head = atomic_load(&writer->queue);

	do
		request->next = head;
	while (!atomic_compare_exchange_weak(&writer->queue, &head, request));
	if (head == NULL)
		fiber_defer(ring, writer);
}

enum err_code writer_commit(
    struct writer *writer, struct batch *batch, struct err *err)
{
	struct request request = {.batch = batch, .err = err};

	batch_settle(batch);
	waiter_init(&request.waiter);
	push(writer, &request);
	atomic_fetch_add(&writer->waiting, 1);
	(void)waiter_wait(&request.waiter, WAIT_FOREVER);
	if (request.code == ERR_OK)
		batch_reset(batch);
	return request.code;
}

void writer_expect(struct writer *writer, int more)
{
	atomic_fetch_add(&writer->expected, more);
}

enum err_code writer_pass(
    struct writer *writer, struct pass_step *step, struct err *err)
{
	struct look look = {.step = step, .err = err};

	waiter_init(&look.waiter);
	atomic_store(&writer->look, &look);
	ring(writer);
	(void)waiter_wait(&look.waiter, WAIT_FOREVER);
	return look.code;
}

void writer_stats(struct writer *writer, struct store_stats *stats)
{
	int64_t waiting = atomic_load(&writer->waiting);

	stats->commits = atomic_load(&writer->commits);
	stats->batches = atomic_load(&writer->batches);
	stats->waiting = waiting > 0 ? (uint64_t)waiting : 0;
	stats->writable = atomic_load(&writer->writable);
}

/* ---- life ---- */

static void dispose(struct writer *writer)
{
	ledger_free(writer->ledger);
	sealer_free(writer->sealer);
	buf_free(&writer->record);
	free(writer);
}

enum err_code writer_new(struct engine *engine, struct sealer *sealer,
    struct writer **writer_out, struct err *err)
{
	struct writer *writer = mem_zalloc(sizeof(*writer));
	enum err_code code;

	writer->engine = engine;
	writer->sealer = sealer;
	atomic_init(&writer->writable, true);
	code = ledger_new(&writer->ledger, err);
	if (code != ERR_OK) {
		dispose(writer);
		return code;
	}
	code = thread_start(&writer->thread, "store", run, writer, err);
	if (code != ERR_OK) {
		dispose(writer);
		return code;
	}
	*writer_out = writer;
	return ERR_OK;
}

void writer_free(struct writer *writer)
{
	if (writer == NULL)
		return;
	atomic_store(&writer->stopping, true);
	ring(writer);
	pthread_join(writer->thread, NULL);
	dispose(writer);
}
