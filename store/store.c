// SPDX-License-Identifier: Apache-2.0
#include "store/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "store/folder.h"
#include "store/lmdb.h"
#include "store/migrate.h"
#include "store/table.h"

/* Raised when a store that is written now misleads an older program. */
#define STORE_FORMAT 2
#define FORMAT_RECORD 1 /* format of the record that says so */

struct scan {
	struct engine *engine;
	struct snapshot *snapshot;
	struct cursor *cursor;
	struct buf prefix;
	struct store *store;
	enum table table;
	struct buf value; /* of a sealed row */
	struct buf from; /* the first key may be this one ... */
	bool skip_from; /* ... which then is passed over */
};

/* ---- the format ---- */

/* FROM is the format that the store has; 0: it is empty. */
static enum err_code write_format(
    struct engine *engine, uint32_t from, struct err *err)
{
	OWNED_BUF(value);
	struct transaction *tx;
	enum err_code code = engine->ops->begin(engine, &tx, err);

	if (code != ERR_OK)
		return code;
	buf_put_u8(&value, FORMAT_RECORD);
	buf_put_u32(&value, STORE_FORMAT);
	if (from == 1)
		code = migrate_audit(engine->ops, tx, err);
	if (code == ERR_OK)
		code = engine->ops->put(tx, TABLE_META,
		    BYTES_STR(STORE_META_FORMAT), buf_bytes(&value), err);
	if (code != ERR_OK) {
		engine->ops->abort(tx);
		return code;
	}
	return engine->ops->commit(tx, err);
}

static enum err_code judge_format(struct bytes value, const char *path,
    uint32_t *format_out, struct err *err)
{
	struct reader reader = reader_over(value);
	uint8_t record = reader_u8(&reader);
	uint32_t format = reader_u32(&reader);

	*format_out = format;
	if (record == FORMAT_RECORD && (!reader_done(&reader) || format == 0))
		return err_fail(
		    err, ERR_CORRUPT, "%s: malformed format record", path);
	if (record != FORMAT_RECORD || format > STORE_FORMAT)
		return err_refuse(err, ERR_CONFIG,
		    "the store %s has format %u; this program knows formats "
		    "up to %u: use the version of Signet that wrote it",
		    path, (unsigned)format, (unsigned)STORE_FORMAT);
	return ERR_OK;
}

/* *FORMAT_OUT is 0 when the store is empty. */
static enum err_code check_format(struct engine *engine, const char *path,
    uint32_t *format_out, struct err *err)
{
	struct snapshot *snapshot;
	struct record record;
	uint64_t others = 0;
	enum err_code code = engine->ops->snapshot_open(engine, &snapshot, err);

	if (code != ERR_OK)
		return code;
	code = engine->ops->find(
	    snapshot, TABLE_META, BYTES_STR(STORE_META_FORMAT), &record, err);
	*format_out = 0;
	if (code == ERR_OK && record.revision != 0)
		code = judge_format(record.value, path, format_out, err);
	else if (code == ERR_OK)
		code = engine->ops->count(snapshot, TABLE_META, &others, err);
	engine->ops->snapshot_close(snapshot);
	if (code == ERR_OK && others > 0)
		return err_fail(err, ERR_CORRUPT, "%s: no format record", path);
	return code;
}

enum err_code store_format(
    struct store *store, uint32_t *format_out, struct err *err)
{
	return check_format(store->engine, store->path, format_out, err);
}

static enum err_code settle_format(struct engine *engine,
    const struct store_options *options, bool *old_out, struct err *err)
{
	uint32_t format = 0;
	enum err_code code = check_format(engine, options->path, &format, err);

	*old_out = format != 0 && format != STORE_FORMAT && options->read_only;
	if (code != ERR_OK || format == STORE_FORMAT || *old_out)
		return code;
	if (format == 0 && !options->create)
		return err_refuse(err, ERR_NOT_FOUND, "there is no store at %s",
		    options->path);
	return write_format(engine, format, err);
}

/* ---- open and close ---- */

static enum err_code check_sealed(struct store *store, struct err *err)
{
	OWNED_BUF(record);

	return store_seal_record(store, &record, &store->sealed, err);
}

