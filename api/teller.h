// SPDX-License-Identifier: Apache-2.0
/*
 * A teller speaks HTTP for the server: one process of signet-witness (base/tell.h)
 * for each witness that is an endpoint.  One that ends or hangs is started again by
 * the spawner when there is next something to tell, and counted.
 */
#ifndef API_TELLER_H
#define API_TELLER_H

#include "base/config.h"
#include "base/tell.h"

struct spawn;
struct spawner;
struct teller;
struct tellers;

/* One for each witness of CONFIG that is an endpoint; none is started yet. */
struct tellers *tellers_new(const struct config *config);
/* What a spawner must be able to start for them, borrowed. */
struct spawn *const *tellers_programs(
    const struct tellers *tellers, unsigned *count_out);
/* Starts them by SPAWNER, borrowed, that was opened with their programs.
 * Errors: ERR_CONFIG when signet-witness cannot be executed, ERR_IO. */
MUST_CHECK enum err_code tellers_start(
    struct tellers *tellers, struct spawner *spawner, struct err *err);
/* Ends them. */
void tellers_close(struct tellers *tellers);
DEFINE_CLEANUP(tellers, tellers_close)
/* Borrowed; NULL where there is none for SPEC, or TELLERS is NULL. */
struct teller *tellers_find(struct tellers *tellers, const char *spec);

/* Asks all of them at once what their witness has, for TELL_FIRST_MS at most.
 * Before any of them is used.  TELLERS may be NULL. */
void tellers_look(struct tellers *tellers);
/* What its witness said then; NULL: it could not be reached. */
const struct tell_answer *teller_first(const struct teller *teller);

/* OP and LINES as of base/tell.h.  Waits, TELL_PATIENCE_MS at most, and where a
 * process is to be started for as long as that takes.  One thread at a time.
 * Errors: ERR_IO, when the witness did not take it, too. */
MUST_CHECK enum err_code teller_ask(struct teller *teller, char op,
    struct bytes lines, struct tell_answer *answer_out, struct err *err);
/* From another thread: what waits fails at once, as all that comes. */
void teller_cut(struct teller *teller);
/* From any thread: how often its process ended or hung. */
uint64_t teller_losses(const struct teller *teller);

#endif
