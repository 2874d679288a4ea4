// SPDX-License-Identifier: Apache-2.0
/* The engine's snapshots, and what is read on them. */
#include "store/lmdb_inside.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_WAIT_MS 10000

struct cursor {
	MDB_cursor *cursor; /* NULL: the table is not there */
	MDB_cursor_op next;
	MDB_val key;
	uint8_t from[];
};

static int start_reading(struct lmdb *lmdb, MDB_txn **txn)
{
	int dead;
	int rc;

	if (*txn != NULL)
		return mdb_txn_renew(*txn);
	rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, txn);
	if (rc == MDB_READERS_FULL && mdb_reader_check(lmdb->env, &dead) == 0 &&
	    dead > 0)
		rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, txn);
	return rc;
}

enum err_code lmdb_snapshot_open(
    struct engine *engine, struct snapshot **snapshot_out, struct err *err)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	unsigned slot;
	int rc;

	if (!slots_take(lmdb->slots, SNAPSHOT_WAIT_MS, &slot))
		return err_fail(err, ERR_STORE,
		    "%d snapshots are open, none closed in %d ms",
		    SNAPSHOTS_MAX, SNAPSHOT_WAIT_MS);
	rc = start_reading(lmdb, &lmdb->snapshots[slot].txn);
	if (rc != 0) {
		slots_give(lmdb->slots, slot);
		return lmdb_fail(rc, "begin reading", err);
	}
	*snapshot_out = &lmdb->snapshots[slot];
	return ERR_OK;
}

void lmdb_snapshot_close(struct snapshot *snapshot)
{
	mdb_txn_reset(snapshot->txn);
	slots_give(snapshot->lmdb->slots, snapshot->slot);
}

enum err_code lmdb_find(struct snapshot *snapshot, enum table table,
    struct bytes key, struct record *record, struct err *err)
{
	struct lmdb *lmdb = snapshot->lmdb;
	MDB_val name = lmdb_val(key);
	MDB_val value;
	int rc = MDB_NOTFOUND;

	if (lmdb->present[table])
		rc = mdb_get(snapshot->txn, lmdb->tables[table], &name, &value);
	*record = (struct record){{NULL, 0}, 0};
	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc != 0)
		return lmdb_fail(rc, lmdb_table_names[table], err);
	return lmdb_unpack(&value, record, err);
}

enum err_code lmdb_count(struct snapshot *snapshot, enum table table,
    uint64_t *count_out, struct err *err)
{
	struct lmdb *lmdb = snapshot->lmdb;
	MDB_stat stat = {0};
	int rc = 0;

	if (lmdb->present[table])
		rc = mdb_stat(snapshot->txn, lmdb->tables[table], &stat);
	if (rc != 0)
		return lmdb_fail(rc, lmdb_table_names[table], err);
	*count_out = stat.ms_entries;
	return ERR_OK;
}

enum err_code lmdb_cursor_open(struct snapshot *snapshot, enum table table,
    struct bytes from, struct cursor **cursor_out, struct err *err)
{
	struct lmdb *lmdb = snapshot->lmdb;
	struct cursor *cursor = mem_zalloc(sizeof(*cursor) + from.len);
	int rc = 0;

	cursor->next = from.len == 0 ? MDB_FIRST : MDB_SET_RANGE;
	cursor->key = (MDB_val){from.len, cursor->from};
	if (from.len > 0)
		memcpy(cursor->from, from.data, from.len);
	if (lmdb->present[table])
		rc = mdb_cursor_open(
		    snapshot->txn, lmdb->tables[table], &cursor->cursor);
	if (rc != 0) {
		free(cursor);
		return lmdb_fail(rc, lmdb_table_names[table], err);
	}
	*cursor_out = cursor;
	return ERR_OK;
}

enum err_code lmdb_cursor_next(struct cursor *cursor, struct bytes *key,
    struct record *record, struct err *err)
{
	MDB_val value;
	int rc = MDB_NOTFOUND;

	if (cursor->cursor != NULL)
		rc = mdb_cursor_get(
		    cursor->cursor, &cursor->key, &value, cursor->next);
	cursor->next = MDB_NEXT;
	*key = BYTES(NULL, 0);
	*record = (struct record){{NULL, 0}, 0};
	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc != 0)
		return lmdb_fail(rc, "scan", err);
	*key = BYTES(cursor->key.mv_data, cursor->key.mv_size);
	return lmdb_unpack(&value, record, err);
}

void lmdb_cursor_close(struct cursor *cursor)
{
	if (cursor->cursor != NULL)
		mdb_cursor_close(cursor->cursor);
	free(cursor);
}
