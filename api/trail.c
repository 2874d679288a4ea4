// SPDX-License-Identifier: Apache-2.0
#include "api/trail.h"

#include "api/api.h"
#include "api/authn.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "store/alias.h"

/* Of one caller: ten a second in the long run, a hundred at once. */
static const struct config_rate refusal_rate = {
    .interval_us = 100000, .burst = 100};

void trail_add(const struct exchange *x, struct batch *batch,
    const struct audit_entry *entry)
{
	struct audit_entry whole = *entry;
	if (whole.result == NULL)
		whole.result = "granted";
	/* What has no policy behind it is granted by a role. */
	if (whole.rule == NULL && x->route != NULL)
		whole.rule = permission_name(x->route->permission);
	if (whole.cluster == NULL)
		whole.cluster = x->params.cluster;
	whole.actor = x->caller.id;
	whole.source = x->source;
	whole.request_id = x->request_id;
	batch_audit(batch, &whole);
}

bool trail_is_read(const struct exchange *x)
{
	return x->route->method == METHOD_GET &&
	    x->route->permission != PERM_PUBLIC;
}

enum err_code trail_read(const struct exchange *x, struct err *err)
{
	/* What was asked for in the query may be private: it stays out. */
	OWNED_STR(detail) = mem_printf("GET %s%s", x->route->path,
	    x->revealed ? ", private names told" : "");
	const struct audit_entry entry = {
	    .action = permission_name(x->route->permission),
	    .object = x->params.item,
	    .detail = detail,
	};
	enum err_code code;
	unsigned attempt = 0;
	do {
		OWNED(batch) batch = batch_new();
		trail_add(x, batch, &entry);
		code = authn_commit(x, batch, err);
	} while (api_again(code, &attempt));
	return code;
}

bool trail_wants(const struct exchange *x, const struct err *err)
{
	if (x->route == NULL || x->caller.id == NULL)
		return false;
	return x->denied || err->code == ERR_FORBIDDEN ||
	    err->code == ERR_POLICY || err->code == ERR_QUARANTINED ||
	    err->code == ERR_UNAUTHENTICATED ||
	    err->code == ERR_UNWRAP;
}

void trail_refusal(const struct exchange *x, const struct err *err)
{
	struct bytes caller = BYTES_STR(x->caller.id);
	if (limit_take(x->app->limits.refusals, &refusal_rate, caller,
		clock_mono_us()) > 0) {
		metrics_count(METRIC_REFUSALS_NOT_AUDITED);
		return;
	}
	OWNED(batch) batch = batch_new();
	struct err failed = {0};
	const struct audit_entry entry = {
	    .action = permission_name(x->route->permission),
	    .result = "refused",
	    .object = x->params.item,
	    .rule = err_slug(err->code),
	    .detail = err_kept(err),
	};
	trail_add(x, batch, &entry);
	if (x->withheld != NULL)
		alias_put(x->app->store, batch, x->withheld);
	if (store_commit(x->app->store, batch, &failed) != ERR_OK) {
		log_err(LOG_ERROR, "refusal not audited", &failed);
		metrics_count(METRIC_REFUSALS_NOT_AUDITED);
		return;
	}
	metrics_count(METRIC_REFUSALS_AUDITED);
}
