// SPDX-License-Identifier: Apache-2.0
#include "store/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/batch.h"
#include "store/inside.h"
#include "store/table.h"

/* Where so many do not open, the tally says the rest. */
#define FAULTS_MAX 100 /* of a pass */
/* What came into the stretch since it was looked at is counted with it. */
#define GROWTH 4
#define RECORD_VERSION 1

struct scrub {
	struct store *store;
	enum table table; /* where the pass is, as the writer told */
	struct buf key;
	struct buf until; /* the last key of the stretch */
	struct buf value; /* of one row, only to see that it opens */
	uint64_t rows; /* looked at in this pass */
	unsigned faults; /* in this pass */
};

static enum table first_table(void)
{
	enum table table = 0;

	while (table_rule(table) == TABLE_RULE_PLAIN)
		table++;
	return table;
}

enum err_code scrub_new(
    struct store *store, struct scrub **scrub_out, struct err *err)
{
	struct scrub *scrub;

	if (store->seal == NULL || store->writer == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "the store %s is not sealed, or not open for writing",
		    store->path);
	scrub = mem_zalloc(sizeof(*scrub));
	scrub->store = store;
	scrub->table = first_table();
	*scrub_out = scrub;
	return ERR_OK;
}

void scrub_free(struct scrub *scrub)
{
	if (scrub == NULL)
		return;
	buf_free(&scrub->key);
	buf_free(&scrub->until);
	buf_wipe(&scrub->value);
	free(scrub);
}

/* ---- opening, on a snapshot of its own ---- */

/* A stretch of one table; FIRST is the first fault that was met. */
struct stretch {
	struct cursor *cursor;
	size_t rows;
	bool to_end;
	struct err first;
};

static void open_row(struct scrub *scrub, struct stretch *stretch,
    const struct row *row, struct bytes stored)
{
	struct err err = {0};

	if (table_rule(row->table) != TABLE_RULE_SEALED ||
	    scrub->faults >= FAULTS_MAX ||
	    seal_open(scrub->store->seal, row, stored, &scrub->value, &err) ==
		ERR_OK)
		return;
	scrub->faults++;
	if (stretch->first.code == ERR_OK)
		stretch->first = err;
}

static enum err_code open_rows(struct scrub *scrub, struct stretch *stretch,
    size_t limit, struct err *err)
{
	const struct engine_ops *ops = scrub->store->engine->ops;

	while (stretch->rows < limit) {
		struct row row = {.table = scrub->table};
		struct record record;
		enum err_code code = ops->cursor_next(
		    stretch->cursor, &row.key, &record, err);

		if (code != ERR_OK)
			return code;
		stretch->to_end = record.revision == 0;
		if (stretch->to_end)
			return ERR_OK;
		if (bytes_equal(row.key, buf_bytes(&scrub->key)))
			continue;
		row.revision = record.revision;
		open_row(scrub, stretch, &row, record.value);
		buf_reset(&scrub->until);
		buf_put_bytes(&scrub->until, row.key);
		stretch->rows++;
	}
	return ERR_OK;
}

static enum err_code open_stretch(struct scrub *scrub, struct stretch *stretch,
    size_t limit, struct err *err)
{
	const struct engine_ops *ops = scrub->store->engine->ops;
	struct snapshot *snapshot;
	enum err_code code =
	    ops->snapshot_open(scrub->store->engine, &snapshot, err);

	if (code != ERR_OK)
		return code;
	code = ops->cursor_open(snapshot, scrub->table, buf_bytes(&scrub->key),
	    &stretch->cursor, err);
	if (code == ERR_OK) {
		code = open_rows(scrub, stretch, limit, err);
		ops->cursor_close(stretch->cursor);
	}
	ops->snapshot_close(snapshot);
	return code;
}

/* ---- counting, by the writer ---- */

static enum err_code tell(struct scrub *scrub, const struct err *err)
{
	LOG(ERROR, "rows of the store are not those that were written",
	    LOG_STR("why", err->cause));
	seal_count_amiss(scrub->store->seal);
	return err->code;
}

static enum err_code count_stretch(struct scrub *scrub,
    const struct stretch *stretch, struct scrub_progress *progress,
    struct err *err)
{
	enum table before = scrub->table;
	struct pass_step step = {
	    .until = stretch->to_end ? NULL : &scrub->until,
	    .limit = GROWTH * (stretch->rows + 1),
	    .key = &scrub->key,
	};
	enum err_code code = writer_pass(scrub->store->writer, &step, err);

	if (code != ERR_OK && code != ERR_CORRUPT)
		return code;
	scrub->table = step.table;
	scrub->rows += step.rows;
	progress->rows = scrub->rows;
	progress->total = step.total;
	progress->ended = step.table < before;
	if (progress->ended)
		scrub->rows = scrub->faults = 0;
	return code == ERR_CORRUPT ? tell(scrub, err) : code;
}

enum err_code scrub_step(struct scrub *scrub, size_t rows,
    struct scrub_progress *progress, struct err *err)
{
	struct stretch stretch = {.cursor = NULL};
	enum err_code code = open_stretch(scrub, &stretch, rows, err);

	progress->ended = false;
	/* What cannot even be read is passed by nobody. */
	if (code == ERR_CORRUPT && scrub->faults < FAULTS_MAX) {
		scrub->faults++;
		return tell(scrub, err);
	}
	if (code == ERR_OK)
		code = count_stretch(scrub, &stretch, progress, err);
	if (code != ERR_OK || stretch.first.code == ERR_OK)
		return code;
	*err = stretch.first;
	return err->code;
}

/* ---- what is left of a pass ---- */

/* The mark of the record: its place in META is never counted otherwise. */
static enum err_code write_record(
    struct scrub *scrub, int64_t time, struct buf *out, struct err *err)
{
	OWNED(tally) tally = NULL;
	struct row row = {
	    .table = TABLE_META, .key = BYTES_STR(STORE_META_SCRUB)};
	enum err_code code;

	buf_put_u8(out, RECORD_VERSION);
	buf_put_i64(out, time);
	if ((code = tally_new(scrub->store->seal, &tally, err)) != ERR_OK ||
	    (code = tally_add(tally, &row, buf_bytes(out), err)) != ERR_OK)
		return code;
	struct tally_count count = tally_of(tally, TABLE_META);
	buf_put(out, count.sum, sizeof(count.sum));
	return ERR_OK;
}

enum err_code scrub_put_end(struct scrub *scrub, struct batch *batch,
    int64_t time, struct err *err)
{
	OWNED_BUF(record);
	enum err_code code = write_record(scrub, time, &record, err);

	if (code == ERR_OK)
		batch_put(batch, TABLE_META, BYTES_STR(STORE_META_SCRUB),
		    buf_bytes(&record));
	return code;
}

enum err_code scrub_find_end(
    struct scrub *scrub, int64_t *time_out, struct err *err)
{
	OWNED_BUF(value);
	OWNED_BUF(again);
	bool found = false;
	enum err_code code = store_find(scrub->store, TABLE_META,
	    BYTES_STR(STORE_META_SCRUB), &value, NULL, &found, err);
	struct reader reader = reader_over(buf_bytes(&value));

	*time_out = 0;
	if (code != ERR_OK || !found || reader_u8(&reader) != RECORD_VERSION)
		return code;
	int64_t time = reader_i64(&reader);
	code = write_record(scrub, time, &again, err);
	if (code == ERR_OK &&
	    bytes_equal(buf_bytes(&again), buf_bytes(&value)))
		*time_out = time;
	return code;
}
