// SPDX-License-Identifier: Apache-2.0
/* Who asks, and whether they may: the one way into every handler. */
#ifndef API_AUTHN_H
#define API_AUTHN_H

#include "api/exchange.h"

/* What the peer brought to prove who it is; borrowed. */
struct credentials {
	const char *authorization;	/* the header, or NULL */
	struct bytes certificate;	/* DER that TLS proved; empty: none */
};

/*
 * Fills x->caller, and x->token or x->certificate.  A caller who brings nothing
 * stays anonymous; one who brings something that is not accepted is refused.
 * Errors: ERR_UNAUTHENTICATED; those of the store.
 */
MUST_CHECK enum err_code authn_identify(struct exchange *x,
    const struct credentials *credentials, struct err *err);

/* Refuses a caller whose certificate was revoked since it was identified: a
 * request may wait long before its job runs.
 * Errors: ERR_UNAUTHENTICATED; those of the store. */
MUST_CHECK enum err_code authn_still_holds(
    const struct exchange *x, struct err *err);

/* access_check() for x->caller, remembered for the audit log. */
MUST_CHECK enum err_code authn_may(struct exchange *x,
    enum permission permission, const char *cluster, struct err *err);
/* As the route of X demands, before its handler runs. */
MUST_CHECK enum err_code authn_may_route(struct exchange *x, struct err *err);

#endif