/* Owns ENGINE, also on failure. */
static enum err_code finish_open(struct engine *engine,
    const struct store_options *options, struct store **store_out,
    struct err *err)
{
	OWNED(store) store = mem_zalloc(sizeof(*store));
	enum err_code code;

	store->engine = engine;
	store->claim = -1;
	store->path = mem_strdup(options->path);
	store->map_size = options->map_size;
	store->read_only = options->read_only;
	code = settle_format(engine, options, &store->is_old, err);
	if (code == ERR_OK)
		code = check_sealed(store, err);
	if (code == ERR_OK && !options->read_only && !store->sealed)
		code = writer_new(engine, NULL, &store->writer, err);
	if (code != ERR_OK)
		return code;
	*store_out = GIVE(store);
	return ERR_OK;
}

/* A fresh folder's entries must outlast a crash, as its records do. */
static enum err_code open_in_folder(const struct store_options *options,
    bool fresh, struct store **store_out, struct err *err)
{
	OWNED(store) store = NULL;
	struct engine *engine;
	enum err_code code = lmdb_open(options, &engine, err);

	if (code != ERR_OK ||
	    (code = finish_open(engine, options, &store, err)) != ERR_OK ||
	    (fresh && (code = fs_sync_dir(options->path, err)) != ERR_OK))
		return code;
	*store_out = GIVE(store);
	return ERR_OK;
}

enum err_code store_open(const struct store_options *options,
    struct store **store_out, struct err *err)
{
	OWNED_FD(claim) = -1;
	bool fresh;
	enum err_code code;

	if (options->create && options->read_only)
		abort();
	if ((code = folder_prepare(options, &fresh, err)) != ERR_OK ||
	    (!options->read_only &&
		(code = folder_claim(options->path, &claim, err)) != ERR_OK) ||
	    (code = open_in_folder(options, fresh, store_out, err)) != ERR_OK)
		return code;
	(*store_out)->claim = claim;
	claim = -1;
	return ERR_OK;
}

enum err_code store_open_copy(
    const char *path, struct store **store_out, struct err *err)
{
	const struct store_options options = {.path = path, .read_only = true};
	struct engine *engine;
	enum err_code code = lmdb_open_copy(path, &engine, err);

	if (code != ERR_OK)
		return code;
	return finish_open(engine, &options, store_out, err);
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	writer_free(store->writer);
	if (store->engine != NULL)
		store->engine->ops->close(store->engine);
	seal_free(store->seal);
	own_fd_cleanup(&store->claim);
	free(store->path);
	free(store);
}

/* ---- reading ---- */

static bool is_key(struct bytes key)
{
	return key.len > 0 && key.len <= STORE_KEY_MAX;
}

enum err_code store_read_row(struct store *store, const struct row *row,
    struct bytes stored, struct buf *value, struct err *err)
{
	buf_reset(value);
	if (!store->sealed || table_rule(row->table) != TABLE_RULE_SEALED) {
		buf_put_bytes(value, stored);
		return ERR_OK;
	}
	if (store->seal == NULL)
		return err_fail(err, ERR_STORE,
		    "%s: the rows are sealed, and the store was opened without "
		    "its key",
		    table_name(row->table));
	return seal_open(store->seal, row, stored, value, err);
}

enum err_code store_find(struct store *store, enum table table,
    struct bytes key, struct buf *value, uint64_t *revision_out,
    bool *found_out, struct err *err)
{
	const struct engine_ops *ops = store->engine->ops;
	struct record record = {{NULL, 0}, 0};
	struct snapshot *snapshot;
	enum err_code code;

	if (value != NULL)
		buf_reset(value);
	if (is_key(key)) {
		code = ops->snapshot_open(store->engine, &snapshot, err);
		if (code != ERR_OK)
			return code;
		code = ops->find(snapshot, table, key, &record, err);
		const struct row row = {
		    .table = table, .key = key, .revision = record.revision};
		if (code == ERR_OK && value != NULL && record.revision != 0)
			code = store_read_row(
			    store, &row, record.value, value, err);
		ops->snapshot_close(snapshot);
		if (code != ERR_OK)
			return code;
	}
	if (revision_out != NULL)
		*revision_out = record.revision;
	*found_out = record.revision != 0;
	return ERR_OK;
}

