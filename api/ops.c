// SPDX-License-Identifier: Apache-2.0
#include "api/ops.h"

#include <string.h>
#include "api/auditor.h"
#include "api/metrics.h"
#include "api/peer.h"
#include "api/view.h"
#include "api/scrubber.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "config.h"

enum what { WHAT_HEALTH, WHAT_READY, WHAT_METRICS };

static enum err_code ops_begin(
    struct exchange *x, const char *method, struct err *err)
{
	static const char *const paths[] = {
	    [WHAT_HEALTH] = "/healthz",
	    [WHAT_READY] = "/readyz",
	    [WHAT_METRICS] = "/metrics",
	};
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		if (strcmp(x->text, paths[i]) != 0)
			continue;
		x->what = i;
		if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		    strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
			return ERR_OK;
		x->reply.allow = "GET, HEAD";
		return err_refuse(err, ERR_BAD_METHOD,
		    "This path has the methods GET and HEAD");
	}
	return err_refuse(
	    err, ERR_NOT_FOUND, "Here are /healthz, /readyz and /metrics");
}

struct readiness ops_readiness(struct app *app)
{
	struct store_stats store;
	struct hsm_stats hsm;
	store_stats(app->store, &store);
	hsm_stats(app->hsm, &hsm);
	return (struct readiness){
	    .stopping = atomic_load(&app->stopping),
	    .store = !store.writable,
	    .hsm = hsm.breaker_open || hsm.workers == 0 ||
		!atomic_load(&app->hsm_answers),
	    .crl = !crl_all_fresh(app->publisher, clock_now()),
	};
}

/* Told, but no reason not to serve: the log itself is whole. */
static const char *audit_state(const struct app *app)
{
	struct auditor_stats stats;
	auditor_stats(app->auditor, &stats);
	if (stats.failing)
		return "checkpoint not signed";
	return auditor_is_behind(&stats) ? "a witness is behind" : "ok";
}

static void answer_ready(struct exchange *x)
{
	struct readiness amiss = ops_readiness(x->app);
	OWNED_JSON(json) = json_object();
	bool ready =
	    !amiss.stopping && !amiss.store && !amiss.hsm && !amiss.crl;
	view_set(json, "ready", json_boolean(ready));
	view_set_text(json, "server", amiss.stopping ? "stopping" : "ok");
	view_set_text(json, "store", amiss.store ? "takes no writes" : "ok");
	view_set_text(json, "hsm", amiss.hsm ? "does not answer" : "ok");
	view_set_text(json, "crl", amiss.crl ? "stale or missing" : "ok");
	view_set_text(json, "audit", audit_state(x->app));
	reply_json(&x->reply,
	    ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, json);
}

static void gauge(
    struct buf *out, const char *name, const char *help, double value)
{
	metrics_head(out, name, "gauge", help);
	buf_printf(out, "%s %.15g\n", name, value);
}

