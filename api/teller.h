// SPDX-License-Identifier: Apache-2.0
/*
 * A teller speaks HTTP for the server: one process of signet-witness (base/tell.h)
 * for each witness that is an endpoint.  Processes are started before the server
 * gives that up, and not again.
 */
#ifndef API_TELLER_H
#define API_TELLER_H

#include "base/config.h"
#include "base/tell.h"

struct teller;
struct tellers;

/* Starts one for each witness of CONFIG that is an endpoint.
 * Errors: ERR_IO; ERR_CONFIG when signet-witness cannot be executed. */
MUST_CHECK enum err_code tellers_open(const struct config *config,
    struct tellers **tellers_out, struct err *err);
/* Ends them. */
void tellers_close(struct tellers *tellers);
DEFINE_CLEANUP(tellers, tellers_close)
/* Borrowed; NULL where there is none for SPEC, or TELLERS is NULL. */
struct teller *tellers_find(struct tellers *tellers, const char *spec);

/* OP and LINES as of base/tell.h.  Waits, TELL_PATIENCE_MS at most.  One thread
 * at a time.  Errors: ERR_IO, when the witness did not take it, too. */
MUST_CHECK enum err_code teller_ask(struct teller *teller, char op,
    struct bytes lines, struct tell_answer *answer_out, struct err *err);
/* From another thread: what waits fails at once, as all that comes. */
void teller_cut(struct teller *teller);

#endif
