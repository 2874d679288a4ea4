// SPDX-License-Identifier: Apache-2.0
/*
 * Finds what was changed, moved, rolled back, removed or added behind the back of
 * a running server, also where nobody reads: pass after pass, in small steps, each
 * sealed row is opened and each row that is sealed or counted is counted
 * (store/pass.h).
 */
#ifndef STORE_SCRUB_H
#define STORE_SCRUB_H

#include "store/store.h"

struct scrub;

/* Of a store that is sealed, unlocked and open for writing; the pass begins.  One
 * scrub a store, and one thread.  Errors: ERR_CONFIG. */
MUST_CHECK enum err_code scrub_new(
    struct store *store, struct scrub **scrub_out, struct err *err);
void scrub_free(struct scrub *scrub);
DEFINE_CLEANUP(scrub, scrub_free)

struct scrub_progress {
	uint64_t rows;		/* looked at in this pass */
	uint64_t total;		/* that there are */
	bool ended;		/* the pass; the next begins with the next step */
};

/*
 * Goes on by up to ROWS rows of one table.  The writer is held up for less than
 * the time of a commit.  What is found is an alarm in the log and in store_stats()
 * and does not end the pass: the next step goes on behind it.
 * Errors: ERR_CORRUPT, whose cause names table and row, or the table alone; those
 * of store_find.
 */
MUST_CHECK enum err_code scrub_step(struct scrub *scrub, size_t rows,
    struct scrub_progress *progress, struct err *err);

/* That a pass ended at TIME (seconds), for who opens the store next.  Who has no
 * key can take the record away or put an older one there, no more. */
MUST_CHECK enum err_code scrub_put_end(struct scrub *scrub,
    struct batch *batch, int64_t time, struct err *err);
/* *TIME_OUT is 0 where no pass has ended, or the record is none of ours.
 * Errors: those of store_find. */
MUST_CHECK enum err_code scrub_find_end(
    struct scrub *scrub, int64_t *time_out, struct err *err);

#endif