static void total(
    struct buf *out, const char *name, const char *help, uint64_t value)
{
	metrics_head(out, name, "counter", help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_process(const struct app *app, struct buf *out)
{
	metrics_head(out, "signet_build_info", "gauge", "Always 1.");
	buf_printf(out, "signet_build_info{version=\"%s\"} 1\n",
	    PACKAGE_VERSION);
	gauge(out, "signet_start_time_seconds",
	    "When this process started to serve.", (double)app->started);
	gauge(out, "signet_requests_in_flight", "Requests being answered.",
	    atomic_load(&app->exchanges));
	gauge(out, "signet_clusters_quarantined",
	    "Clusters for which nothing is issued or used until released.",
	    atomic_load(&app->quarantined));
	gauge(out, "signet_secret_memory_bytes", "Locked memory in use.",
	    (double)secret_heap_used());
	gauge(out, "signet_tls_certificate_not_after_timestamp_seconds",
	    "End of the API listener's certificate.",
	    (double)tls_validity(app->tls).not_after);
}

static void write_jobs(const struct app *app, struct buf *out)
{
	static const struct {
		const char *name, *type, *help;
	} rows[] = {
	    {"signet_jobs_waiting", "gauge", "Jobs in the queue."},
	    {"signet_jobs_running", "gauge", "Jobs on threads."},
	    {"signet_jobs_total", "counter", "Jobs done."},
	    {"signet_jobs_shed_total", "counter",
		"Requests refused because the queue was full."},
	    {"signet_jobs_expired_total", "counter",
		"Jobs that waited past their deadline."},
	};
	struct jobs_stats api, public;
	jobs_stats(app->jobs, &api);
	jobs_stats(app->public_jobs, &public);
	const uint64_t values[ARRAY_LEN(rows)][2] = {
	    {api.waiting, public.waiting},
	    {api.running, public.running},
	    {api.done, public.done},
	    {api.shed, public.shed},
	    {api.expired, public.expired},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metrics_head(out, rows[i].name, rows[i].type, rows[i].help);
		buf_printf(out,
		    "%s{listener=\"api\"} %llu\n"
		    "%s{listener=\"public\"} %llu\n",
		    rows[i].name, (unsigned long long)values[i][0],
		    rows[i].name, (unsigned long long)values[i][1]);
	}
}

static void write_sign_durations(
    const struct hsm_stats *stats, struct buf *out)
{
	static const char name[] = "signet_hsm_sign_duration_seconds";
	unsigned long long total = 0;
	metrics_head(out, name, "histogram",
	    "Time of signatures by the token, waiting for a worker included.");
	for (size_t i = 0; i < HSM_SIGN_CLASSES - 1; i++) {
		total += stats->signatures[i];
		buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name,
		    (double)hsm_sign_bounds_us[i] / 1e6, total);
	}
	total += stats->signatures[HSM_SIGN_CLASSES - 1];
	buf_printf(out,
	    "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
	    total, name, (double)stats->sign_us / 1e6, name, total);
}

static void write_hsm(const struct app *app, struct buf *out)
{
	struct hsm_stats stats;
	hsm_stats(app->hsm, &stats);
	gauge(out, "signet_hsm_up", "1 when the token can be used.",
	    stats.workers > 0 && !stats.breaker_open ? 1 : 0);
	gauge(out, "signet_hsm_sessions",
	    "Worker processes that are logged in.", stats.workers);
	gauge(out, "signet_hsm_breaker_open",
	    "1 while the token is given up for a moment.",
	    stats.breaker_open ? 1 : 0);
	total(out, "signet_hsm_worker_restarts_total",
	    "Workers started again.", stats.restarts);
	total(out, "signet_hsm_operations_total", "Operations asked of it.",
	    stats.operations);
	total(out, "signet_hsm_failures_total", "Operations that failed.",
	    stats.failures);
	write_sign_durations(&stats, out);
}

static void write_store(const struct app *app, struct buf *out)
{
	struct store_stats stats;
	store_stats(app->store, &stats);
	gauge(out, "signet_store_writable", "0 once its disk has failed.",
	    stats.writable ? 1 : 0);
	gauge(out, "signet_store_used_bytes", "Octets of the map in use.",
	    (double)stats.used);
	gauge(out, "signet_store_map_bytes", "Octets of the map.",
	    (double)stats.map_size);
	total(out, "signet_store_commits_total", "Durable writes.",
	    stats.commits);
	total(out, "signet_store_batches_total",
	    "Changes that the durable writes carried.", stats.batches);
	total(out, "signet_store_amiss_total",
	    "Rows and tables that are not as they were written.", stats.amiss);
	struct scrubber_stats scrub = scrubber_stats(app->scrubber);
	total(out, "signet_store_scrub_rows_total",
	    "Rows looked at in the background.", scrub.looked);
	gauge(out, "signet_store_scrub_last_pass_seconds",
	    "When the last look at every row ended, since 1970; 0: never.",
	    (double)scrub.last);
}

/* As a label's value (Prometheus text format). */
static void put_label(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\')
			buf_printf(out, "\\%c", *text);
		else if (*text == '\n')
			buf_put_str(out, "\\n");
		else
			buf_put_u8(out, (uint8_t)*text);
}

static void write_witnesses(
    const struct auditor_stats *stats, bool behind, struct buf *out)
{
	const char *name = behind ? "signet_audit_witness_behind_entries"
				  : "signet_audit_witness_failing";
	metrics_head(out, name, "gauge",
	    behind ? "Covered audit entries that a witness lacks."
		   : "1 while a witness takes nothing.");
	for (unsigned i = 0; i < stats->count; i++) {
		buf_printf(out, "%s{witness=\"", name);
		put_label(out, stats->witnesses[i].name);
		buf_printf(out, "\"} %llu\n",
		    (unsigned long long)(behind
			    ? stats->witnesses[i].behind
			    : stats->witnesses[i].failing));
	}
}

static void write_witness_processes(
    const struct auditor_stats *stats, struct buf *out)
{
	static const char name[] = "signet_audit_witness_process_losses_total";
	metrics_head(out, name, "counter",
	    "Ends of the process that tells a witness; it is started again.");
	for (unsigned i = 0; i < stats->count; i++) {
		if (!stats->witnesses[i].is_process)
			continue;
		buf_printf(out, "%s{witness=\"", name);
		put_label(out, stats->witnesses[i].name);
		buf_printf(out, "\"} %llu\n",
		    (unsigned long long)stats->witnesses[i].losses);
	}
}

static void write_audit(const struct app *app, struct buf *out)
{
	struct auditor_stats stats;
	auditor_stats(app->auditor, &stats);
	gauge(out, "signet_audit_checkpoint_entries",
	    "Audit entries that the last signed checkpoint covers.",
	    (double)stats.entries);
	gauge(out, "signet_audit_checkpoint_timestamp_seconds",
	    "When the last checkpoint was signed.",
	    (double)stats.time_ms / 1000);
	gauge(out, "signet_audit_checkpoint_failing",
	    "1 while no checkpoint can be signed.", stats.failing ? 1 : 0);
	write_witnesses(&stats, true, out);
	write_witnesses(&stats, false, out);
	write_witness_processes(&stats, out);
}

static void write_ocsp(const struct app *app, struct buf *out)
{
	struct ocsp_stats stats;
	ocsp_stats(app->ocsp, &stats);
	total(out, "signet_ocsp_cache_hits_total",
	    "OCSP answers from the cache.", stats.hits);
	total(out, "signet_ocsp_signed_total", "OCSP answers signed.",
	    stats.signed_responses);
	total(out, "signet_ocsp_unknown_total",
	    "OCSP questions about serials never issued.", stats.unknown);
	gauge(out, "signet_ocsp_cache_entries", "OCSP answers kept.",
	    (double)stats.entries);
}

/* Lines of one metric stand together, so each is a walk over the issuers. */
enum issuer_metric { CA_END, CRL_MADE, CRL_END, CRL_NUMBER, CRL_ENTRIES };

static double crl_value(const struct crl *crl, enum issuer_metric metric)
{
	switch (metric) {
	case CRL_MADE:
		return (double)crl->this_update;
	case CRL_END:
		return (double)crl->next_update;
	case CRL_NUMBER:
		return (double)crl->number;
	case CRL_ENTRIES:
		return (double)crl->entries;
	case CA_END:
		break;
	}
	return 0;
}

static void write_issuers(const struct app *app, struct buf *out)
{
	static const struct {
		enum issuer_metric metric;
		const char *name, *help;
	} rows[] = {
	    {CA_END, "signet_ca_not_after_timestamp_seconds",
		"End of an issuer's certificate."},
	    {CRL_MADE, "signet_crl_this_update_timestamp_seconds",
		"When an issuer's CRL was made."},
	    {CRL_END, "signet_crl_next_update_timestamp_seconds",
		"When an issuer's CRL goes stale."},
	    {CRL_NUMBER, "signet_crl_number", "Number of an issuer's CRL."},
	    {CRL_ENTRIES, "signet_crl_revoked_certificates",
		"Entries of an issuer's CRL."},
	};
	OWNED(issuer_set) issuers = ca_issuers(app->ca);
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		metrics_head(out, rows[r].name, "gauge", rows[r].help);
		for (size_t i = 0; i < issuer_set_count(issuers); i++) {
			const struct issuer *issuer =
			    issuer_set_at(issuers, i);
			OWNED(crl) crl =
			    crl_current(app->publisher, issuer->id);
			if (rows[r].metric != CA_END && crl == NULL)
				continue;
			buf_printf(out, "%s{issuer=\"%s\"} %.15g\n",
			    rows[r].name, issuer->id,
			    rows[r].metric == CA_END
				? (double)issuer->not_after
				: crl_value(crl, rows[r].metric));
		}
	}
}

