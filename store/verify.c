// SPDX-License-Identifier: Apache-2.0
#include "store/inside.h"
#include "store/sealer.h"
#include "store/table.h"

/* A walk over one table on a snapshot. */
struct walk {
	const struct engine_ops *ops;
	struct snapshot *snapshot;
	struct seal *seal;
	struct tally *found;
	struct buf value; /* of one row, only to see that it opens */
};

static enum err_code walk_row(struct walk *walk, const struct row *row,
    struct bytes stored, struct err *err)
{
	enum err_code code = ERR_OK;

	if (table_rule(row->table) == TABLE_RULE_SEALED)
		code = seal_open(walk->seal, row, stored, &walk->value, err);
	return code == ERR_OK ? tally_add(walk->found, row, stored, err) : code;
}

static enum err_code walk_rows(
    struct walk *walk, struct cursor *cursor, enum table table, struct err *err)
{
	for (;;) {
		struct record record;
		struct row row = {.table = table};
		enum err_code code =
		    walk->ops->cursor_next(cursor, &row.key, &record, err);

		if (code != ERR_OK || record.revision == 0)
			return code;
		row.revision = record.revision;
		code = walk_row(walk, &row, record.value, err);
		if (code != ERR_OK)
			return code;
	}
}

static enum err_code walk_tables(struct walk *walk, struct err *err)
{
	enum err_code code = ERR_OK;

	for (unsigned i = 0; i < TABLE_COUNT && code == ERR_OK; i++) {
		enum table table = (enum table)i;
		struct cursor *cursor;

		if (table_rule(table) == TABLE_RULE_PLAIN)
			continue;
		code = walk->ops->cursor_open(
		    walk->snapshot, table, BYTES(NULL, 0), &cursor, err);
		if (code != ERR_OK)
			return code;
		code = walk_rows(walk, cursor, table, err);
		walk->ops->cursor_close(cursor);
	}
	return code;
}

static enum err_code compare(const struct tally *found,
    const struct tally *recorded, uint64_t *rows_out, struct err *err)
{
	*rows_out = 0;
	for (unsigned i = 0; i < TABLE_COUNT; i++) {
		enum table table = (enum table)i;
		enum err_code code = tally_compare(found, recorded, table, err);

		if (code != ERR_OK)
			return code;
		*rows_out += tally_of(found, table).rows;
	}
	return ERR_OK;
}

static enum err_code verify_snapshot(struct engine *engine, struct walk *walk,
    uint64_t *rows_out, struct err *err)
{
	OWNED(tally) recorded = NULL;
	enum err_code code;

	if ((code = tally_new(walk->seal, &recorded, err)) != ERR_OK ||
	    (code = sealer_read_tally(walk->seal, engine, walk->snapshot,
		 recorded, err)) != ERR_OK ||
	    (code = walk_tables(walk, err)) != ERR_OK)
		return code;
	return compare(walk->found, recorded, rows_out, err);
}

enum err_code verify_rows(struct engine *engine, struct seal *seal,
    uint64_t *rows_out, struct err *err)
{
	OWNED(tally) found = NULL;
	struct walk walk = {.ops = engine->ops, .seal = seal};
	enum err_code code;

	if ((code = tally_new(seal, &found, err)) != ERR_OK ||
	    (code = engine->ops->snapshot_open(engine, &walk.snapshot, err)) !=
		ERR_OK)
		return code;
	walk.found = found;
	code = verify_snapshot(engine, &walk, rows_out, err);
	engine->ops->snapshot_close(walk.snapshot);
	buf_wipe(&walk.value);
	return code;
}

enum err_code store_verify(
    struct store *store, uint64_t *rows_out, struct err *err)
{
	if (!store->sealed)
		return err_refuse(err, ERR_CONFIG,
		    "the store %s is not sealed: nothing tells whether its "
		    "rows "
		    "are as they were written",
		    store->path);
	if (store->seal == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "the store %s was opened without its key", store->path);
	return verify_rows(store->engine, store->seal, rows_out, err);
}
