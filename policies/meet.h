// SPDX-License-Identifier: Apache-2.0
/*
 * Names that two clusters could have both, by the rules of their policies.  A name
 * by a rule without "{cluster}" is anybody's, as that of a role is; one with it is
 * its cluster's alone, unless a rule of another cluster spells the same: as
 * "{identifier}@x" does in the cluster "web" what "{cluster}@x" gives to "orders".
 */
#ifndef POLICIES_MEET_H
#define POLICIES_MEET_H

#include "policies/policy.h"

/* A cluster, as far as rules go.  NAME NULL: any cluster but the other one. */
struct meet_side {
	const struct policy *policy;
	const char *name;
};

/* Is there a URI or a common name that both could have, and that is one of them's
 * by its name?  TEXT, where there is one, gets it in words, with the rules. */
bool meet_find(
    const struct meet_side *a, const struct meet_side *b, struct buf *text);

/* Logs which policies have rules by which some two clusters would meet. */
void meet_warn(const struct policy_set *policies);

/*
 * Refuses CLUSTER, which is to be made, where there is one with another that is
 * active: one could be taken for the other.
 * Errors: ERR_POLICY, ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code meet_check(struct store *store,
    const struct policy_set *policies, const struct cluster *cluster,
    struct err *err);

#endif
