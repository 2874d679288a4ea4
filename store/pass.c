// SPDX-License-Identifier: Apache-2.0
#include "store/pass.h"

#include <stdlib.h>

#include "store/table.h"

struct pass {
	const struct engine_ops *ops;
	struct engine *engine;
	enum table table;
	struct buf key; /* last counted of TABLE; empty: none yet */
	/* Of TABLE alone, up to KEY. */
	struct tally *durable; /* as the store has it */
	struct tally *now; /* in this transaction */
};

static enum table next_table(enum table table)
{
	do
		table = table + 1 < TABLE_COUNT ? table + 1 : 0;
	while (table_rule(table) == TABLE_RULE_PLAIN);
	return table;
}

enum err_code pass_new(struct engine *engine, const struct seal *seal,
    struct pass **pass_out, struct err *err)
{
	OWNED(pass) pass = mem_zalloc(sizeof(*pass));
	enum err_code code;

	pass->ops = engine->ops;
	pass->engine = engine;
	pass->table = next_table(TABLE_COUNT - 1);
	if ((code = tally_new(seal, &pass->durable, err)) != ERR_OK ||
	    (code = tally_new(seal, &pass->now, err)) != ERR_OK)
		return code;
	*pass_out = GIVE(pass);
	return ERR_OK;
}

void pass_free(struct pass *pass)
{
	if (pass == NULL)
		return;
	tally_free(pass->durable);
	tally_free(pass->now);
	buf_free(&pass->key);
	free(pass);
}

/* ---- beside transactions ---- */

void pass_begin(struct pass *pass)
{
	tally_copy(pass->now, pass->durable);
}

void pass_note(
    struct pass *pass, const struct row *row, const struct tally *tally)
{
	if (row->table == pass->table && pass->key.len > 0 &&
	    bytes_compare(row->key, buf_bytes(&pass->key)) <= 0)
		tally_again(pass->now, tally);
}

void pass_committed(struct pass *pass)
{
	tally_copy(pass->durable, pass->now);
}

/* ---- between them ---- */

static void move_to(struct pass *pass, struct bytes key)
{
	buf_reset(&pass->key);
	buf_put_bytes(&pass->key, key);
}

/* Is there a row left for STEP?  KEY and RECORD of it are borrowed. */
static enum err_code next_row(struct pass *pass, struct cursor *cursor,
    const struct pass_step *step, struct bytes *key, struct record *record,
    struct err *err)
{
	enum err_code code = pass->ops->cursor_next(cursor, key, record, err);

	if (code == ERR_OK && record->revision != 0 &&
	    bytes_equal(*key, buf_bytes(&pass->key)))
		code = pass->ops->cursor_next(cursor, key, record, err);
	if (code == ERR_OK && record->revision != 0 && step->until != NULL &&
	    bytes_compare(*key, buf_bytes(step->until)) > 0)
		*record = (struct record){.value = {NULL, 0}, .revision = 0};
	return code;
}

/* *ENDED_OUT: no row is left, as far as STEP goes. */
static enum err_code count_rows(struct pass *pass, struct cursor *cursor,
    struct pass_step *step, bool *ended_out, struct err *err)
{
	struct bytes last = {NULL, 0};
	enum err_code code = ERR_OK;

	while (code == ERR_OK && !*ended_out && step->rows < step->limit) {
		struct row row = {.table = pass->table};
		struct record record;

		code = next_row(pass, cursor, step, &row.key, &record, err);
		*ended_out = code == ERR_OK && record.revision == 0;
		if (code != ERR_OK || *ended_out)
			break;
		row.revision = record.revision;
		code = tally_add(pass->durable, &row, record.value, err);
		if (code != ERR_OK)
			break;
		last = row.key;
		step->rows++;
	}
	if (last.len > 0)
		move_to(pass, last);
	return code;
}

/* The table is over: compares, and goes to the next, whatever was found. */
static enum err_code end_table(
    struct pass *pass, const struct tally *recorded, struct err *err)
{
	enum err_code code =
	    tally_compare(pass->durable, recorded, pass->table, err);

	tally_clear(pass->durable, pass->table);
	buf_reset(&pass->key);
	pass->table = next_table(pass->table);
	return code;
}

static enum err_code take(struct pass *pass, struct pass_step *step,
    bool *ended_out, struct err *err)
{
	struct snapshot *snapshot;
	struct cursor *cursor;
	enum err_code code =
	    pass->ops->snapshot_open(pass->engine, &snapshot, err);

	if (code != ERR_OK)
		return code;
	code = pass->ops->cursor_open(
	    snapshot, pass->table, buf_bytes(&pass->key), &cursor, err);
	if (code == ERR_OK) {
		code = count_rows(pass, cursor, step, ended_out, err);
		pass->ops->cursor_close(cursor);
	}
	pass->ops->snapshot_close(snapshot);
	return code;
}

enum err_code pass_take(struct pass *pass, const struct tally *recorded,
    struct pass_step *step, struct err *err)
{
	bool ended = false;
	enum err_code code;

	step->rows = 0;
	step->total = 0;
	for (unsigned i = 0; i < TABLE_COUNT; i++)
		step->total += tally_of(recorded, (enum table)i).rows;
	code = take(pass, step, &ended, err);
	if (code == ERR_OK && ended && step->until == NULL)
		code = end_table(pass, recorded, err);
	step->table = pass->table;
	buf_reset(step->key);
	buf_put_bytes(step->key, buf_bytes(&pass->key));
	return code;
}
