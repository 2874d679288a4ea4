// SPDX-License-Identifier: Apache-2.0
/*
 * The auditor of a running server, on threads of its own: has a checkpoint signed
 * within a second of an entry (never when nothing is new), and tells the
 * witnesses what a durable checkpoint covers.  Nobody waits for it.
 */
#ifndef API_AUDITOR_H
#define API_AUDITOR_H

#include "api/app.h"

struct auditor;

#define AUDITOR_WITNESSES_MAX 8	/* as the configuration takes */

/*
 * Compares STORE with the last checkpoint in it, whose signature is checked, and
 * with every witness of CONFIG that can be read back, endpoints by TELLERS (NULL:
 * not them): before anything is written to it.
 * Errors: ERR_CORRUPT; those of witness_compare.
 */
struct tellers;
MUST_CHECK enum err_code auditor_check(const struct config *config,
    struct tellers *tellers, struct store *store, struct err *err);
/* Starts.  A token or a witness that is out of reach is no error.
 * Errors: ERR_CORRUPT, those of the store. */
MUST_CHECK enum err_code auditor_open(
    struct app *app, struct auditor **auditor_out, struct err *err);
/* Signs and tells what is new, as far as that goes within a few seconds.  False
 * when a witness hangs: then APP cannot be closed. */
bool auditor_close(struct auditor *auditor);

struct auditor_stats {
	uint64_t entries;	/* that the last checkpoint covers */
	int64_t time_ms;	/* when it was signed; 0: none yet */
	bool failing;		/* the last try to sign failed */
	unsigned count;
	struct {
		const char *name;	/* borrowed from the configuration */
		uint64_t entries;	/* that it has */
		uint64_t behind;	/* that it lacks of those covered */
		bool failing;		/* the last try to tell it failed */
		bool is_process;	/* tells it for the server, */
		uint64_t losses;	/* which had to be started again */
	} witnesses[AUDITOR_WITNESSES_MAX];
};
/* AUDITOR may be NULL: then all is zero. */
void auditor_stats(struct auditor *auditor, struct auditor_stats *stats_out);
/* Something is amiss that somebody should look at. */
bool auditor_is_behind(const struct auditor_stats *stats);

#endif
