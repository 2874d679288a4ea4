// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"
#include "api/openapi.h"
#include "api/auditor.h"
#include "api/scrubber.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/json.h"
#include "config.h"

enum err_code handle_openapi(struct exchange *x, struct err *err)
{
	(void)err;
	reply_text(&x->reply, MHD_HTTP_OK, openapi_json);
	x->reply.type = "application/json";
	return ERR_OK;
}

static json_t *view_hsm(const struct app *app)
{
	struct hsm_stats stats;
	hsm_stats(app->hsm, &stats);
	json_t *json = json_object();
	view_set(json, "workers", json_integer(stats.workers));
	view_set(json, "restarts", json_integer((json_int_t)stats.restarts));
	view_set(json, "available",
	    json_boolean(stats.workers > 0 && !stats.breaker_open));
	return json;
}

static json_t *view_scrub(const struct app *app)
{
	struct scrubber_stats stats = scrubber_stats(app->scrubber);
	json_t *json = json_object();
	view_set(json, "rows", json_integer((json_int_t)stats.rows));
	view_set(json, "total", json_integer((json_int_t)stats.total));
	if (stats.last != 0)
		view_set_time(json, "last_pass", stats.last);
	return json;
}

static json_t *view_store(const struct app *app)
{
	struct store_stats stats;
	store_stats(app->store, &stats);
	json_t *json = json_object();
	view_set(json, "writable", json_boolean(stats.writable));
	view_set(json, "used", json_integer((json_int_t)stats.used));
	view_set(json, "map_size", json_integer((json_int_t)stats.map_size));
	view_set(json, "amiss", json_integer((json_int_t)stats.amiss));
	view_set(json, "scrub", view_scrub(app));
	return json;
}

static json_t *view_witnesses(const struct auditor_stats *stats)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < stats->count; i++) {
		json_t *json = json_object();
		view_set_text(json, "name", stats->witnesses[i].name);
		view_set(json, "entries",
		    json_integer((json_int_t)stats->witnesses[i].entries));
		view_set(json, "behind",
		    json_integer((json_int_t)stats->witnesses[i].behind));
		view_set(json, "failing",
		    json_boolean(stats->witnesses[i].failing));
		json_array_append_new(array, json);
	}
	return array;
}

static json_t *view_audit_status(const struct app *app)
{
	struct auditor_stats stats;
	auditor_stats(app->auditor, &stats);
	json_t *json = json_object();
	view_set(json, "checkpoint_entries",
	    json_integer((json_int_t)stats.entries));
	if (stats.time_ms != 0)
		view_set_time(json, "checkpoint_time", stats.time_ms / 1000);
	view_set(json, "checkpoint_failing", json_boolean(stats.failing));
	view_set(json, "witnesses", view_witnesses(&stats));
	return json;
}

static json_t *view_issuer_status(
    const struct app *app, const struct issuer *issuer)
{
	OWNED(crl) crl = crl_current(app->publisher, issuer->id);
	json_t *json = json_object();
	view_set_text(json, "id", issuer->id);
	view_set_text(json, "state",
	    issuer->state == ISSUER_ACTIVE ? "active"
	    : issuer->state == ISSUER_CRL_ONLY ? "crl-only" : "retired");
	view_set_time(json, "not_after", issuer->not_after);
	if (crl != NULL) {
		view_set(json, "crl_number",
		    json_integer((json_int_t)crl->number));
		view_set_time(json, "crl_next_update", crl->next_update);
	}
	return json;
}

static json_t *view_issuers(const struct app *app)
{
	OWNED(issuer_set) issuers = ca_issuers(app->ca);
	json_t *array = json_array();
	for (size_t i = 0; i < issuer_set_count(issuers); i++)
		json_array_append_new(array,
		    view_issuer_status(app, issuer_set_at(issuers, i)));
	return array;
}

enum err_code handle_status(struct exchange *x, struct err *err)
{
	const struct app *app = x->app;
	struct audit_head head;
	uint64_t certificates = 0;
	enum err_code code = store_count(
	    app->store, TABLE_CERTIFICATES, &certificates, err);
	if (code == ERR_OK)
		code = audit_head(app->store, &head, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = json_object();
	view_set_text(json, "version", PACKAGE_VERSION);
	view_set_text(json, "instance", app->instance);
	view_set(json, "uptime_seconds",
	    json_integer(clock_now() - app->started));
	view_set(json, "hsm", view_hsm(app));
	view_set(json, "store", view_store(app));
	view_set(json, "audit", view_audit_status(app));
	view_set(json, "issuers", view_issuers(app));
	view_set(json, "certificates",
	    json_integer((json_int_t)certificates));
	view_set(json, "audit_sequence",
	    json_integer((json_int_t)head.sequence));
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
