// SPDX-License-Identifier: Apache-2.0
/* What signet doctor finds: one line a check, with what it means and what to do
 * next.  The checks stand by subject in cli/doctor_*.c. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "base/config.h"
#include "base/json.h"
#include "ca/issuer.h"
#include "cli/options.h"
#include "hsm/hsm.h"

enum health {
	HEALTH_OK,
	HEALTH_WARN, /* will fail in time, or is not as it should be */
	HEALTH_FAIL,
	HEALTH_UNKNOWN, /* what it needs could not be reached */
};

struct doctor {
	const struct options *options;
	const struct config *config;
	struct hsm *hsm; /* one worker; NULL when the token does not open ... */
	struct err hsm_err; /* ... and why: it is tried once */
	struct store *store; /* read-only; NULL when it does not open */
	struct issuer_set *issuers; /* NULL without a store; no signers */
	json_t *checks; /* array of what was found */
	unsigned counts[HEALTH_UNKNOWN + 1];
};

/* NEXT: the next command or step, or NULL. */
void doctor_say(struct doctor *doctor, const char *check, enum health health,
    const char *next, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The words of a failure: for the admin, detail or cause. */
const char *doctor_why(const struct err *err);

/* Clock, synchronisation, memory lock, files, disk, policies. */
void doctor_check_host(struct doctor *doctor);
void doctor_check_clock(struct doctor *doctor);
/* Token, mechanisms, and each key that the records name. */
void doctor_check_token(struct doctor *doctor);
/* Expiry of all certificates that Signet lives on. */
void doctor_check_certificates(struct doctor *doctor);
/* CRL and OCSP as relying parties get them. */
void doctor_check_public(struct doctor *doctor);
/* The running server: workers, breaker, readiness. */
void doctor_check_server(struct doctor *doctor);

#endif
