// SPDX-License-Identifier: Apache-2.0
/* Names that two clusters own both: each could have the other's certificates. */
#ifndef POLICIES_OVERLAP_H
#define POLICIES_OVERLAP_H

#include "policies/cluster.h"

/* Is there a DNS name that both patterns match?  Both are lower-case. */
bool overlap_dns(const char *a, const char *b);
bool overlap_ip(const struct cidr *a, const struct cidr *b);

/*
 * Calls EACH, at most LIMIT times, with a line for each pattern or range of
 * CLUSTER that meets one of another active cluster: "*.a.example is also of
 * cluster orders".  The text is borrowed during the call.
 * Errors: ERR_STORE, ERR_CORRUPT.
 */
typedef void overlap_each(const char *text, void *arg);
MUST_CHECK enum err_code overlap_find(struct store *store,
    const struct cluster *cluster, size_t limit, overlap_each *each, void *arg,
    struct err *err);

#endif