static void answer_metrics(struct exchange *x)
{
	struct buf *out = &x->reply.body;
	x->reply.status = MHD_HTTP_OK;
	x->reply.type = "text/plain; version=0.0.4; charset=utf-8";
	write_process(x->app, out);
	metrics_write(out);
	write_jobs(x->app, out);
	write_hsm(x->app, out);
	write_store(x->app, out);
	write_audit(x->app, out);
	write_ocsp(x->app, out);
	write_issuers(x->app, out);
}

static enum err_code ops_answer(
    struct exchange *x, bool *later_out, struct err *err)
{
	(void)later_out, (void)err;
	switch ((enum what)x->what) {
	case WHAT_HEALTH:
		reply_text(&x->reply, MHD_HTTP_OK, "ok\n");
		break;
	case WHAT_READY:
		answer_ready(x);
		break;
	case WHAT_METRICS:
		answer_metrics(x);
		break;
	}
	return ERR_OK;
}

static enum err_code ops_work(struct exchange *x, struct err *err)
{
	(void)x;
	return err_fail(err, ERR_INTERNAL, "nothing here waits");
}

static void ops_refuse(struct exchange *x, const struct err *err)
{
	unsigned status = reply_status(err->code);
	reply_text(&x->reply, status,
	    status < 500 ? err->detail : err_title(err->code));
	buf_put_str(&x->reply.body, "\n");
}

static void ops_finished(struct exchange *x, int64_t duration_us)
{
	metrics_plain_request(METRICS_OPS, x->reply.status);
	LOG(DEBUG, "ops request", LOG_STR("method", x->method),
	    LOG_NUM("status", x->reply.status),
	    LOG_NUM("duration_us", duration_us));
}

const struct service ops_service = {
    .name = "ops",
    .target_max = 256,
    .begin = ops_begin,
    .answer = ops_answer,
    .work = ops_work,
    .refuse = ops_refuse,
    .finished = ops_finished,
};
