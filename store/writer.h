// SPDX-License-Identifier: Apache-2.0
/* The one thread that changes the store, for all who wait: group commit. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/batch.h"
#include "store/engine.h"
#include "store/sealer.h"

struct writer;

/* ENGINE is borrowed.  SEALER, NULL for a store that is not sealed, is the
 * writer's own, also on failure.  Errors: ERR_STORE, ERR_CRYPTO. */
MUST_CHECK enum err_code writer_new(struct engine *engine,
    struct sealer *sealer, struct writer **writer_out, struct err *err);
/* Commits what is waiting and ends the thread. */
void writer_free(struct writer *writer);
DEFINE_CLEANUP(writer, writer_free)

/* As store_commit. */
MUST_CHECK enum err_code writer_commit(
    struct writer *writer, struct batch *batch, struct err *err);
/* MORE callers, or fewer when negative, are on their way to writer_commit. */
void writer_expect(struct writer *writer, int more);
/* A step of the pass over the rows of a sealed store.  One thread at a time.
 * Errors: ERR_STORE once the disk has failed; those of pass_take. */
MUST_CHECK enum err_code writer_pass(
    struct writer *writer, struct pass_step *step, struct err *err);
/* Sets the members that the writer knows. */
void writer_stats(struct writer *writer, struct store_stats *stats);

#endif
