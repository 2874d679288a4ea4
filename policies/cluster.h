// SPDX-License-Identifier: Apache-2.0
/* A cluster: the tenant.  It owns names, certificates, tokens and keys. */
#ifndef POLICIES_CLUSTER_H
#define POLICIES_CLUSTER_H

#include "base/net.h"
#include "store/store.h"

enum cluster_state { CLUSTER_ACTIVE = 1, CLUSTER_RETIRED = 2 };

struct cluster {
	char *name;		/* a label */
	char *policy;		/* name of its policy */
	char *issuer;		/* id of the issuing CA that signs for it */
	enum cluster_state state;
	int64_t created;	/* seconds */
	char **dns;		/* patterns: "db1.example.net", "*.c.example" */
	size_t dns_count;
	struct cidr *ips;	/* ranges that its certificates may name */
	size_t ips_count;
	struct cidr *from;	/* where its callers come from; none: anywhere */
	size_t from_count;
	int64_t quarantined;	/* seconds, since when; 0: it is not */
	char *quarantine_reason; /* or NULL */
	uint64_t revision;	/* of the record read */
};

#define CLUSTER_PATTERNS_MAX 64
#define CLUSTER_REASON_MAX 80	/* octets */

void cluster_free(struct cluster *cluster);
DEFINE_CLEANUP(cluster, cluster_free)

/*
 * Checks what an admin asked for: name a label, patterns valid ("*." at most
 * once and first, at least two labels behind it), ranges valid, counts bounded.
 * Patterns become lower-case, and one given twice counts once.
 * Errors: ERR_BAD_FIELD naming the value and what is allowed.
 */
struct cluster_request {
	const char *name, *policy, *issuer;
	const char *const *dns;
	size_t dns_count;
	const char *const *ips;
	size_t ips_count;
	const char *const *from;
	size_t from_count;
};
MUST_CHECK enum err_code cluster_parse(const struct cluster_request *request,
    struct cluster **cluster_out, struct err *err);

/* Adds to BATCH: the cluster, required absent.  A retired name stays taken. */
void cluster_create(struct batch *batch, const struct cluster *cluster);
/* Adds the change of state, guarded by the revision read. */
void cluster_retire(struct batch *batch, const struct cluster *cluster);

/* Change CLUSTER itself; cluster_update() then adds it to a batch.
 * Ranges replace those that were.  Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code cluster_set_from(struct cluster *cluster,
    const char *const *ranges, size_t count, struct err *err);
/* Quarantined from now on for REASON, which may be said anew; NULL lifts it.
 * Errors: ERR_BAD_FIELD: no text, too long, or with control characters. */
MUST_CHECK enum err_code cluster_set_quarantine(
    struct cluster *cluster, const char *reason, struct err *err);
/* Adds CLUSTER as it stands, guarded by the revision read. */
void cluster_update(struct batch *batch, const struct cluster *cluster);

/* May a caller of CLUSTER come from SOURCE?  Errors: ERR_FORBIDDEN. */
MUST_CHECK enum err_code cluster_check_source(
    const struct cluster *cluster, const struct ip *source, struct err *err);
/* Is anything issued or used for CLUSTER?
 * Errors: ERR_POLICY: it is retired; ERR_QUARANTINED, with the reason. */
MUST_CHECK enum err_code cluster_check_usable(
    const struct cluster *cluster, struct err *err);
/* Has BATCH refused (ERR_CONFLICT) when the cluster is no longer as read: what is
 * decided for an active cluster is not committed for a retired one. */
void cluster_require(struct batch *batch, const struct cluster *cluster);
/* Errors: ERR_NOT_FOUND (detail names the cluster), ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code cluster_get(struct store *store, const char *name,
    struct cluster **cluster_out, struct err *err);
/* A page after the name AFTER (NULL: from the start); *count_out < LIMIT at the
 * end.  Each of CLUSTERS is owned by the caller; their revision is 0. */
MUST_CHECK enum err_code cluster_list(struct store *store, const char *after,
    size_t limit, struct cluster **clusters, size_t *count_out,
    struct err *err);

#endif
