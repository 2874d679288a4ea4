// SPDX-License-Identifier: Apache-2.0
/*
 * What the store asks of an engine: ordered tables read on snapshots, and one
 * transaction at a time that changes them.  Batches, preconditions, the audit
 * log and group commit stand above it, so that an engine knows none of them.
 *
 * An engine keeps each record's revision: 1 when put into absence, one more
 * with each put.  Revision 0 means that there is no such record.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/store.h"

struct engine;
struct snapshot;
struct cursor;
struct transaction;

struct record {
	struct bytes value;
	uint64_t revision;	/* 0: absent */
};

/*
 * Errors of every function: ERR_STORE, ERR_CORRUPT; those that write also
 * ERR_STORE_FULL, after which the transaction can only be aborted.
 */
struct engine_ops {
	void (*close)(struct engine *engine);

	/* A consistent view.  Any thread; never waits for the transaction. */
	enum err_code (*snapshot_open)(struct engine *engine,
	    struct snapshot **snapshot_out, struct err *err);
	void (*snapshot_close)(struct snapshot *snapshot);
	/* RECORD is borrowed until the snapshot closes. */
	enum err_code (*find)(struct snapshot *snapshot, enum table table,
	    struct bytes key, struct record *record, struct err *err);
	enum err_code (*count)(struct snapshot *snapshot, enum table table,
	    uint64_t *count_out, struct err *err);

	/* Walks the keys >= FROM (empty: all).  Closed before its snapshot. */
	enum err_code (*cursor_open)(struct snapshot *snapshot,
	    enum table table, struct bytes from, struct cursor **cursor_out,
	    struct err *err);
	/* Revision 0 at the end.  Borrowed until the snapshot closes. */
	enum err_code (*cursor_next)(struct cursor *cursor, struct bytes *key,
	    struct record *record, struct err *err);
	void (*cursor_close)(struct cursor *cursor);

	/* One thread begins, changes and ends the transaction. */
	enum err_code (*begin)(struct engine *engine,
	    struct transaction **transaction_out, struct err *err);
	/* RECORD is borrowed until the next change. */
	enum err_code (*look)(struct transaction *transaction,
	    enum table table, struct bytes key, struct record *record,
	    struct err *err);
	enum err_code (*put)(struct transaction *transaction, enum table table,
	    struct bytes key, struct bytes value, struct err *err);
	/* As put, of a key beyond every other; else ERR_CORRUPT. */
	enum err_code (*append)(struct transaction *transaction,
	    enum table table, struct bytes key, struct bytes value,
	    struct err *err);
	/* As append, with the revision that RECORD says. */
	enum err_code (*load)(struct transaction *transaction,
	    enum table table, struct bytes key, const struct record *record,
	    struct err *err);
	enum err_code (*erase)(struct transaction *transaction,
	    enum table table, struct bytes key, struct err *err);
	/* Durable on ERR_OK.  Ends the transaction whatever it returns. */
	enum err_code (*commit)(
	    struct transaction *transaction, struct err *err);
	void (*abort)(struct transaction *transaction);

	/*
	 * Writes a whole, consistent copy to FD, a pipe; COMPACT: without the
	 * pages that are free.  *UNFIT_OUT: that cannot be, and what was written
	 * is no copy.  One that is not compact may end before USED octets, where
	 * the rest is zero.
	 */
	enum err_code (*copy)(struct engine *engine, int fd, bool compact,
	    bool *unfit_out, struct err *err);
	void (*usage)(struct engine *engine, uint64_t *used_out,
	    uint64_t *size_out);
	/* Housekeeping, every few seconds. */
	void (*tend)(struct engine *engine);
};

/* Each engine's own struct begins with this. */
struct engine {
	const struct engine_ops *ops;
};

#endif
