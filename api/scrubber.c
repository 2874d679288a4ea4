// SPDX-License-Identifier: Apache-2.0
#include "api/scrubber.h"

#include <stdatomic.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "store/audit.h"
#include "store/scrub.h"

#define STEP_ROWS 100		/* by which the writer is held up */
#define RUN_ROWS 2000		/* in one go: some hundredths of a processor */
#define HURRY 8			/* no faster than so many times the period's */
#define AUDITED_MAX 10		/* entries of a pass */

struct scrubber {
	struct store *store;
	struct scrub *scrub;
	int64_t period_ms;
	int64_t begun_ms, span_ms;	/* of this pass, by clock_mono_ms() */
	struct scrub_progress progress;
	bool knows_total;
	unsigned audited;		/* in this pass */

	atomic_uint_fast64_t rows, total, looked;
	atomic_int_fast64_t last;
};

static void begin_pass(struct scrubber *scrubber, int64_t span_ms)
{
	scrubber->begun_ms = clock_mono_ms();
	scrubber->span_ms = span_ms;
	scrubber->progress.rows = 0;
	scrubber->audited = 0;
}

/* A time to come is no reason to wait. */
static enum err_code begin_first(struct scrubber *scrubber, struct err *err)
{
	int64_t now = clock_now(), last = 0, left_ms = 0;
	enum err_code code = scrub_find_end(scrubber->scrub, &last, err);
	if (code != ERR_OK)
		return code;
	if (last > 0 && last <= now) {
		atomic_store(&scrubber->last, last);
		left_ms = scrubber->period_ms - (now - last) * 1000;
	}
	if (left_ms < scrubber->period_ms / HURRY)
		left_ms = scrubber->period_ms / HURRY;
	begin_pass(scrubber, left_ms);
	return ERR_OK;
}

enum err_code scrubber_new(struct store *store, int64_t period,
    struct scrubber **scrubber_out, struct err *err)
{
	OWNED(scrubber) scrubber = mem_zalloc(sizeof(*scrubber));
	enum err_code code;
	scrubber->store = store;
	scrubber->period_ms = period * 1000;
	if ((code = scrub_new(store, &scrubber->scrub, err)) != ERR_OK ||
	    (code = begin_first(scrubber, err)) != ERR_OK)
		return code;
	*scrubber_out = GIVE(scrubber);
	return ERR_OK;
}

void scrubber_free(struct scrubber *scrubber)
{
	if (scrubber == NULL)
		return;
	scrub_free(scrubber->scrub);
	free(scrubber);
}

/* How many rows of this pass should have been looked at by now. */
static uint64_t due_rows(const struct scrubber *scrubber)
{
	int64_t gone = clock_mono_ms() - scrubber->begun_ms;
	uint64_t total = scrubber->progress.total;
	if (gone >= scrubber->span_ms)
		return UINT64_MAX;
	/* The first step tells how many there are. */
	if (!scrubber->knows_total)
		return 1;
	return (uint64_t)((double)total * (double)gone /
	    (double)scrubber->span_ms);
}

static enum err_code audit(struct scrubber *scrubber, const struct err *found,
    struct err *err)
{
	OWNED(batch) batch = batch_new();
	if (scrubber->audited >= AUDITED_MAX)
		return ERR_OK;
	scrubber->audited++;
	batch_audit(batch, &(struct audit_entry){
	    .action = "store.scrub", .result = "failed", .actor = "system",
	    .source = "local", .object = "store", .detail = found->cause});
	return store_commit(scrubber->store, batch, err);
}

static enum err_code end_pass(struct scrubber *scrubber, struct err *err)
{
	OWNED(batch) batch = batch_new();
	int64_t now = clock_now();
	LOG(INFO, "every row of the store was looked at",
	    LOG_NUM("rows", scrubber->progress.rows));
	atomic_store(&scrubber->last, now);
	begin_pass(scrubber, scrubber->period_ms);
	enum err_code code = scrub_put_end(scrubber->scrub, batch, now, err);
	return code == ERR_OK ? store_commit(scrubber->store, batch, err)
			      : code;
}

static enum err_code step(struct scrubber *scrubber, size_t rows,
    struct err *err)
{
	struct scrub_progress *progress = &scrubber->progress;
	uint64_t before = progress->rows;
	struct err found = {0};
	enum err_code code = scrub_step(scrubber->scrub, rows, progress, &found);
	if (code != ERR_OK && code != ERR_CORRUPT) {
		*err = found;
		return code;
	}
	scrubber->knows_total = true;
	atomic_fetch_add(&scrubber->looked, progress->rows - before);
	if (code == ERR_CORRUPT)
		code = audit(scrubber, &found, err);
	if (code == ERR_OK && progress->ended)
		code = end_pass(scrubber, err);
	atomic_store(&scrubber->rows, progress->rows);
	atomic_store(&scrubber->total, progress->total);
	return code;
}

/* An empty table costs a step and no row. */
enum err_code scrubber_run(struct scrubber *scrubber, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; code == ERR_OK && i < RUN_ROWS / STEP_ROWS; i++) {
		uint64_t due = due_rows(scrubber);
		uint64_t done = scrubber->progress.rows;
		if (done >= due)
			break;
		code = step(scrubber,
		    due - done < STEP_ROWS ? (size_t)(due - done) : STEP_ROWS,
		    err);
	}
	return code;
}

struct scrubber_stats scrubber_stats(const struct scrubber *scrubber)
{
	return (struct scrubber_stats){
	    .rows = atomic_load(&scrubber->rows),
	    .total = atomic_load(&scrubber->total),
	    .looked = atomic_load(&scrubber->looked),
	    .last = atomic_load(&scrubber->last),
	};
}
