// SPDX-License-Identifier: Apache-2.0
#include "api/gate.h"

#include <string.h>
#include "api/metrics.h"
#include "api/ops.h"
#include "api/public.h"
#include "base/clock.h"
#include "policies/cluster.h"
#include "policies/names.h"

/* Lines about one source: one a second, ten at once. */
static const struct config_rate log_rate = {
    .interval_us = 1000000, .burst = 10};

/* ---- From where ---- */

bool gate_admits(const struct app *app, const struct service *service,
    const struct ip *source)
{
	const struct config *config = app_live(app);
	const struct config_ranges *ranges = &config->access.api;
	if (service == &public_service)
		ranges = &config->access.public;
	else if (service == &ops_service)
		ranges = &config->access.ops;
	return cidrs_admit(ranges->items, ranges->count, source);
}

uint32_t gate_roles(
    const struct app *app, uint32_t roles, const struct ip *source)
{
	const struct config *config = app_live(app);
	const struct {
		enum role role;
		const struct config_ranges *ranges;
	} all[] = {
	    {ROLE_ADMIN, &config->access.roles.admin},
	    {ROLE_OPERATOR, &config->access.roles.operator},
	    {ROLE_KEY_OFFICER, &config->access.roles.key_officer},
	    {ROLE_AUDITOR, &config->access.roles.auditor},
	    {ROLE_NODE, &config->access.roles.node},
	    {ROLE_KMS, &config->access.roles.kms},
	    {ROLE_KEY_USER, &config->access.roles.kms},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!cidrs_admit(all[i].ranges->items, all[i].ranges->count,
			source))
			roles &= ~(uint32_t)all[i].role;
	return roles;
}

enum err_code gate_check_cluster(struct exchange *x, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	if (x->caller.cluster == NULL)
		return ERR_OK;
	enum err_code code =
	    cluster_get(x->app->store, x->caller.cluster, &cluster, err);
	if (code != ERR_OK)
		return code;
	code = cluster_check_source(cluster, &x->caller.source, err);
	if (code == ERR_FORBIDDEN) {
		metrics_turned(TURNED_CLUSTER);
		x->denied = true;
	}
	return code;
}

/* ---- How often ---- */

static enum err_code refuse(struct exchange *x, int64_t wait_us,
    enum metrics_turned by, struct err *err)
{
	static const char *const whats[TURNED_COUNT] = {
		[TURNED_SOURCE] = "requests from this address",
		[TURNED_FAILURES] = "refused credentials from this address",
		[TURNED_IDENTITY] = "requests of this caller",
		[TURNED_NEW] = "new certificates for this cluster",
		[TURNED_NAMES] = "certificates for the same names",
		[TURNED_PUBLIC] = "requests from this address",
		[TURNED_OCSP_SIGNED] =
		    "OCSP requests from this address that need a signature",
	};
	x->reply.retry_after = limit_retry_after(wait_us);
	metrics_turned(by);
	return err_refuse(err, ERR_RATE_LIMITED,
	    "Too many %s; send it again in %u s", whats[by],
	    x->reply.retry_after);
}

/* One limit, its rate, and what a request too many is counted as. */
struct gate {
	struct limit *limit;
	const struct config_rate *rate;
	enum metrics_turned by;
};

static enum err_code take(struct exchange *x, const struct gate *gate,
    struct bytes key, struct err *err)
{
	int64_t wait_us =
	    limit_take(gate->limit, gate->rate, key, clock_mono_us());
	return wait_us == 0 ? ERR_OK : refuse(x, wait_us, gate->by, err);
}

static enum err_code take_source(
    struct exchange *x, const struct gate *gate, struct err *err)
{
	struct ip source = ip_source(&x->caller.source);
	return take(x, gate, BYTES(source.octets, source.len), err);
}

enum err_code gate_nobody(struct exchange *x, struct err *err)
{
	const struct gate gate = {x->app->limits.source,
	    &app_live(x->app)->limits.rate.source, TURNED_SOURCE};
	return take_source(x, &gate, err);
}

enum err_code gate_identity(struct exchange *x, struct err *err)
{
	const struct gate gate = {x->app->limits.identity,
	    &app_live(x->app)->limits.rate.identity, TURNED_IDENTITY};
	if (x->caller.id == NULL)
		return ERR_OK;
	return take(x, &gate, BYTES_STR(x->caller.id), err);
}

enum err_code gate_public(struct exchange *x, struct err *err)
{
	const struct gate gate = {x->app->limits.public,
	    &app_live(x->app)->limits.rate.public, TURNED_PUBLIC};
	return take_source(x, &gate, err);
}

enum err_code gate_ocsp_signature(struct exchange *x, struct err *err)
{
	const struct gate gate = {x->app->limits.ocsp_signed,
	    &app_live(x->app)->limits.rate.ocsp_signed, TURNED_OCSP_SIGNED};
	return take_source(x, &gate, err);
}

enum err_code gate_failed(struct exchange *x, struct err *err)
{
	const struct gate gate = {x->app->limits.failures,
	    &app_live(x->app)->limits.rate.failures, TURNED_FAILURES};
	struct err limited = {0};
	enum err_code code = take_source(x, &gate, &limited);
	if (code == ERR_OK)
		return err->code;
	*err = limited;
	return code;
}

bool gate_may_log(const struct exchange *x)
{
	struct ip source = ip_source(&x->caller.source);
	bool may = limit_take(x->app->limits.log, &log_rate,
		       BYTES(source.octets, source.len),
		       clock_mono_us()) == 0;
	if (!may)
		metrics_turned(TURNED_LOG);
	return may;
}

/* The same for the same names in whatever order. */
static uint64_t hash_names(const struct names *names)
{
	uint64_t sum = names->common_name == NULL
	    ? 0 : limit_hash(BYTES_STR(names->common_name));
	for (size_t i = 0; i < names->sans_count; i++)
		sum += limit_hash(BYTES_STR(names->sans[i].text)) *
		    (2 * (uint64_t)names->sans[i].kind + 3);
	return sum;
}

enum err_code gate_certificate(
    struct exchange *x, const struct gate_order *order, struct err *err)
{
	const struct config *config = app_live(x->app);
	const struct gate names = {x->app->limits.names,
	    &config->limits.rate.names, TURNED_NAMES};
	const struct gate cluster = {x->app->limits.cluster,
	    &config->limits.rate.cluster, TURNED_NEW};
	const uint64_t key[] = {limit_hash(BYTES_STR(order->cluster)),
	    limit_hash(BYTES_STR(order->profile)), hash_names(order->names),
	    order->renewal};
	enum err_code code = take(x, &names, BYTES(key, sizeof(key)), err);
	if (code != ERR_OK || order->renewal)
		return code;
	return take(x, &cluster, BYTES_STR(order->cluster), err);
}
