// SPDX-License-Identifier: Apache-2.0
/*
 * The record store: ordered tables of octet strings, read on snapshots and
 * changed by batches that are applied whole, durably, or not at all.
 *
 * Nothing here assumes one process, or one machine, to own the data: what a
 * caller has read it protects by a precondition of its batch, and tries again
 * on ERR_CONFLICT.  An engine stands behind it; LMDB is the embedded one.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"

enum table {
#define TABLE(id, name) TABLE_##id,
#include "store/tables.def"
#undef TABLE
	TABLE_COUNT
};

#define STORE_KEY_MAX 500	/* octets */

struct store;
struct batch;
struct scan;

struct store_options {
	const char *path;	/* folder; created with mode 0700 when asked */
	uint64_t map_size;	/* octets of address space; 0: the default */
	bool create;		/* false: ERR_NOT_FOUND when there is none */
	bool read_only;		/* another process may be serving from it */
};

/*
 * Opens a store and starts its writer.  One process at a time may open for
 * writing: another server would settle the first one's open intents.  Refuses a
 * folder or file that others can read, and a format newer than this program
 * knows.
 * Errors: ERR_NOT_FOUND, ERR_CONFIG, ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code store_open(const struct store_options *options,
    struct store **store_out, struct err *err);
/* Commits what is waiting, then closes.  No other thread may be inside. */
void store_close(struct store *store);
DEFINE_CLEANUP(store, store_close)

/*
 * Reads one record into VALUE (replacing its content); VALUE may be NULL where
 * the revision alone is wanted, which costs no copy.  Absence is normal:
 * *found_out tells.  REVISION_OUT may be NULL; a record's revision is 1 when
 * put into absence and grows by one with each put; 0 means absent.  Never waits
 * for a writer.  No key is empty or longer than STORE_KEY_MAX.
 * Errors: ERR_STORE.  Safe from any thread.
 */
MUST_CHECK enum err_code store_find(struct store *store, enum table table,
    struct bytes key, struct buf *value, uint64_t *revision_out,
    bool *found_out, struct err *err);

/*
 * An ordered walk over the keys that begin with PREFIX (may be empty), after
 * the key AFTER (empty: from the start), on one snapshot.  A scan pins old
 * pages: read a bounded page, close, and go on from the last key.
 */
MUST_CHECK enum err_code scan_open(struct store *store, enum table table,
    struct bytes prefix, struct bytes after, struct scan **scan_out,
    struct err *err);
/* Moves on.  KEY and VALUE are borrowed until the next call on this scan;
 * *more_out is false at the end. */
MUST_CHECK enum err_code scan_next(struct scan *scan, struct bytes *key,
    struct bytes *value, bool *more_out, struct err *err);
void scan_close(struct scan *scan);
DEFINE_CLEANUP(scan, scan_close)

/* Records in the table, as of now. */
MUST_CHECK enum err_code store_count(struct store *store, enum table table,
    uint64_t *count_out, struct err *err);

/*
 * A batch gathers changes and preconditions; it is built by one thread and
 * copies what it is given.  A later change of a key in one batch replaces the
 * earlier.  Keys longer than STORE_KEY_MAX or empty abort, and so do changes of
 * what is the store's own: TABLE_AUDIT, and "format", "audit_head" in META.
 */
struct batch *batch_new(void);
void batch_free(struct batch *batch);
DEFINE_CLEANUP(batch, batch_free)
void batch_put(struct batch *batch, enum table table, struct bytes key,
    struct bytes value);
void batch_delete(struct batch *batch, enum table table, struct bytes key);
void batch_require_absent(
    struct batch *batch, enum table table, struct bytes key);
/* REVISION as store_find gave it; 0, as it gives for absence, means absent. */
void batch_require_revision(struct batch *batch, enum table table,
    struct bytes key, uint64_t revision);
bool batch_is_empty(const struct batch *batch);

/*
 * Applies the batch: all of it or nothing, durable when it returns ERR_OK.
 * Batches of many threads share one durable write.  The batch is spent by
 * success and unchanged by failure.  After an error other than ERR_CONFLICT
 * the outcome of the disk is unknown until the store is opened again; a store
 * whose disk failed refuses every later commit (ERR_STORE).
 * Errors: ERR_CONFLICT (a precondition failed: read again), ERR_STORE_FULL,
 * ERR_STORE.  Safe from any thread; waits.
 */
MUST_CHECK enum err_code store_commit(
    struct store *store, struct batch *batch, struct err *err);

struct store_stats {
	uint64_t commits;	/* durable writes since opening */
	uint64_t batches;	/* batches they carried */
	uint64_t waiting;	/* batches in store_commit now */
	uint64_t used;		/* octets of the map ever used; freed ones are
				 * used again first.  Alarm at 80 % of map_size */
	uint64_t map_size;	/* octets */
	bool writable;		/* false once the disk has failed */
};
void store_stats(struct store *store, struct store_stats *stats_out);

/*
 * Writes a consistent copy into the new file PATH (mode 0600, must not exist),
 * syncs file and folder, and checks that it opens and its audit chain verifies.
 * Writers go on meanwhile.  On failure nothing is left.
 * Errors: ERR_EXISTS, ERR_IO, ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code store_backup(
    struct store *store, const char *path, struct err *err);
/* Makes a new store folder DIR from a backup, having verified it.
 * Errors: ERR_NOT_FOUND, ERR_EXISTS, ERR_CONFIG, ERR_IO, ERR_STORE,
 * ERR_CORRUPT. */
MUST_CHECK enum err_code store_restore(
    const char *path, const char *dir, struct err *err);

#endif
