// SPDX-License-Identifier: Apache-2.0
#include "store/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/slots.h"

/* Address space, not disk: the file is sparse. */
#define MAP_SIZE_DEFAULT ((size_t)64 << 30)
#define SNAPSHOTS_MAX 256 /* open at once in this process */
#define READERS_MAX 1024 /* and in all processes */
#define SNAPSHOT_WAIT_MS 10000
#define REVISION_SIZE 8

/* A read transaction that is kept for reuse: its renewal takes no lock. */
struct snapshot {
	MDB_txn *txn; /* NULL until first used; reset when free */
	struct lmdb *lmdb;
	unsigned slot;
};

struct cursor {
	MDB_cursor *cursor; /* NULL: the table is not there */
	MDB_cursor_op next;
	MDB_val key;
	uint8_t from[];
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

static const char *const table_names[] = {
#define TABLE(id, name, rule) name,
#include "store/tables.def"
#undef TABLE
};

/* A full map or disk loses this transaction only; all else is for good. */
static enum err_code fail(int rc, const char *what, struct err *err)
{
	switch (rc) {
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return err_fail(
		    err, ERR_STORE_FULL, "%s: %s", what, mdb_strerror(rc));
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return err_fail(
		    err, ERR_CORRUPT, "%s: %s", what, mdb_strerror(rc));
	default:
		return err_fail(
		    err, ERR_STORE, "%s: %s", what, mdb_strerror(rc));
	}
}

static MDB_val to_val(struct bytes bytes)
{
	return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

static enum err_code unpack(
    const MDB_val *value, struct record *record, struct err *err)
{
	struct reader reader =
	    reader_over(BYTES(value->mv_data, value->mv_size));

	record->revision = reader_u64(&reader);
	record->value = reader_take(&reader, reader.left);
	if (reader.failed || record->revision == 0)
		return err_fail(err, ERR_CORRUPT, "record without a revision");
	return ERR_OK;
}

/* ---- snapshots ---- */

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

static enum err_code snapshot_open(
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
		return fail(rc, "begin reading", err);
	}
	*snapshot_out = &lmdb->snapshots[slot];
	return ERR_OK;
}

static void snapshot_close(struct snapshot *snapshot)
{
	mdb_txn_reset(snapshot->txn);
	slots_give(snapshot->lmdb->slots, snapshot->slot);
}

static enum err_code find(struct snapshot *snapshot, enum table table,
    struct bytes key, struct record *record, struct err *err)
{
	struct lmdb *lmdb = snapshot->lmdb;
	MDB_val name = to_val(key);
	MDB_val value;
	int rc = MDB_NOTFOUND;

	if (lmdb->present[table])
		rc = mdb_get(snapshot->txn, lmdb->tables[table], &name, &value);
	*record = (struct record){{NULL, 0}, 0};
	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc != 0)
		return fail(rc, table_names[table], err);
	return unpack(&value, record, err);
}

static enum err_code count(struct snapshot *snapshot, enum table table,
    uint64_t *count_out, struct err *err)
{
	struct lmdb *lmdb = snapshot->lmdb;
	MDB_stat stat = {0};
	int rc = 0;

	if (lmdb->present[table])
		rc = mdb_stat(snapshot->txn, lmdb->tables[table], &stat);
	if (rc != 0)
		return fail(rc, table_names[table], err);
	*count_out = stat.ms_entries;
	return ERR_OK;
}

static enum err_code cursor_open(struct snapshot *snapshot, enum table table,
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
		return fail(rc, table_names[table], err);
	}
	*cursor_out = cursor;
	return ERR_OK;
}

static enum err_code cursor_next(struct cursor *cursor, struct bytes *key,
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
		return fail(rc, "scan", err);
	*key = BYTES(cursor->key.mv_data, cursor->key.mv_size);
	return unpack(&value, record, err);
}

static void cursor_close(struct cursor *cursor)
{
	if (cursor->cursor != NULL)
		mdb_cursor_close(cursor->cursor);
	free(cursor);
}

/* ---- the transaction ---- */

static enum err_code begin(struct engine *engine,
    struct transaction **transaction_out, struct err *err)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	struct transaction *transaction = &lmdb->transaction;
	int rc;

	*transaction = (struct transaction){.lmdb = lmdb};
	rc = mdb_txn_begin(lmdb->env, NULL, 0, &transaction->txn);
	if (rc != 0)
		return fail(rc, "begin writing", err);
	*transaction_out = transaction;
	return ERR_OK;
}

/*
 * Points the table's cursor at KEY; VALUE gets the stored octets.  A change at
 * the same place then spares the walk from the root.
 */
