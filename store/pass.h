// SPDX-License-Identifier: Apache-2.0
/*
 * A pass over the rows of a sealed store beside the changes: in steps, table after
 * table, and compared with the tally where a table ends.
 *
 * Each step reads a snapshot of its own, so none lasts.  It is the writer that
 * takes it, between two transactions: what is behind the pass is then counted as
 * the writer puts and erases it, and what is before it as it is met.  So at the
 * end of a table the pass has counted what is there at that moment.
 */
#ifndef STORE_PASS_H
#define STORE_PASS_H

#include "store/engine.h"
#include "store/tally.h"

struct pass;

MUST_CHECK enum err_code pass_new(struct engine *engine,
    const struct seal *seal, struct pass **pass_out, struct err *err);
void pass_free(struct pass *pass);
DEFINE_CLEANUP(pass, pass_free)

/* A transaction, as sealer.h has it: begin, note, committed. */
void pass_begin(struct pass *pass);
/* ROW is what TALLY was given last. */
void pass_note(struct pass *pass, const struct row *row,
    const struct tally *tally);
void pass_committed(struct pass *pass);

struct pass_step {
	const struct buf *until; /* the last key to count, or NULL: to the end */
	size_t limit;		/* rows */
	/* Where the pass is then. */
	enum table table;
	struct buf *key;	/* last counted; empty: the table begins */
	size_t rows;		/* counted by this step */
	uint64_t total;		/* rows that there are, by the tally */
};

/* Counts on, no further than what STEP says.  RECORDED is the tally as it is
 * durable.  Behind the last table the first one comes again.
 * Errors: ERR_CORRUPT where a table is not what was recorded; the pass has gone on
 * to the next one then.  Those of the engine. */
MUST_CHECK enum err_code pass_take(struct pass *pass,
    const struct tally *recorded, struct pass_step *step, struct err *err);

#endif