enum err_code store_count(
    struct store *store, enum table table, uint64_t *count_out, struct err *err)
{
	const struct engine_ops *ops = store->engine->ops;
	struct snapshot *snapshot;
	enum err_code code = ops->snapshot_open(store->engine, &snapshot, err);

	if (code != ERR_OK)
		return code;
	code = ops->count(snapshot, table, count_out, err);
	ops->snapshot_close(snapshot);
	return code;
}

enum err_code scan_open(struct store *store, enum table table,
    struct bytes prefix, struct bytes after, struct scan **scan_out,
    struct err *err)
{
	const struct engine_ops *ops = store->engine->ops;
	OWNED(scan) scan = mem_zalloc(sizeof(*scan));
	enum err_code code;

	scan->engine = store->engine;
	scan->store = store;
	scan->table = table;
	scan->skip_from = bytes_compare(after, prefix) >= 0 && after.len > 0;
	buf_put_bytes(&scan->prefix, prefix);
	buf_put_bytes(&scan->from, scan->skip_from ? after : prefix);
	code = ops->snapshot_open(store->engine, &scan->snapshot, err);
	if (code == ERR_OK)
		code = ops->cursor_open(scan->snapshot, table,
		    buf_bytes(&scan->from), &scan->cursor, err);
	if (code != ERR_OK)
		return code;
	*scan_out = GIVE(scan);
	return ERR_OK;
}

static bool begins_with(struct bytes key, struct bytes prefix)
{
	return key.len >= prefix.len &&
	       bytes_equal(BYTES(key.data, prefix.len), prefix);
}

enum err_code scan_next(struct scan *scan, struct bytes *key,
    struct bytes *value, bool *more_out, struct err *err)
{
	const struct engine_ops *ops = scan->engine->ops;
	struct record record;
	enum err_code code = ops->cursor_next(scan->cursor, key, &record, err);

	if (code == ERR_OK && scan->skip_from && record.revision != 0 &&
	    bytes_equal(*key, buf_bytes(&scan->from)))
		code = ops->cursor_next(scan->cursor, key, &record, err);
	scan->skip_from = false;
	if (code != ERR_OK)
		return code;
	*more_out =
	    record.revision != 0 && begins_with(*key, buf_bytes(&scan->prefix));
	*value = record.value;
	if (!*more_out || !scan->store->sealed)
		return ERR_OK;
	const struct row row = {
	    .table = scan->table, .key = *key, .revision = record.revision};
	code = store_read_row(
	    scan->store, &row, record.value, &scan->value, err);
	*value = buf_bytes(&scan->value);
	return code;
}

void scan_close(struct scan *scan)
{
	if (scan == NULL)
		return;
	if (scan->cursor != NULL)
		scan->engine->ops->cursor_close(scan->cursor);
	if (scan->snapshot != NULL)
		scan->engine->ops->snapshot_close(scan->snapshot);
	buf_free(&scan->prefix);
	buf_free(&scan->from);
	buf_free(&scan->value);
	free(scan);
}

/* ---- writing ---- */

enum err_code store_commit(
    struct store *store, struct batch *batch, struct err *err)
{
	if (store->writer == NULL)
		return err_fail(err, ERR_STORE, store->read_only
			? "the store was opened for reading"
			: "the store is sealed and was opened without its key");
	if (batch_is_empty(batch))
		return ERR_OK;
	return writer_commit(store->writer, batch, err);
}

void store_join(struct store *store)
{
	if (store->writer != NULL)
		writer_expect(store->writer, 1);
}

void store_leave(struct store *store)
{
	if (store->writer != NULL)
		writer_expect(store->writer, -1);
}

void store_stats(struct store *store, struct store_stats *stats_out)
{
	*stats_out = (struct store_stats){0};
	store->engine->ops->usage(
	    store->engine, &stats_out->used, &stats_out->map_size);
	if (store->writer != NULL)
		writer_stats(store->writer, stats_out);
	if (store->seal != NULL)
		stats_out->amiss = seal_amiss(store->seal);
}
