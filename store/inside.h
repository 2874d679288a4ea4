// SPDX-License-Identifier: Apache-2.0
/* The inside of a store, for the files of this folder. */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "store/engine.h"
#include "store/seal.h"
#include "store/writer.h"

struct store {
	struct engine *engine;	/* NULL after a failure that left none */
	struct writer *writer;	/* NULL: opened for reading, or locked */
	struct seal *seal;	/* NULL: not sealed, or locked */
	bool sealed;		/* its rows are; without a seal it is locked */
	bool is_old;		/* its log is of an older version, and it was
				 * opened for reading: see migrate.h */
	bool read_only;
	char *path;
	uint64_t map_size;	/* octets, as asked for */
	int claim;		/* on the folder; -1: opened for reading */
};

/* Replaces VALUE by what STORED, the octets of ROW in the engine, holds.
 * Errors: ERR_STORE when the store is locked; those of seal_open. */
MUST_CHECK enum err_code store_read_row(struct store *store,
    const struct row *row, struct bytes stored, struct buf *value,
    struct err *err);

/* Walks over every row that SEAL seals or counts and compares with the tally.
 * Errors: as store_verify. */
MUST_CHECK enum err_code verify_rows(struct engine *engine, struct seal *seal,
    uint64_t *rows_out, struct err *err);

#endif
