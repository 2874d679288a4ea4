// SPDX-License-Identifier: Apache-2.0
/*
 * Who comes in, from where and how often, by the configuration as last read.
 * Rates are counted on the monotonic clock.  A refusal sets the reply's
 * Retry-After: whoever waits that long is served, if nobody who shares the limit
 * comes in between.  Nothing here waits; safe from any thread.
 */
#ifndef API_GATE_H
#define API_GATE_H

#include "api/exchange.h"

/* May SOURCE connect to the listener of SERVICE at all? */
bool gate_admits(const struct app *app, const struct service *service,
    const struct ip *source);
/* Those of ROLES that count for a caller from SOURCE. */
uint32_t gate_roles(
    const struct app *app, uint32_t roles, const struct ip *source);
/* May the caller, who is of a cluster or of none, come from where it does?
 * Errors: ERR_FORBIDDEN, and those of cluster_get(). */
MUST_CHECK enum err_code gate_check_cluster(
    struct exchange *x, struct err *err);

/* Each takes one.  Errors: ERR_RATE_LIMITED. */
MUST_CHECK enum err_code gate_nobody(struct exchange *x, struct err *err);
MUST_CHECK enum err_code gate_identity(struct exchange *x, struct err *err);
MUST_CHECK enum err_code gate_public(struct exchange *x, struct err *err);
MUST_CHECK enum err_code gate_ocsp_signature(
    struct exchange *x, struct err *err);

/*
 * Credentials were refused, and ERR says so: takes one, and where there is none
 * left to take makes ERR, and the code returned, ERR_RATE_LIMITED.  Those that are
 * good are never asked for it: sources share cells, and whoever has many could shut
 * others out.  To look at one costs a hash and a find, less than the request did;
 * to guess one of 256 random bits is nothing that a rate must prevent.
 */
MUST_CHECK enum err_code gate_failed(struct exchange *x, struct err *err);
/* May a line be written about this source? */
bool gate_may_log(const struct exchange *x);

/* A certificate that costs a signature, for NAMES of the caller's cluster.  A
 * renewal takes nothing from what newcomers have.  Errors: ERR_RATE_LIMITED. */
struct gate_order {
	const char *cluster, *profile;
	const struct names *names;
	bool renewal;
};
MUST_CHECK enum err_code gate_certificate(
    struct exchange *x, const struct gate_order *order, struct err *err);

#endif