static int point(struct transaction *transaction, enum table table,
    MDB_val *key, MDB_val *value)
{
	MDB_cursor **cursor = &transaction->cursors[table];
	int rc = 0;

	if (*cursor == NULL)
		rc = mdb_cursor_open(
		    transaction->txn, transaction->lmdb->tables[table], cursor);
	if (rc != 0)
		return rc;
	return mdb_cursor_get(*cursor, key, value, MDB_SET);
}

static enum err_code look(struct transaction *transaction, enum table table,
    struct bytes key, struct record *record, struct err *err)
{
	MDB_val name = to_val(key);
	MDB_val value;
	int rc = point(transaction, table, &name, &value);

	*record = (struct record){{NULL, 0}, 0};
	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc != 0)
		return fail(rc, table_names[table], err);
	return unpack(&value, record, err);
}

static enum err_code write_record(struct transaction *transaction,
    enum table table, struct bytes key, const struct record *record,
    unsigned flags, struct err *err)
{
	MDB_val name = to_val(key);
	MDB_val value = {REVISION_SIZE + record->value.len, NULL};
	uint8_t *into;
	int rc = mdb_cursor_put(
	    transaction->cursors[table], &name, &value, MDB_RESERVE | flags);

	if (rc == MDB_KEYEXIST)
		return err_fail(err, ERR_CORRUPT,
		    "%s: the next key is not beyond the last",
		    table_names[table]);
	if (rc != 0)
		return fail(rc, table_names[table], err);
	into = value.mv_data;
	for (unsigned i = 0; i < REVISION_SIZE; i++)
		into[i] = (uint8_t)(record->revision >> (56 - 8 * i));
	if (record->value.len > 0)
		memcpy(into + REVISION_SIZE, record->value.data,
		    record->value.len);
	return ERR_OK;
}

static enum err_code put(struct transaction *transaction, enum table table,
    struct bytes key, struct bytes value, struct err *err)
{
	struct record record;
	enum err_code code = look(transaction, table, key, &record, err);

	if (code != ERR_OK)
		return code;
	record.revision++;
	record.value = value;
	return write_record(transaction, table, key, &record, 0, err);
}

/* MDB_APPEND also leaves full pages behind, where put would leave half ones. */
static enum err_code load(struct transaction *transaction, enum table table,
    struct bytes key, const struct record *record, struct err *err)
{
	int rc = 0;

	if (transaction->cursors[table] == NULL)
		rc = mdb_cursor_open(transaction->txn,
		    transaction->lmdb->tables[table],
		    &transaction->cursors[table]);
	if (rc != 0)
		return fail(rc, table_names[table], err);
	return write_record(transaction, table, key, record, MDB_APPEND, err);
}

static enum err_code append(struct transaction *transaction, enum table table,
    struct bytes key, struct bytes value, struct err *err)
{
	const struct record record = {value, 1};

	return load(transaction, table, key, &record, err);
}

static enum err_code erase(struct transaction *transaction, enum table table,
    struct bytes key, struct err *err)
{
	MDB_val name = to_val(key);
	MDB_val value;
	int rc = point(transaction, table, &name, &value);

	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc == 0)
		rc = mdb_cursor_del(transaction->cursors[table], 0);
	return rc == 0 ? ERR_OK : fail(rc, table_names[table], err);
}

static enum err_code commit(struct transaction *transaction, struct err *err)
{
	int rc = mdb_txn_commit(transaction->txn);

	return rc == 0 ? ERR_OK : fail(rc, "commit", err);
}

static void abort_transaction(struct transaction *transaction)
{
	mdb_txn_abort(transaction->txn);
}

/* ---- the whole ---- */

static uint64_t used(MDB_env *env)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &stat) != 0)
		return 0;
	return (info.me_last_pgno + 1) * stat.ms_psize;
}

/*
 * Compacting leaves out freed pages.  It refuses a file that has lost pages;
 * that one is copied as it is, and its last pages may never have been written.
 * Either way the free parts of pages may hold octets of deleted records.
 */
static enum err_code copy(struct engine *engine, int fd, bool compact,
    bool *unfit_out, struct err *err)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	int rc = mdb_env_copyfd2(lmdb->env, fd, compact ? MDB_CP_COMPACT : 0);

	*unfit_out = compact && rc == MDB_INCOMPATIBLE;
	return rc == 0 || *unfit_out ? ERR_OK : fail(rc, "copy", err);
}

static void usage(struct engine *engine, uint64_t *used_out, uint64_t *size_out)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	MDB_envinfo info = {0};

	(void)mdb_env_info(lmdb->env, &info);
	*used_out = used(lmdb->env);
	*size_out = info.me_mapsize;
}

