// SPDX-License-Identifier: Apache-2.0
/*
 * Dual control: between a caller's permission and the handler of a route stands,
 * where approvals.yaml says so, the consent of others.
 *
 * The first request is stored and answered 202.  When enough others have
 * consented, the requester sends the same request again and its handler runs, once:
 * the approval is spent, in a commit of its own that depends on everything that
 * counts, before the handler begins.  A stop in between costs the approval and
 * never does the thing twice.  The server does nothing by itself: who acts is
 * there, with a credential that is good at that moment, every check of the handler
 * is made then, and what it shows once goes to who asked for it.
 */
#ifndef API_APPROVALS_H
#define API_APPROVALS_H

#include "api/exchange.h"
#include "policies/approval.h"
#include "store/audit.h"

/*
 * Does this request, the content of X, need consent at all?  Checks all that can
 * be known before, so that nobody is asked for what cannot be done.
 * Errors: those of the handler.
 */
typedef enum err_code approvals_judge(
    struct exchange *x, bool *needed_out, struct err *err);
approvals_judge judge_cluster_retire, judge_certificate_revoke,
    judge_identity_create, judge_identity_revoke,
    judge_identity_change, judge_identity_code;

/* For handlers, of IDENTITY as they read it: what its judge read may have changed
 * since, by a request beside it.  Errors: ERR_CONFLICT: it approves now, and this
 * request was let through as if it did not. */
MUST_CHECK enum err_code approvals_check_needless(const struct exchange *x,
    const struct identity *identity, struct err *err);

/* For judges: is IDENTITY one who approves? */
MUST_CHECK bool approvals_of_approver(
    const struct exchange *x, const struct identity *identity);

/*
 * *RUN_OUT: the handler is to run; else 202 was answered.  *SPENT_OUT is the
 * approval by which it runs; NULL: it needs none.  Waits.
 * Errors: ERR_FORBIDDEN for a caller who is no identity; ERR_POLICY; those of the
 * judge and the store.
 */
MUST_CHECK enum err_code approvals_admit(struct exchange *x,
    struct approval **spent_out, bool *run_out, struct err *err);
/* The handler answered ERR.  A refusal has changed nothing, so the approval is good
 * again; after a fault nobody knows, and it stays spent. */
void approvals_give_back(
    struct exchange *x, struct approval *spent, const struct err *err);

/* Records the end of those that have expired, and forgets the old.  For the
 * thread of maintenance. */
MUST_CHECK enum err_code approvals_maintain(struct app *app, struct err *err);

/* The view of APPROVAL as it stands now. */
MUST_CHECK enum err_code approvals_view(const struct exchange *x,
    const struct approval *approval, json_t **json_out, struct err *err);
/* Adds to BATCH that ACTION was done to APPROVAL, with the digest. */
void approvals_trail(const struct exchange *x, struct batch *batch,
    const struct approval *approval, const struct audit_entry *entry);

#endif
