// SPDX-License-Identifier: Apache-2.0
/*
 * The writing side of a sealed store: what the writer puts and erases in a
 * transaction is sealed and counted, and the tally is written with it.
 *
 * The tally lies in META under "tally", sealed together with the head of the
 * audit log as it is in the same transaction: rows without their log, or a log
 * without its rows, do not open.
 */
#ifndef STORE_SEALER_H
#define STORE_SEALER_H

#include "store/engine.h"
#include "store/pass.h"
#include "store/tally.h"

struct sealer;

/* A sealer that has counted nothing; SEAL and ENGINE are borrowed. */
MUST_CHECK enum err_code sealer_new(struct engine *engine, struct seal *seal,
    struct sealer **sealer_out, struct err *err);
/* Takes up the tally that the store has.  Errors: ERR_CORRUPT when it does not
 * open: another key, or one of tally and audit log was changed alone. */
MUST_CHECK enum err_code sealer_resume(
    struct sealer *sealer, struct err *err);
void sealer_free(struct sealer *sealer);
DEFINE_CLEANUP(sealer, sealer_free)

/* One transaction: begin; put and erase; end, which writes the tally; and once
 * the transaction is durable, committed.  A transaction that is given up is
 * simply left: the next begin forgets it. */
void sealer_begin(struct sealer *sealer);
/* Reads what the row is now, so ROW->revision means nothing. */
MUST_CHECK enum err_code sealer_put(struct sealer *sealer,
    struct transaction *tx, const struct row *row, struct bytes value,
    struct err *err);
MUST_CHECK enum err_code sealer_erase(struct sealer *sealer,
    struct transaction *tx, const struct row *row, struct err *err);
/* Puts a row of a fresh store with the revision that ROW says, beyond every
 * other of its table. */
MUST_CHECK enum err_code sealer_load(struct sealer *sealer,
    struct transaction *tx, const struct row *row, struct bytes value,
    struct err *err);
MUST_CHECK enum err_code sealer_end(
    struct sealer *sealer, struct transaction *tx, struct err *err);
void sealer_committed(struct sealer *sealer);

/* Between transactions: a step of the pass over the rows.  Errors: as
 * pass_take. */
MUST_CHECK enum err_code sealer_pass(
    struct sealer *sealer, struct pass_step *step, struct err *err);

/* The tally that SNAPSHOT has.  Errors: ERR_CORRUPT. */
MUST_CHECK enum err_code sealer_read_tally(struct seal *seal,
    struct engine *engine, struct snapshot *snapshot, struct tally *tally,
    struct err *err);

#endif
