// SPDX-License-Identifier: Apache-2.0
/* Reading the audit log on one snapshot, for the files of this folder. */
#ifndef STORE_WALK_H
#define STORE_WALK_H

#include "store/engine.h"
#include "store/ledger.h"

/* A snapshot, and a cursor on the log once walk_from() was called. */
struct walk {
	const struct engine_ops *ops;
	struct snapshot *snapshot;
	struct cursor *cursor;
};
void walk_close(struct walk *walk);
#define OWNED_WALK(name)                                                       \
	__attribute__((cleanup(walk_close))) struct walk name = {0}

/* Errors: ERR_CONFIG for a log of an older version. */
MUST_CHECK enum err_code walk_open(
    struct walk *walk, struct store *store, struct err *err);
/* From entry SEQUENCE on; from 0: with whatever stands before the first. */
MUST_CHECK enum err_code walk_from(
    struct walk *walk, uint64_t sequence, struct err *err);
/* The ledger as the head record of the snapshot says. */
MUST_CHECK enum err_code walk_head(
    struct walk *walk, struct ledger *ledger, struct err *err);
/* One entry, by its number.  Errors: ERR_CORRUPT when it is not there. */
MUST_CHECK enum err_code walk_entry(struct walk *walk, uint64_t sequence,
    struct ledger_record *record_out, struct err *err);
bool walk_is_place(struct bytes key, uint64_t sequence);

#endif
