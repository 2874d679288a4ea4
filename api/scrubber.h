// SPDX-License-Identifier: Apache-2.0
/*
 * Looks at every row of the store once a period, spread over all of it, so that
 * what was changed behind the server's back is told though nobody reads it.
 *
 * A pass that a stop cut short begins anew and takes what is left of the period,
 * an eighth of it at least: a server that is started each day is not one whose rows
 * nobody looks at, nor one that reads all of them at each start.
 */
#ifndef API_SCRUBBER_H
#define API_SCRUBBER_H

#include "store/store.h"

struct scrubber;

/* PERIOD in seconds.  STORE, sealed and unlocked, is borrowed.
 * Errors: those of scrub_new. */
MUST_CHECK enum err_code scrubber_new(struct store *store, int64_t period,
    struct scrubber **scrubber_out, struct err *err);
void scrubber_free(struct scrubber *scrubber);
DEFINE_CLEANUP(scrubber, scrubber_free)

/* Looks at what is due by now, some thousand rows at most.  What it finds is in the
 * server's log (store/scrub.h) and, up to a number for each pass, in the audit
 * log.  By one thread, every second.  Errors: those of the store. */
MUST_CHECK enum err_code scrubber_run(
    struct scrubber *scrubber, struct err *err);

struct scrubber_stats {
	uint64_t rows;		/* looked at in this pass */
	uint64_t total;		/* that there are; 0: not known yet */
	uint64_t looked;	/* at how many since the start */
	int64_t last;		/* seconds: end of the last full pass; 0: none */
};
/* Safe from any thread. */
struct scrubber_stats scrubber_stats(const struct scrubber *scrubber);

#endif
