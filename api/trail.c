// SPDX-License-Identifier: Apache-2.0
#include "api/trail.h"

#include "api/metrics.h"
#include "base/clock.h"

void trail_add(const struct exchange *x, struct batch *batch,
    const struct audit_entry *entry)
{
	struct audit_entry whole = *entry;
	if (whole.result == NULL)
		whole.result = "granted";
	if (whole.cluster == NULL)
		whole.cluster = x->params.cluster;
	whole.actor = x->caller.id;
	whole.source = x->source;
	whole.request_id = x->request_id;
	batch_audit(batch, &whole);
}

enum err_code trail_commit(const struct exchange *x,
    const struct audit_entry *entry, struct err *err)
{
	OWNED(batch) batch = batch_new();
	trail_add(x, batch, entry);
	return store_commit(x->app->store, batch, err);
}

bool trail_wants(const struct exchange *x, const struct err *err)
{
	if (x->route == NULL || x->caller.kind == CALLER_ANONYMOUS)
		return false;
	return x->denied || err->code == ERR_FORBIDDEN ||
	    err->code == ERR_POLICY || err->code == ERR_UNAUTHENTICATED ||
	    err->code == ERR_UNWRAP;
}

void trail_refusal(const struct exchange *x, const struct err *err)
{
	if (!throttle_take(
		&x->app->refusals, x->caller.id, clock_mono_us())) {
		metrics_count(METRIC_REFUSALS_NOT_AUDITED);
		return;
	}
	struct err failed = {0};
	const struct audit_entry entry = {
	    .action = permission_name(x->route->permission),
	    .result = "refused",
	    .object = x->params.item,
	    .rule = err_slug(err->code),
	    .detail = err->detail,
	};
	if (trail_commit(x, &entry, &failed) != ERR_OK) {
		log_err(LOG_ERROR, "refusal not audited", &failed);
		metrics_count(METRIC_REFUSALS_NOT_AUDITED);
		return;
	}
	metrics_count(METRIC_REFUSALS_AUDITED);
}
