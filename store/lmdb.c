// SPDX-License-Identifier: Apache-2.0
#include "store/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/lmdb_inside.h"

/* Address space, not disk: the file is sparse. */
#define MAP_SIZE_DEFAULT ((size_t)64 << 30)
#define READERS_MAX 1024 /* and in all processes */

const char *const lmdb_table_names[TABLE_COUNT] = {
#define TABLE(id, name, rule) name,
#include "store/tables.def"
#undef TABLE
};

enum err_code lmdb_fail(int rc, const char *what, struct err *err)
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

MDB_val lmdb_val(struct bytes bytes)
{
	return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

enum err_code lmdb_unpack(
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
	return rc == 0 || *unfit_out ? ERR_OK : lmdb_fail(rc, "copy", err);
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
    .snapshot_open = lmdb_snapshot_open,
    .snapshot_close = lmdb_snapshot_close,
    .find = lmdb_find,
    .count = lmdb_count,
    .cursor_open = lmdb_cursor_open,
    .cursor_next = lmdb_cursor_next,
    .cursor_close = lmdb_cursor_close,
    .begin = lmdb_begin,
    .look = lmdb_look,
    .put = lmdb_put,
    .append = lmdb_append,
    .load = lmdb_load,
    .erase = lmdb_erase,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
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
		rc = mdb_dbi_open(txn, lmdb_table_names[i],
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
		return lmdb_fail(rc, options->path, err);
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
