// SPDX-License-Identifier: Apache-2.0
/* What the parts of the LMDB engine share; of store/lmdb*.c alone.  The
 * contracts of the operations are those of store/engine.h. */
#ifndef STORE_LMDB_INSIDE_H
#define STORE_LMDB_INSIDE_H

#include <lmdb.h>

#include "store/engine.h"
#include "store/slots.h"

#define SNAPSHOTS_MAX 256 /* open at once in this process */
#define REVISION_SIZE 8

/* A read transaction that is kept for reuse: its renewal takes no lock. */
struct snapshot {
	MDB_txn *txn; /* NULL until first used; reset when free */
	struct lmdb *lmdb;
	unsigned slot;
};

struct transaction {
	struct lmdb *lmdb;
	MDB_txn *txn;
	MDB_cursor *cursors[TABLE_COUNT]; /* freed with the txn */
};

struct lmdb {
	struct engine engine; /* first */
	MDB_env *env;
	MDB_dbi tables[TABLE_COUNT];
	bool present[TABLE_COUNT]; /* read-only: an older store lacks some */
	struct transaction transaction;
	struct slots *slots; /* which snapshots are taken */
	struct snapshot snapshots[SNAPSHOTS_MAX];
};

extern const char *const lmdb_table_names[TABLE_COUNT];

/* A full map or disk loses this transaction only; all else is for good. */
enum err_code lmdb_fail(int rc, const char *what, struct err *err);
MDB_val lmdb_val(struct bytes bytes);
/* Splits what is stored in revision and value.  Errors: ERR_CORRUPT. */
MUST_CHECK enum err_code lmdb_unpack(
    const MDB_val *value, struct record *record, struct err *err);

/* Reading. */
MUST_CHECK enum err_code lmdb_snapshot_open(
    struct engine *engine, struct snapshot **snapshot_out, struct err *err);
void lmdb_snapshot_close(struct snapshot *snapshot);
MUST_CHECK enum err_code lmdb_find(struct snapshot *snapshot, enum table table,
    struct bytes key, struct record *record, struct err *err);
MUST_CHECK enum err_code lmdb_count(struct snapshot *snapshot, enum table table,
    uint64_t *count_out, struct err *err);
MUST_CHECK enum err_code lmdb_cursor_open(struct snapshot *snapshot,
    enum table table, struct bytes from, struct cursor **cursor_out,
    struct err *err);
MUST_CHECK enum err_code lmdb_cursor_next(struct cursor *cursor,
    struct bytes *key, struct record *record, struct err *err);
void lmdb_cursor_close(struct cursor *cursor);

/* Writing. */
MUST_CHECK enum err_code lmdb_begin(struct engine *engine,
    struct transaction **transaction_out, struct err *err);
MUST_CHECK enum err_code lmdb_look(struct transaction *transaction,
    enum table table, struct bytes key, struct record *record, struct err *err);
MUST_CHECK enum err_code lmdb_put(struct transaction *transaction,
    enum table table, struct bytes key, struct bytes value, struct err *err);
MUST_CHECK enum err_code lmdb_append(struct transaction *transaction,
    enum table table, struct bytes key, struct bytes value, struct err *err);
MUST_CHECK enum err_code lmdb_load(struct transaction *transaction,
    enum table table, struct bytes key, const struct record *record,
    struct err *err);
MUST_CHECK enum err_code lmdb_erase(struct transaction *transaction,
    enum table table, struct bytes key, struct err *err);
MUST_CHECK enum err_code lmdb_commit(
    struct transaction *transaction, struct err *err);
void lmdb_abort(struct transaction *transaction);

#endif
