// SPDX-License-Identifier: Apache-2.0
/*
 * A request that waits for the consent of others (approvers.h): exactly what was
 * asked and by whom, and what was decided about it.
 *
 * The record says only what happened; whether the consents suffice is counted
 * each time, by the rules and identities of that moment.  A record that is not OPEN
 * is never OPEN again, but for one whose execution was refused (approval_reopen).
 */
#ifndef POLICIES_APPROVAL_H
#define POLICIES_APPROVAL_H

#include "policies/approvers.h"

#define APPROVAL_ID_SIZE 16
#define APPROVAL_DIGEST_SIZE 32
#define APPROVAL_DECISIONS_MAX 16
#define APPROVAL_REASON_MAX 256		/* octets */
#define APPROVALS_MAX 10000		/* on record */
#define APPROVAL_KEPT (90 * INT64_C(86400)) /* seconds after its end */

enum approval_state {
	APPROVAL_OPEN = 1,
	APPROVAL_REJECTED,
	APPROVAL_EXECUTED,
	APPROVAL_EXPIRED,	/* as maintenance found it; until then OPEN */
};

/* What is asked.  Text is borrowed. */
struct approval_content {
	const char *action;	/* guarded_name() */
	const uint8_t *requester; /* id of an identity */
	const char *cluster;	/* NULL: none */
	const char *method;
	const char *path;	/* with its query, percent-encoded */
	const char *body;	/* canonical JSON, or "" */
};
/* SHA-256 over all of it: what approvers confirm.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code approval_digest(const struct approval_content *content,
    uint8_t digest[static APPROVAL_DIGEST_SIZE], struct err *err);

struct approval_decision {
	uint8_t identity[IDENTITY_ID_SIZE];
	bool consents;		/* else rejects */
	int64_t time;		/* seconds */
	char *name;		/* of the identity */
	char *reason;		/* of a rejection, or "" */
};

struct approval {
	uint8_t id[APPROVAL_ID_SIZE];	/* begins with its time: listed by it */
	enum approval_state state;
	uint8_t requester[IDENTITY_ID_SIZE];
	char *requester_name;
	char *action, *cluster, *method, *path, *body; /* cluster: or NULL */
	uint8_t digest[APPROVAL_DIGEST_SIZE];
	int64_t created, expires;	/* seconds */
	int64_t ended;			/* seconds; 0 while OPEN */
	struct approval_decision decisions[APPROVAL_DECISIONS_MAX];
	size_t decisions_count;
	uint64_t revision;
};
void approval_free(struct approval *approval);
DEFINE_CLEANUP(approval, approval_free)

/* Neither decided nor over at NOW. */
bool approval_is_open(const struct approval *approval, int64_t now);

/*
 * The latest with this DIGEST, or NULL.  *index_out goes to approval_create, so that
 * of two requests that meet one gets through.  Errors: ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code approval_find_digest(struct store *store,
    const uint8_t digest[static APPROVAL_DIGEST_SIZE],
    struct approval **approval_out, uint64_t *index_out, struct err *err);
/* Errors: ERR_NOT_FOUND, ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code approval_get(struct store *store,
    const uint8_t id[static APPROVAL_ID_SIZE], struct approval **approval_out,
    struct err *err);
/* A page after the id AFTER (NULL: from the start), oldest first; their revision
 * is 0. */
MUST_CHECK enum err_code approval_list(struct store *store,
    const uint8_t *after, size_t limit, struct approval **approvals,
    size_t *count_out, struct err *err);

/* Adds to BATCH what CONTENT asks, for RULE's time from now.
 * Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code approval_create(struct batch *batch,
    const struct approval_content *content, const char *requester_name,
    const struct approver_rule *rule, uint64_t index,
    struct approval **approval_out, struct err *err);

/* Who decides, by which rule. */
struct approval_judge {
	const struct approver_rule *rule;
	const struct role_set *roles;
	const struct identity *identity;
};
/*
 * Adds the consent of JUDGE, who confirms DIGEST, to BATCH, and nothing where they
 * have given it before.  Depends on the record as read; the caller sees to it that it
 * depends on the identity as well.
 * Errors: ERR_POLICY: it is over, the digest is another's, or their own request;
 * ERR_FORBIDDEN: they are none of the approvers.
 */
MUST_CHECK enum err_code approval_consent(struct batch *batch,
    struct approval *approval, const struct approval_judge *judge,
    const uint8_t digest[static APPROVAL_DIGEST_SIZE], struct err *err);
/* Adds a rejection, which ends it; the requester's own too.  Errors: as above. */
MUST_CHECK enum err_code approval_reject(struct batch *batch,
    struct approval *approval, const struct approval_judge *judge,
    const char *reason, struct err *err);

/*
 * Counts the consents that hold now: of others than the requester, each identity
 * and each name once, by RULE.  Makes BATCH, where it is not NULL, depend on the
 * identities counted.  Errors: ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code approval_count(struct store *store,
    const struct approval *approval, const struct approver_rule *rule,
    const struct role_set *roles, struct batch *batch, unsigned *count_out,
    struct err *err);

/* Add to BATCH, guarded by the record's revision: its end as STATE, and the way
 * back from EXECUTED to OPEN.  APPROVAL is then as it will be. */
void approval_end(struct batch *batch, struct approval *approval,
    enum approval_state state);
void approval_reopen(struct batch *batch, struct approval *approval);

/* Adds to BATCH that APPROVAL, whose end is long past, is forgotten.
 * Errors: ERR_STORE. */
MUST_CHECK bool approval_is_old(const struct approval *approval, int64_t now);
MUST_CHECK enum err_code approval_forget(struct store *store,
    struct batch *batch, const struct approval *approval, struct err *err);

#endif
