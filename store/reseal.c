// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/batch.h"
#include "store/folder.h"
#include "store/inside.h"
#include "store/lmdb.h"
#include "store/sealer.h"

#define DRAFT "sealing" /* a folder in the store's, while it is sealed */
#define PAGE_ROWS 10000 /* of one transaction */

enum err_code store_seal_record(
    struct store *store, struct buf *record, bool *sealed_out, struct err *err)
{
	return store_find(store, TABLE_META, BYTES_STR(STORE_META_SEAL), record,
	    NULL, sealed_out, err);
}

/* ---- unlocking ---- */

static enum err_code start_writer(struct store *store, struct err *err)
{
	OWNED(sealer) sealer = NULL;
	enum err_code code;

	if ((code = sealer_new(store->engine, store->seal, &sealer, err)) !=
		ERR_OK ||
	    (code = sealer_resume(sealer, err)) != ERR_OK)
		return code;
	if (store->read_only)
		return ERR_OK;
	return writer_new(store->engine, GIVE(sealer), &store->writer, err);
}

enum err_code store_unseal(
    struct store *store, const struct secret *key, struct err *err)
{
	OWNED(seal) seal = NULL;
	enum err_code code;

	if (!store->sealed)
		return err_refuse(
		    err, ERR_CONFIG, "the store %s is not sealed", store->path);
	if (store->seal != NULL)
		abort();
	if ((code = seal_new(key, &seal, err)) != ERR_OK)
		return code;
	store->seal = GIVE(seal);
	code = start_writer(store, err);
	if (code != ERR_OK)
		seal_free(GIVE(store->seal));
	return code;
}

/* ---- into a new file ---- */

/* From one store into the engine of a fresh one. */
struct rewrite {
	struct store *from;
	struct snapshot *snapshot;
	struct cursor *cursor;
	struct engine *to;
	struct sealer *sealer;
	struct buf value; /* a row's, between the two seals */
};

static void rewrite_close(struct rewrite *rewrite)
{
	if (rewrite->snapshot != NULL)
		rewrite->from->engine->ops->snapshot_close(rewrite->snapshot);
	sealer_free(rewrite->sealer);
	if (rewrite->to != NULL)
		rewrite->to->ops->close(rewrite->to);
	buf_wipe(&rewrite->value);
}

#define OWNED_REWRITE(name)                                                    \
	__attribute__((cleanup(rewrite_close))) struct rewrite name = {0}

/* The records about the seal are those of the old one. */
static bool is_of_seal(const struct row *row)
{
	return row->table == TABLE_META &&
	       (bytes_equal(row->key, BYTES_STR(STORE_META_SEAL)) ||
		   bytes_equal(row->key, BYTES_STR(STORE_META_TALLY)));
}

/* *MORE_OUT false: the table is at its end. */
static enum err_code copy_row(struct rewrite *rewrite, enum table table,
    struct transaction *tx, bool *more_out, struct err *err)
{
	struct row row = {.table = table};
	struct record record;
	enum err_code code = rewrite->from->engine->ops->cursor_next(
	    rewrite->cursor, &row.key, &record, err);

	*more_out = record.revision != 0;
	if (code != ERR_OK || !*more_out || is_of_seal(&row))
		return code;
	row.revision = record.revision;
	code = store_read_row(
	    rewrite->from, &row, record.value, &rewrite->value, err);
	if (code != ERR_OK)
		return code;
	return sealer_load(
	    rewrite->sealer, tx, &row, buf_bytes(&rewrite->value), err);
}

static enum err_code copy_page(
    struct rewrite *rewrite, enum table table, bool *more_out, struct err *err)
{
	const struct engine_ops *ops = rewrite->to->ops;
	struct transaction *tx;
	enum err_code code = ops->begin(rewrite->to, &tx, err);

	if (code != ERR_OK)
		return code;
	sealer_begin(rewrite->sealer);
	*more_out = true;
	for (unsigned i = 0; i < PAGE_ROWS && *more_out && code == ERR_OK; i++)
		code = copy_row(rewrite, table, tx, more_out, err);
	if (code != ERR_OK) {
		ops->abort(tx);
		return code;
	}
	code = ops->commit(tx, err);
	if (code == ERR_OK)
		sealer_committed(rewrite->sealer);
	return code;
}

static enum err_code copy_table(
    struct rewrite *rewrite, enum table table, struct err *err)
{
	const struct engine_ops *ops = rewrite->from->engine->ops;
	bool more = true;
	enum err_code code = ops->cursor_open(
	    rewrite->snapshot, table, BYTES(NULL, 0), &rewrite->cursor, err);

	if (code != ERR_OK)
		return code;
	while (more && code == ERR_OK)
		code = copy_page(rewrite, table, &more, err);
	ops->cursor_close(rewrite->cursor);
	return code;
}

static enum err_code finish(
    struct rewrite *rewrite, struct bytes record, struct err *err)
{
	const struct engine_ops *ops = rewrite->to->ops;
	struct transaction *tx;
	enum err_code code = ops->begin(rewrite->to, &tx, err);

