// SPDX-License-Identifier: Apache-2.0
#include "api/authn.h"

#include <string.h>
#include <strings.h>
#include "api/gate.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "base/text.h"

/* RFC 9110 11.4: the scheme is of either case, one space or more behind it. */
static const char *bearer_of(const char *authorization)
{
	static const char scheme[] = "Bearer ";
	if (strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return NULL;
	return authorization + strlen(scheme) +
	    strspn(authorization + strlen(scheme), " ");
}

static void count_failure(
    const struct exchange *x, const char *kind, const char *why)
{
	metrics_count(METRIC_AUTHENTICATION_FAILURES);
	if (gate_may_log(x))
		LOG(WARN, "authentication refused", LOG_STR("by", kind),
		    LOG_STR("why", why), LOG_STR("source", x->source));
}

static void set_roles(struct exchange *x, uint32_t roles)
{
	x->caller.roles = gate_roles(x->app, roles, &x->caller.source);
	if (x->caller.roles != roles)
		metrics_turned(TURNED_ROLE);
}

static enum err_code identify_token(
    struct exchange *x, const char *authorization, struct err *err)
{
	const char *why = "not a bearer token";
	const char *text = bearer_of(authorization);
	if (text == NULL || (x->route->flags & ROUTE_TOKEN) == 0) {
		count_failure(x, "token", "not taken on this path");
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "A bootstrap token authenticates only the request for a "
		    "first certificate");
	}
	enum err_code code = gate_may_fail(x, err);
	if (code == ERR_OK)
		code = token_check(x->app->store, BYTES_STR(text),
		    &x->caller.source, &x->token, &why, err);
	if (code == ERR_UNAUTHENTICATED) {
		count_failure(x, "token", why);
		return gate_failed(x, err);
	}
	if (code != ERR_OK)
		return code;
	char id[2 * TOKEN_ID_SIZE + 1];
	x->caller.kind = CALLER_TOKEN;
	set_roles(x, ROLE_NODE);
	x->caller.cluster = mem_strdup(x->token->cluster);
	x->caller.id = mem_printf(
	    "token:%s", hex_write(x->token->id, TOKEN_ID_SIZE, id));
	return ERR_OK;
}

static enum err_code identify_certificate(
    struct exchange *x, struct bytes der, struct err *err)
{
	const char *why = NULL;
	enum err_code code = certificate_authenticate(x->app->store, der,
	    clock_now(), &x->certificate, &why, err);
	if (code == ERR_UNAUTHENTICATED) {
		count_failure(x, "certificate", why);
		return gate_failed(x, err);
	}
	if (code != ERR_OK)
		return code;
	const struct certificate *held = x->certificate;
	OWNED_STR(serial) = serial_format(&held->serial);
	x->caller.kind = CALLER_CERTIFICATE;
	set_roles(x, held->roles);
	if (held->cluster != NULL)
		x->caller.cluster = mem_strdup(held->cluster);
	x->caller.id = mem_printf("serial:%s", serial);
	return ERR_OK;
}

enum err_code authn_identify(struct exchange *x,
    const struct credentials *credentials, struct err *err)
{
	if (credentials->authorization != NULL)
		return identify_token(x, credentials->authorization, err);
	if (credentials->certificate.len > 0)
		return identify_certificate(x, credentials->certificate, err);
	return ERR_OK;
}

enum err_code authn_still_holds(const struct exchange *x, struct err *err)
{
	uint64_t revision = 0;
	bool found = false;
	if (x->certificate == NULL)
		return ERR_OK;
	enum err_code code = store_find(x->app->store, TABLE_CERTIFICATES,
	    serial_bytes(&x->certificate->serial), NULL, &revision, &found, err);
	if (code != ERR_OK || revision == x->certificate->revision)
		return code;
	count_failure(x, "certificate", "revoked while it waited");
	return err_refuse(err, ERR_UNAUTHENTICATED,
	    "the client certificate is not accepted");
}

enum err_code authn_may(struct exchange *x, enum permission permission,
    const char *cluster, struct err *err)
{
	enum err_code code =
	    access_check(&x->caller, permission, cluster, err);
	if (code != ERR_OK)
		x->denied = true;
	return code;
}

enum err_code authn_may_route(struct exchange *x, struct err *err)
{
	const char *cluster = NULL;
	switch (x->route->scope) {
	case SCOPE_NONE:
		break;
	case SCOPE_CLUSTER:
		cluster = x->params.cluster;
		break;
	case SCOPE_OBJECT:
		cluster = x->caller.cluster;
		break;
	}
	return authn_may(x, x->route->permission, cluster, err);
}
