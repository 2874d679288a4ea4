// SPDX-License-Identifier: Apache-2.0
/* What a running server is made of, as its handlers see it. */
#ifndef API_APP_H
#define API_APP_H

#include <pthread.h>
#include <stdatomic.h>
#include "api/job.h"
#include "api/limit.h"
#include "api/tls.h"
#include "base/config.h"
#include "ca/ca.h"
#include "ca/crl.h"
#include "ca/ocsp.h"
#include "kms/keyring.h"
#include "policies/policy.h"
#include "store/store.h"

/* What is counted apart, each by keys of its own; the rates are those of the
 * configuration as last read. */
struct limits {
	struct limit *refusals;	/* of one caller, worth an audit entry */
	struct limit *log;	/* of one source, worth a line */
	struct limit *source, *failures, *identity, *cluster, *names;
	struct limit *public, *ocsp_signed;
};

/* Set once while the server starts; what may change later is atomic or stands
 * behind a function. */
struct app {
	const struct config *config;	/* as read at start */
	/* As last read; each is kept until the end, for whoever still reads in
	 * it.  Only who may come, and how often, is taken from there. */
	_Atomic(const struct config *) live;
	struct read_config *read;	/* of the thread that reloads alone */
	struct store *store;
	struct spawner *spawner;	/* borrowed; may be NULL */
	struct tellers *tellers;	/* borrowed; may be NULL */
	struct hsm *hsm;
	struct ca *ca;
	struct crl_publisher *publisher;
	struct ocsp *ocsp;
	struct keyring *ring;
	struct scrubber *scrubber;	/* run by maintenance alone */
	struct jobs *jobs;		/* of the API */
	/* Of the public listener: whoever asks there, and however much, takes
	 * no place from those who are known. */
	struct jobs *public_jobs;
	struct tls *tls;
	struct auditor *auditor;	/* NULL unless serving; main.c's */
	char *instance;			/* name of this instance, for people */
	int64_t started;		/* seconds */

	struct limits limits;

	/* Live settings, from the configuration as last read. */
	_Atomic int64_t request_timeout_ms, drain_timeout_ms;
	_Atomic int64_t handshake_timeout_ms;
	atomic_uint quarantined;	/* clusters; counted now and then */

	atomic_bool stopping;
	atomic_bool unfit;		/* as of app_end() */
	atomic_uint exchanges;		/* begun and not completed */
	/* Told by maintenance: the token answered the last time it was asked. */
	atomic_bool hsm_answers;

	/* Of the thread of maintenance alone: where pruning goes on. */
	struct buf prune_cursor, prune_identities_cursor;

	/* Under policies_lock. */
	pthread_mutex_t policies_lock;
	struct policy_set *policies;
};

/*
 * Opens all that CONFIG names.  A token out of reach is no error.  SPAWNER, which
 * may be NULL, starts the workers; TELLERS, which may be NULL, reach the witnesses
 * that are endpoints.  The caller owns all and frees them after app_close().
 * Errors: ERR_NOT_FOUND or ERR_CONFIG: not set up; others as they come.
 */
MUST_CHECK enum err_code app_open(const struct config *config,
    struct spawner *spawner, struct tellers *tellers, struct app **app_out,
    struct err *err);
/* No exchange may be left. */
void app_close(struct app *app);
DEFINE_CLEANUP(app, app_close)

/* Checks all that can be checked without the token, and changes nothing. */
MUST_CHECK enum err_code app_check(
    const struct config *config, struct err *err);

/* From any thread: nobody should be served any more.  The server drains and ends,
 * as by SIGTERM, and unsuccessfully; why stands in the log. */
void app_end(struct app *app);

/* The configuration as last read: who may come from where, and how often.
 * What it points to stays until app_close(). */
const struct config *app_live(const struct app *app);

/* The policies now; the caller frees its reference. */
struct policy_set *app_policies(struct app *app);

/*
 * Reads configuration, policies and TLS files again and takes over what can
 * change in a running server (log level, timeouts, source ranges, rates,
 * policies, certificate); all of it, or nothing.
 */
MUST_CHECK enum err_code app_reload(struct app *app, struct err *err);

#endif
