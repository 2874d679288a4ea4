// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RELAXED memory_order_relaxed
#define CLASSES 5 /* 1xx to 5xx */
#define PROFILES_MAX 64

typedef _Atomic uint64_t counter;

static const int64_t duration_bounds_us[] = {100, 250, 500, 1000, 2500, 5000,
    10000, 25000, 50000, 100000, 250000, 1000000, 5000000};
#define DURATION_BUCKETS (ARRAY_LEN(duration_bounds_us) + 1)

static const int64_t age_bounds_s[] = {60, 300, 900, 3600, 7200, 14400, 28800};
#define AGE_BUCKETS (ARRAY_LEN(age_bounds_s) + 1)

struct route_counts {
	counter by_class[CLASSES];
	counter buckets[DURATION_BUCKETS];
	counter sum_us;
};
/* The last stands for what met no route. */
static struct route_counts routes[ROUTE_COUNT + 1];
static counter plain[METRICS_LISTENERS][CLASSES];
static counter values[METRIC_COUNT];
static counter turned[TURNED_COUNT];
static counter age_buckets[AGE_BUCKETS], age_sum;

/* Slots are taken from the front and never given back; what finds no room is
 * counted under "other". */
static struct {
	_Atomic(char *) name;
	counter results[ISSUE_RESULTS];
} profiles[PROFILES_MAX + 1];

static void add(counter *value, uint64_t count)
{
	atomic_fetch_add_explicit(value, count, RELAXED);
}

static unsigned long long get(const counter *value)
{
	return atomic_load_explicit(value, RELAXED);
}

static size_t bucket_of(const int64_t *bounds, size_t count, int64_t value)
{
	size_t i = 0;
	while (i < count && value > bounds[i])
		i++;
	return i;
}

static size_t class_of(unsigned status)
{
	unsigned class = status / 100;
	return class >= 1 && class <= CLASSES ? class - 1 : CLASSES - 1;
}

void metrics_count(enum metric metric)
{
	add(&values[metric], 1);
}

uint64_t metrics_value(enum metric metric)
{
	return get(&values[metric]);
}

void metrics_request(
    const struct route *route, unsigned status, int64_t duration_us)
{
	struct route_counts *counts =
	    &routes[route == NULL ? ROUTE_COUNT : route - route_table];
	add(&counts->by_class[class_of(status)], 1);
	add(&counts->buckets[bucket_of(duration_bounds_us,
		ARRAY_LEN(duration_bounds_us), duration_us)], 1);
	add(&counts->sum_us, (uint64_t)duration_us);
}

void metrics_plain_request(enum metrics_listener listener, unsigned status)
{
	add(&plain[listener][class_of(status)], 1);
}

void metrics_ocsp_age(int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	add(&age_buckets[bucket_of(
		age_bounds_s, ARRAY_LEN(age_bounds_s), seconds)], 1);
	add(&age_sum, (uint64_t)seconds);
}

/* The slot of PROFILE, taken when it is new. */
static size_t profile_slot(const char *profile)
{
	char *fresh = NULL;
	size_t i;
	for (i = 0; i < PROFILES_MAX; i++) {
		char *name = atomic_load(&profiles[i].name);
		if (name == NULL && fresh == NULL)
			fresh = mem_strdup(profile);
		if (name == NULL &&
		    atomic_compare_exchange_strong(
			&profiles[i].name, &name, fresh)) {
			fresh = NULL;
			break;
		}
		if (strcmp(name, profile) == 0)
			break;
	}
	free(fresh);
	return i;
}

void metrics_issued(const char *profile, enum metrics_issue result)
{
	add(&profiles[profile_slot(profile)].results[result], 1);
}

void metrics_head(
    struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_values(struct buf *out)
{
	static const struct {
		const char *name, *help;
	} texts[METRIC_COUNT] = {
		[METRIC_AUTHENTICATION_FAILURES] = {
		    "signet_authentication_failures_total",
		    "Certificates and tokens that were not accepted."},
		[METRIC_REFUSALS_AUDITED] = {"signet_refusals_audited_total",
		    "Refusals of known callers written to the audit log."},
		[METRIC_REFUSALS_NOT_AUDITED] = {
		    "signet_refusals_not_audited_total",
		    "Refusals past the rate at which one caller's are "
		    "written."},
		[METRIC_STORE_RETRIES] = {"signet_store_retries_total",
		    "Changes tried again because a record had changed."},
		[METRIC_SLOW_CONNECTIONS] = {"signet_slow_connections_total",
		    "Connections ended because they passed their deadline."},
		[METRIC_REPEATED_CERTIFICATES] = {
		    "signet_certificates_repeated_total",
		    "Requests answered with the certificate they had got."},
		[METRIC_REVOCATIONS] = {"signet_certificates_revoked_total",
		    "Certificates revoked."},
		[METRIC_DATA_KEYS] = {"signet_data_keys_total",
		    "Data keys made."},
		[METRIC_UNWRAPS] = {"signet_unwraps_total",
		    "Data keys unwrapped."},
	};
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		metrics_head(out, texts[i].name, "counter", texts[i].help);
		buf_printf(out, "%s %llu\n", texts[i].name, get(&values[i]));
	}
}

void metrics_turned(enum metrics_turned by)
{
	add(&turned[by], 1);
}

uint64_t metrics_turned_value(enum metrics_turned by)
{
	return get(&turned[by]);
}

