// SPDX-License-Identifier: Apache-2.0
/* How far a cluster is open: where its callers come from, and quarantine. */
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/maintain.h"
#include "api/trail.h"
#include "api/view.h"

/* What is done to a cluster, and how the audit log names it. */
struct change {
	const char *action;
	const struct texts *from;	/* NULL: stays as it is */
	bool sets_quarantine;
	const char *reason;		/* NULL: lifts it */
	const char *detail;		/* for the log; or NULL */
};

static enum err_code apply(
    struct cluster *cluster, const struct change *change, struct err *err)
{
	enum err_code code = ERR_OK;
	if (change->from != NULL)
		code = cluster_set_from(cluster, change->from->items,
		    change->from->count, err);
	if (code == ERR_OK && change->sets_quarantine)
		code = cluster_set_quarantine(cluster, change->reason, err);
	return code;
}

static enum err_code attempt(struct exchange *x, const struct change *change,
    struct cluster **cluster_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED(batch) batch = batch_new();
	OWNED_STR(object) = mem_printf("cluster:%s", x->params.cluster);
	enum err_code code =
	    cluster_get(x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK)
		code = apply(cluster, change, err);
	if (code != ERR_OK)
		return code;
	cluster_update(batch, cluster);
	trail_add(x, batch,
	    &(struct audit_entry){.action = change->action,
		.object = object,
		.detail = change->detail});
	code = authn_commit(x, batch, err);
	if (code == ERR_OK)
		*cluster_out = GIVE(cluster);
	return code;
}

/* From the answer on, what the change refuses is refused: whatever is issued or
 * used for a cluster is committed on the condition that its record is as it
 * was read. */
static enum err_code run_change(
    struct exchange *x, const struct change *change, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	unsigned tries = 0;
	enum err_code code;
	do
		code = attempt(x, change, &cluster, err);
	while (api_again(code, &tries));
	if (code != ERR_OK)
		return code;
	if (change->sets_quarantine)
		code = maintain_count_quarantines(x->app, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_cluster(cluster);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code handle_cluster_change(struct exchange *x, struct err *err)
{
	json_t *from = NULL;
	const struct json_field fields[] = {
	    {"from", JSON_KIND_ARRAY, true, 0, CLUSTER_PATTERNS_MAX, &from},
	};
	OWNED_JSON(json) = NULL;
	OWNED_TEXTS(ranges);
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = body_texts(
		    from, "from", CLUSTER_PATTERNS_MAX, &ranges, err);
	if (code != ERR_OK)
		return code;
	const struct change change = {
	    .action = "cluster.change",
	    .from = &ranges,
	    .detail = ranges.count == 0 ? "from anywhere" : "source ranges",
	};
	return run_change(x, &change, err);
}

enum err_code handle_cluster_quarantine(struct exchange *x, struct err *err)
{
	const char *reason = NULL;
	const struct json_field fields[] = {
	    {"reason", JSON_KIND_STR, true, 1, CLUSTER_REASON_MAX, &reason},
	};
	OWNED_JSON(json) = NULL;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code != ERR_OK)
		return code;
	const struct change change = {
	    .action = "cluster.quarantine",
	    .sets_quarantine = true,
	    .reason = reason,
	    .detail = reason,
	};
	return run_change(x, &change, err);
}

/* Whom a quarantine shuts in does not end it. */
enum err_code handle_cluster_release(struct exchange *x, struct err *err)
{
	if (x->caller.cluster != NULL)
		return err_refuse(err, ERR_FORBIDDEN,
		    "A caller bound to a cluster does not lift its quarantine; "
		    "one bound to none does");
	const struct change change = {
	    .action = "cluster.release",
	    .sets_quarantine = true,
	    .detail = target_query(&x->target, "reason"),
	};
	return run_change(x, &change, err);
}