	if (code != ERR_OK)
		return code;
	sealer_begin(rewrite->sealer);
	code =
	    ops->put(tx, TABLE_META, BYTES_STR(STORE_META_SEAL), record, err);
	if (code == ERR_OK)
		code = sealer_end(rewrite->sealer, tx, err);
	if (code != ERR_OK) {
		ops->abort(tx);
		return code;
	}
	return ops->commit(tx, err);
}

/* The tally shows that what was written is there; this, that all was. */
static enum err_code compare_counts(struct rewrite *rewrite, struct err *err)
{
	const struct engine *from = rewrite->from->engine;
	struct snapshot *snapshot;
	uint64_t a = 0, b = 0;
	enum err_code code =
	    rewrite->to->ops->snapshot_open(rewrite->to, &snapshot, err);

	if (code != ERR_OK)
		return code;
	for (unsigned i = TABLE_META + 1;
	     i < TABLE_COUNT && code == ERR_OK && a == b; i++) {
		code =
		    from->ops->count(rewrite->snapshot, (enum table)i, &a, err);
		if (code == ERR_OK)
			code = rewrite->to->ops->count(
			    snapshot, (enum table)i, &b, err);
	}
	rewrite->to->ops->snapshot_close(snapshot);
	if (code == ERR_OK && a != b)
		return err_fail(err, ERR_CORRUPT,
		    "of %llu rows %llu came into the sealed store",
		    (unsigned long long)a, (unsigned long long)b);
	return code;
}

/* Everything of FROM, under SEAL, into a new store in the folder PATH. */
static enum err_code write_draft(struct store *from, const char *path,
    struct bytes record, struct seal *seal, struct err *err)
{
	OWNED_REWRITE(rewrite);
	const struct store_options options = {
	    .path = path, .map_size = from->map_size, .create = true};
	uint64_t rows;
	enum err_code code;

	rewrite.from = from;
	if ((code = lmdb_open(&options, &rewrite.to, err)) != ERR_OK ||
	    (code = sealer_new(rewrite.to, seal, &rewrite.sealer, err)) !=
		ERR_OK ||
	    (code = from->engine->ops->snapshot_open(
		 from->engine, &rewrite.snapshot, err)) != ERR_OK)
		return code;
	for (unsigned i = 0; i < TABLE_COUNT && code == ERR_OK; i++)
		code = copy_table(&rewrite, (enum table)i, err);
	if (code != ERR_OK ||
	    (code = finish(&rewrite, record, err)) != ERR_OK ||
	    (code = verify_rows(rewrite.to, seal, &rows, err)) != ERR_OK)
		return code;
	return compare_counts(&rewrite, err);
}

/* ---- in the place of the old ---- */

static void remove_draft(const char *path)
{
	OWNED_STR(data) = fs_join(path, FOLDER_DATA);
	OWNED_STR(lock) = fs_join(path, FOLDER_LOCK);

	(void)unlink(data);
	(void)unlink(lock);
	(void)rmdir(path);
}

/*
 * The lock file goes with the data that it speaks of: whoever still reads the
 * old file has both of them open, whoever opens now gets both anew.
 */
static enum err_code take_place(
    const char *draft, const char *path, struct err *err)
{
	OWNED_STR(from) = fs_join(draft, FOLDER_DATA);
	OWNED_STR(to) = fs_join(path, FOLDER_DATA);
	OWNED_STR(lock) = fs_join(path, FOLDER_LOCK);

	(void)unlink(lock);
	if (rename(from, to) != 0)
		return err_fail(err, ERR_IO, "rename %s to %s: %s", from, to,
		    strerrordesc_np(errno));
	(void)unlink(lock);
	return fs_sync_dir(path, err);
}

static enum err_code swap(
    struct store *store, const char *draft, struct err *err)
{
	const struct store_options options = {
	    .path = store->path, .map_size = store->map_size};
	enum err_code code;

	store->engine->ops->close(GIVE(store->engine));
	code = take_place(draft, store->path, err);
	remove_draft(draft);
	if (code != ERR_OK)
		return code;
	return lmdb_open(&options, &store->engine, err);
}

enum err_code store_seal(struct store *store, struct bytes record,
    const struct secret *key, struct err *err)
{
	OWNED_STR(draft) = fs_join(store->path, DRAFT);
	OWNED(seal) seal = NULL;
	enum err_code code;

	if (store->writer == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "the store %s was opened for reading, or without its key",
		    store->path);
	writer_free(GIVE(store->writer));
	remove_draft(draft);
	if ((code = seal_new(key, &seal, err)) != ERR_OK ||
	    (code = fs_mkdir(draft, 0700, err)) != ERR_OK)
		return code;
	code = write_draft(store, draft, record, seal, err);
	if (code != ERR_OK) {
		remove_draft(draft);
		return code;
	}
	if ((code = swap(store, draft, err)) != ERR_OK)
		return code;
	seal_free(store->seal);
	store->seal = GIVE(seal);
	store->sealed = true;
	return start_writer(store, err);
}