static void write_turned(struct buf *out)
{
	static const char *const labels[TURNED_COUNT] = {
		[TURNED_LISTENER] = "listener-range",
		[TURNED_ROLE] = "role-range",
		[TURNED_CLUSTER] = "cluster-range",
		[TURNED_QUARANTINE] = "quarantine",
		[TURNED_CONNECTIONS] = "connections",
		[TURNED_SOURCE_CONNECTIONS] = "connections-of-source",
		[TURNED_HANDSHAKES] = "handshakes",
		[TURNED_STALLED] = "stalled",
		[TURNED_SOURCE] = "rate-source",
		[TURNED_FAILURES] = "rate-failures",
		[TURNED_IDENTITY] = "rate-identity",
		[TURNED_NEW] = "rate-cluster",
		[TURNED_NAMES] = "rate-names",
		[TURNED_PUBLIC] = "rate-public",
		[TURNED_OCSP_SIGNED] = "rate-ocsp-signed",
		[TURNED_LOG] = "rate-log",
	};
	metrics_head(out, "signet_turned_away_total", "counter",
	    "Connections, requests and log lines turned away, by the limit "
	    "that did.");
	for (size_t i = 0; i < TURNED_COUNT; i++)
		buf_printf(out, "signet_turned_away_total{by=\"%s\"} %llu\n",
		    labels[i], get(&turned[i]));
}

static const char *route_label(size_t index)
{
	return index == ROUTE_COUNT ? "none" : route_table[index].path;
}

static const char *method_label(size_t index)
{
	return index == ROUTE_COUNT ? "any"
				    : method_name(route_table[index].method);
}

static void write_classes(
    struct buf *out, const counter *by_class, const char *labels)
{
	for (size_t class = 0; class < CLASSES; class++) {
		unsigned long long count = get(&by_class[class]);
		if (count > 0)
			buf_printf(out,
			    "signet_http_requests_total{%s,code=\"%zuxx\"} "
			    "%llu\n", labels, class + 1, count);
	}
}

static void write_requests(struct buf *out)
{
	static const char *const listeners[METRICS_LISTENERS] = {
	    "listener=\"public\",method=\"any\",route=\"any\"",
	    "listener=\"ops\",method=\"any\",route=\"any\""};
	metrics_head(out, "signet_http_requests_total", "counter",
	    "Requests answered.");
	for (size_t i = 0; i <= ROUTE_COUNT; i++) {
		OWNED_STR(labels) = mem_printf(
		    "listener=\"api\",method=\"%s\",route=\"%s\"",
		    method_label(i), route_label(i));
		write_classes(out, routes[i].by_class, labels);
	}
	for (size_t i = 0; i < METRICS_LISTENERS; i++)
		write_classes(out, plain[i], listeners[i]);
}

static void write_route_durations(struct buf *out, size_t index)
{
	static const char name[] = "signet_http_request_duration_seconds";
	const struct route_counts *counts = &routes[index];
	unsigned long long total = 0;
	for (size_t i = 0; i < DURATION_BUCKETS; i++)
		total += get(&counts->buckets[i]);
	if (total == 0)
		return;
	OWNED_STR(labels) = mem_printf("method=\"%s\",route=\"%s\"",
	    method_label(index), route_label(index));
	total = 0;
	for (size_t i = 0; i < ARRAY_LEN(duration_bounds_us); i++) {
		total += get(&counts->buckets[i]);
		buf_printf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels,
		    (double)duration_bounds_us[i] / 1e6, total);
	}
	total += get(&counts->buckets[DURATION_BUCKETS - 1]);
	buf_printf(out,
	    "%s_bucket{%s,le=\"+Inf\"} %llu\n"
	    "%s_sum{%s} %.6f\n%s_count{%s} %llu\n",
	    name, labels, total, name, labels,
	    (double)get(&counts->sum_us) / 1e6, name, labels, total);
}

static void write_issued(struct buf *out)
{
	static const char *const results[ISSUE_RESULTS] = {
	    "granted", "refused", "failed"};
	metrics_head(out, "signet_certificates_issued_total", "counter",
	    "Requests for certificates by how they ended.");
	for (size_t i = 0; i <= PROFILES_MAX; i++) {
		const char *name = i == PROFILES_MAX
		    ? "other" : atomic_load(&profiles[i].name);
		for (size_t r = 0; name != NULL && r < ISSUE_RESULTS; r++) {
			unsigned long long count =
			    get(&profiles[i].results[r]);
			if (count > 0)
				buf_printf(out,
				    "signet_certificates_issued_total{"
				    "profile=\"%s\",protocol=\"rest\","
				    "result=\"%s\"} %llu\n",
				    name, results[r], count);
		}
	}
}

static void write_ocsp_age(struct buf *out)
{
	static const char name[] = "signet_ocsp_response_age_seconds";
	unsigned long long total = 0;
	metrics_head(out, name, "histogram",
	    "Age of the OCSP responses given out.");
	for (size_t i = 0; i < ARRAY_LEN(age_bounds_s); i++) {
		total += get(&age_buckets[i]);
		buf_printf(out, "%s_bucket{le=\"%lld\"} %llu\n", name,
		    (long long)age_bounds_s[i], total);
	}
	total += get(&age_buckets[AGE_BUCKETS - 1]);
	buf_printf(out,
	    "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %llu\n%s_count %llu\n", name,
	    total, name, get(&age_sum), name, total);
}

void metrics_write(struct buf *out)
{
	write_requests(out);
	metrics_head(out, "signet_http_request_duration_seconds", "histogram",
	    "From the request line to the answer, by route of the API.");
	for (size_t i = 0; i <= ROUTE_COUNT; i++)
		write_route_durations(out, i);
	write_values(out);
	write_turned(out);
	write_issued(out);
	write_ocsp_age(out);
}
