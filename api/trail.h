// SPDX-License-Identifier: Apache-2.0
/* What an exchange leaves in the audit log. */
#ifndef API_TRAIL_H
#define API_TRAIL_H

#include "api/exchange.h"
#include "store/audit.h"

/* Adds ENTRY to BATCH; actor, source, request id and, where absent, the result
 * "granted", the path's cluster and the route's permission as the rule are
 * filled in. */
void trail_add(const struct exchange *x, struct batch *batch,
    const struct audit_entry *entry);

/* Does the route of X tell what not everybody may know, so that whom it was told
 * stands in the log? */
bool trail_is_read(const struct exchange *x);
/* Commits that X, which read, was granted; before the answer goes out.  Waits.
 * Errors: as authn_commit. */
MUST_CHECK enum err_code trail_read(
    const struct exchange *x, struct err *err);

/*
 * Is the refusal ERR one for the log: of a caller who is known, for what they
 * may not do, or for a ciphertext that is not what it says it is?  Refusals of the
 * unknown are counted alone, so that nobody can fill the disk without an account.
 */
bool trail_wants(const struct exchange *x, const struct err *err);
/* Commits the refusal, as often as the caller's rate allows.  Waits. */
void trail_refusal(const struct exchange *x, const struct err *err);

#endif
