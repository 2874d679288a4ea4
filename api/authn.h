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
 * Fills x->caller, and x->token, x->certificate or x->identity.  A caller who
 * brings nothing stays anonymous; one who brings something that is not accepted
 * is refused.
 * Errors: ERR_UNAUTHENTICATED; those of the store.
 */
MUST_CHECK enum err_code authn_identify(struct exchange *x,
    const struct credentials *credentials, struct err *err);

/* Leaves what was read of a caller with a certificate to the connection of X, which
 * is done: the next request of it is spared the reading while the rows stand. */
void authn_keep(struct exchange *x);

/* Brings nothing.  Who is known by what they bring is counted as that. */
bool authn_is_nobody(const struct credentials *credentials);

/* Refuses a caller whose certificate or identity was revoked since it was
 * identified: a request may wait long before its job runs.
 * Errors: ERR_UNAUTHENTICATED; those of the store. */
MUST_CHECK enum err_code authn_still_holds(
    const struct exchange *x, struct err *err);
/* Makes BATCH depend on what authn_still_holds() looks at: for what must not
 * happen after a revocation was acknowledged.  After a conflict, ask it again. */
void authn_require(const struct exchange *x, struct batch *batch);
/*
 * As store_commit, with authn_require: how a handler commits what was asked for.
 * ERR_CONFLICT means then that another record than the caller's own has changed.
 * Errors: ERR_UNAUTHENTICATED when it is the caller's own; those of store_commit.
 */
MUST_CHECK enum err_code authn_commit(
    const struct exchange *x, struct batch *batch, struct err *err);
/* As store_commit, whatever has become of the caller: for what takes something
 * back, never for what was asked for. */
MUST_CHECK enum err_code authn_commit_anyway(
    const struct exchange *x, struct batch *batch, struct err *err);
/* The one answer to a token or code that is good no longer. */
MUST_CHECK enum err_code authn_refuse_bearer(const struct exchange *x,
    const char *kind, const char *why, struct err *err);

/* authorize() for x->caller, remembered for the audit log. */
MUST_CHECK enum err_code authn_may(struct exchange *x, enum permission action,
    const struct object *object, struct err *err);
/* As the route of X demands, before its handler runs. */
MUST_CHECK enum err_code authn_may_route(struct exchange *x, struct err *err);
/*
 * The certificate whose serial stands in the path of X, when the caller may do
 * to it what the route says.  To a caller bound to a cluster what is another's
 * and what does not exist are one: words, status, trace, and work.
 * Errors: ERR_NOT_FOUND, ERR_FORBIDDEN; those of the store.
 */
MUST_CHECK enum err_code authn_certificate(
    struct exchange *x, struct certificate **record_out, struct err *err);

#endif
