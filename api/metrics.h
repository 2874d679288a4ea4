// SPDX-License-Identifier: Apache-2.0
/* What this process has done, counted without locks, for GET /metrics. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdint.h>
#include "api/route.h"
#include "base/buf.h"

enum metric {
	METRIC_AUTHENTICATION_FAILURES,
	METRIC_REFUSALS_AUDITED,
	METRIC_REFUSALS_NOT_AUDITED,
	METRIC_STORE_RETRIES,
	METRIC_SLOW_CONNECTIONS,
	METRIC_REPEATED_CERTIFICATES,
	METRIC_REVOCATIONS,
	METRIC_DATA_KEYS,
	METRIC_UNWRAPS,
	METRIC_COUNT
};
void metrics_count(enum metric metric);
uint64_t metrics_value(enum metric metric);

/* A request of the API; ROUTE may be NULL. */
void metrics_request(
    const struct route *route, unsigned status, int64_t duration_us);
/* A request of another listener. */
enum metrics_listener { METRICS_PUBLIC, METRICS_OPS, METRICS_LISTENERS };
void metrics_plain_request(enum metrics_listener listener, unsigned status);

/* How requests for certificates ended; PROFILE is one of a policy. */
enum metrics_issue { ISSUE_GRANTED, ISSUE_REFUSED, ISSUE_FAILED, ISSUE_RESULTS };
void metrics_issued(const char *profile, enum metrics_issue result);

/* What was turned away for who or how many it was, by what did so. */
enum metrics_turned {
	TURNED_LISTENER,	/* by access.api, .public, .ops, at accept */
	TURNED_ROLE,		/* a role did not count from this address */
	TURNED_CLUSTER,		/* by the source ranges of a cluster */
	TURNED_QUARANTINE,
	TURNED_CONNECTIONS,	/* at accept: limits.connections */
	TURNED_SOURCE_CONNECTIONS, /* at accept: limits.connections_per_ip */
	TURNED_HANDSHAKES,	/* ended: limits.handshakes */
	TURNED_STALLED,		/* ended for those who came after it */
	TURNED_SOURCE,		/* limits.rate.* */
	TURNED_FAILURES,
	TURNED_IDENTITY,
	TURNED_NEW,
	TURNED_NAMES,
	TURNED_PUBLIC,
	TURNED_OCSP_SIGNED,
	TURNED_LOG,		/* lines of refused authentication */
	TURNED_COUNT
};
void metrics_turned(enum metrics_turned by);
uint64_t metrics_turned_value(enum metrics_turned by);

/* The age of an OCSP response that was given out. */
void metrics_ocsp_age(int64_t seconds);

/* Appends all of it in the Prometheus text format. */
void metrics_write(struct buf *out);
/* Appends the lines that introduce a metric. */
void metrics_head(struct buf *out, const char *name, const char *type,
    const char *help);

#endif
