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
#include "base/secret.h"

enum table {
#define TABLE(id, name, rule) TABLE_##id,
#include "store/tables.def"
#undef TABLE
	TABLE_COUNT
};

#define STORE_KEY_MAX 500	/* octets */
#define STORE_KEY_SIZE 32	/* octets of the key that seals a store */

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
 * knows.  A sealed store is opened locked: until store_unseal it gives only what
 * stands in tables that are not sealed, and takes no commit.
 * Errors: ERR_NOT_FOUND, ERR_CONFIG, ERR_STORE, ERR_CORRUPT, ERR_IO.
 */
MUST_CHECK enum err_code store_open(const struct store_options *options,
    struct store **store_out, struct err *err);
/* Opens a backup, one file, for reading.  Errors: as store_open. */
MUST_CHECK enum err_code store_open_copy(
    const char *path, struct store **store_out, struct err *err);
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

/*
 * Tells that somebody who may soon commit is under way, until store_leave().  A
 * durable write costs the same for one batch and for fifty, so it waits, a
 * millisecond at most, for most of those who were told of.  A commit needs no
 * telling.  Both are safe from any thread.
 */
void store_join(struct store *store);
void store_leave(struct store *store);

/*
 * Sealing at rest (store/seal.h; store/tables.def says which tables).  The store
 * is given its key and keeps a record, in the clear, by which whoever keeps the
 * key gets it again; ca/storekey.h does, with the token.
 */

/* The record; *SEALED_OUT false: the store is not sealed.
 * Errors: ERR_STORE. */
MUST_CHECK enum err_code store_seal_record(struct store *store,
    struct buf *record, bool *sealed_out, struct err *err);
/*
 * Unlocks a sealed store, once, before any other thread is inside.
 * Errors: ERR_CONFIG when it is not sealed; ERR_CORRUPT when its tally does not
 * open: another key, or the tally or the head of the audit log was changed or
 * rolled back; those of store_open.
 */
MUST_CHECK enum err_code store_unseal(
    struct store *store, const struct secret *key, struct err *err);
/*
 * Seals the store under KEY, or anew when it is sealed and unlocked: all rows go
 * into a new file, which is verified and then takes the place of the old one.  A
 * stop at any moment leaves one of the two, whole.  Needs free space as large as
 * the store.  Opened for writing; no other thread may be inside.  What the disk
 * keeps of the old file is beyond its reach.  After a failure the store can only be closed.
 * Errors: ERR_CONFIG when opened for reading or locked; those of store_open.
 */
MUST_CHECK enum err_code store_seal(struct store *store, struct bytes record,
    const struct secret *key, struct err *err);
/*
 * Opens every sealed row, counts every row that is sealed or counted, and compares
 * with the tally: none is changed, moved, rolled back, gone or added.  On one
 * snapshot, which pins old pages for seconds a million rows.
 * Errors: ERR_CONFIG when it is not sealed, or locked; ERR_CORRUPT, whose cause
 * names table and row, or the table alone where a row is gone or came again.
 */
MUST_CHECK enum err_code store_verify(
    struct store *store, uint64_t *rows_out, struct err *err);

struct store_stats {
	uint64_t commits;	/* durable writes since opening */
	uint64_t batches;	/* batches they carried */
	uint64_t waiting;	/* batches in store_commit now */
	uint64_t used;		/* octets of the map ever used; freed ones are
				 * used again first.  Alarm at 80 % of map_size */
	uint64_t map_size;	/* octets */
	bool writable;		/* false once the disk has failed */
	uint64_t amiss;		/* rows, or tables, found not to be as written */
};
void store_stats(struct store *store, struct store_stats *stats_out);

/* The format that STORE has.  Errors: ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code store_format(
    struct store *store, uint32_t *format_out, struct err *err);

#endif
