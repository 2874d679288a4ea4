// SPDX-License-Identifier: Apache-2.0
/*
 * A watcher tells one witness of the audit log, on a thread of its own, what a
 * durable checkpoint covers; it tries again where that fails, and nobody waits.
 * Only an endpoint that was out of reach at start, and has what the store lacks, ends
 * the server (app_end): as it would not have started.
 */
#ifndef API_WATCHER_H
#define API_WATCHER_H

#include <pthread.h>
#include <stdatomic.h>
#include "store/store.h"

/* How far the auditor is, shared with its watchers.  "covered" is what a
 * checkpoint that is durably stored covers: no witness hears of more, so that a
 * stop of the machine never leaves a witness ahead. */
struct progress {
	_Atomic uint64_t covered;
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* covered, stopping or ending */
	bool stopping;			/* under lock: the signer ends */
	bool ending;			/* under lock: the watchers end */
};
void progress_init(struct progress *progress);
void progress_end(struct progress *progress);
/* Waits MS, or until *STOP; gives *STOP. */
bool progress_rest(struct progress *progress, int64_t ms, const bool *stop);
/* Sets FLAG (may be NULL), and wakes who waits. */
void progress_tell(struct progress *progress, bool *flag);
/* Logs once when WHAT begins to fail, and once when it works again. */
void progress_note(atomic_bool *failing, const char *what, enum err_code code,
    const struct err *err);

struct watcher;

/* SPEC as of witness_new.  All is borrowed.  Errors: ERR_CORRUPT, those of the
 * store. */
struct app;
MUST_CHECK enum err_code watcher_new(const char *spec, struct app *app,
    struct progress *progress, struct watcher **watcher_out, struct err *err);
/* Before it was started, or after it was joined. */
void watcher_free(struct watcher *watcher);
DEFINE_CLEANUP(watcher, watcher_free)
void watcher_start(struct watcher *watcher);
/* Once progress->ending was told.  False when it has not ended UNTIL then
 * (CLOCK_REALTIME). */
bool watcher_join(struct watcher *watcher, const struct timespec *until);

/* From any thread: it waits for its witness no longer, where that can be cut. */
void watcher_cut(struct watcher *watcher);

/* From any thread. */
const char *watcher_name(const struct watcher *watcher);
uint64_t watcher_entries(struct watcher *watcher);	/* that it has told */
bool watcher_is_failing(struct watcher *watcher);
/* How often the process that tells it was lost.  False: there is none. */
bool watcher_losses(const struct watcher *watcher, uint64_t *losses_out);

#endif