/* Readers that died without a word would keep old pages for ever. */
static void tend(struct engine *engine)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	int dead;

	(void)mdb_reader_check(lmdb->env, &dead);
}

static void close_engine(struct engine *engine)
{
	struct lmdb *lmdb = (struct lmdb *)engine;

	for (unsigned i = 0; i < SNAPSHOTS_MAX; i++)
		if (lmdb->snapshots[i].txn != NULL)
			mdb_txn_abort(lmdb->snapshots[i].txn);
	if (lmdb->env != NULL)
		mdb_env_close(lmdb->env);
	slots_free(lmdb->slots);
	free(lmdb);
}

static const struct engine_ops lmdb_ops = {
    .close = close_engine,
    .snapshot_open = snapshot_open,
    .snapshot_close = snapshot_close,
    .find = find,
    .count = count,
    .cursor_open = cursor_open,
    .cursor_next = cursor_next,
    .cursor_close = cursor_close,
    .begin = begin,
    .look = look,
    .put = put,
    .append = append,
    .load = load,
    .erase = erase,
    .commit = commit,
    .abort = abort_transaction,
    .copy = copy,
    .usage = usage,
    .tend = tend,
};

static int open_tables(struct lmdb *lmdb, bool read_only)
{
	MDB_txn *txn;
	int rc =
	    mdb_txn_begin(lmdb->env, NULL, read_only ? MDB_RDONLY : 0, &txn);

	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < TABLE_COUNT; i++) {
		rc = mdb_dbi_open(txn, table_names[i],
		    read_only ? 0 : MDB_CREATE, &lmdb->tables[i]);
		lmdb->present[i] = rc == 0;
		if (rc != 0 && !(rc == MDB_NOTFOUND && read_only)) {
			mdb_txn_abort(txn);
			return rc;
		}
	}
	return mdb_txn_commit(txn);
}

/* Default sync flags: what is acknowledged is on the disk. */
static int open_env(
    struct lmdb *lmdb, const struct store_options *options, unsigned flags)
{
	size_t map_size = options->map_size;
	mdb_filehandle_t fd;
	int rc;

	if (map_size == 0)
		map_size = MAP_SIZE_DEFAULT;
	flags |= MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0);
	if ((rc = mdb_env_create(&lmdb->env)) != 0 ||
	    (rc = mdb_env_set_mapsize(lmdb->env, map_size)) != 0 ||
	    (rc = mdb_env_set_maxdbs(lmdb->env, TABLE_COUNT)) != 0 ||
	    (rc = mdb_env_set_maxreaders(lmdb->env, READERS_MAX)) != 0 ||
	    (rc = mdb_env_open(lmdb->env, options->path, flags, 0600)) != 0 ||
	    (rc = mdb_env_get_fd(lmdb->env, &fd)) != 0)
		return rc;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

/* Memory beyond the end of a copy that was cut short cannot be read: the
 * process would die of it. */
static int check_length(MDB_env *env)
{
	mdb_filehandle_t fd;
	struct stat st;
	int rc = mdb_env_get_fd(env, &fd);

	if (rc != 0)
		return rc;
	if (fstat(fd, &st) != 0)
		return errno;
	return (uint64_t)st.st_size >= used(env) ? 0 : MDB_CORRUPTED;
}

static enum err_code open_engine(const struct store_options *options,
    unsigned flags, struct engine **engine_out, struct err *err)
{
	struct lmdb *lmdb = mem_zalloc(sizeof(*lmdb));
	int rc;

	lmdb->engine.ops = &lmdb_ops;
	lmdb->slots = slots_new(SNAPSHOTS_MAX);
	for (unsigned i = 0; i < SNAPSHOTS_MAX; i++)
		lmdb->snapshots[i] = (struct snapshot){NULL, lmdb, i};
	rc = open_env(lmdb, options, flags);
	if (rc == 0 && (flags & MDB_NOSUBDIR) != 0)
		rc = check_length(lmdb->env);
	if (rc == 0)
		rc = open_tables(lmdb, options->read_only);
	if (rc != 0) {
		close_engine(&lmdb->engine);
		return fail(rc, options->path, err);
	}
	tend(&lmdb->engine);
	*engine_out = &lmdb->engine;
	return ERR_OK;
}

enum err_code lmdb_open(const struct store_options *options,
    struct engine **engine_out, struct err *err)
{
	return open_engine(options, 0, engine_out, err);
}

enum err_code lmdb_open_copy(
    const char *path, struct engine **engine_out, struct err *err)
{
	const struct store_options options = {.path = path, .read_only = true};

	/* No lock file beside a copy: nobody writes to it. */
	return open_engine(
	    &options, MDB_NOSUBDIR | MDB_NOLOCK, engine_out, err);
}
