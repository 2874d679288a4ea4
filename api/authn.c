// SPDX-License-Identifier: Apache-2.0
#include "api/authn.h"

#include <string.h>
#include <strings.h>
#include "api/gate.h"
#include "api/metrics.h"
#include "api/peer.h"
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

enum err_code authn_refuse_bearer(const struct exchange *x, const char *kind,
    const char *why, struct err *err)
{
	count_failure(x, kind, why);
	return err_refuse(err, ERR_UNAUTHENTICATED,
	    "the credentials are not accepted");
}

/* One that is known and not let in leaves its id, for the audit log; it stays
 * nobody all the same. */
static enum err_code identify_token(
    struct exchange *x, const char *text, struct err *err)
{
	const char *why = NULL;
	OWNED(token) token = NULL;
	enum err_code code = token_check(x->app->store, BYTES_STR(text),
	    &x->caller.source, &token, &why, err);
	if (token != NULL) {
		char id[2 * TOKEN_ID_SIZE + 1];
		x->caller.id = mem_printf(
		    "token:%s", hex_write(token->id, TOKEN_ID_SIZE, id));
	}
	if (code == ERR_UNAUTHENTICATED) {
		x->denied = token != NULL;
		count_failure(x, "token", why);
		return gate_failed(x, err);
	}
	if (code != ERR_OK)
		return code;
	x->caller.kind = CALLER_TOKEN;
	set_roles(x, ROLE_NODE);
	x->caller.cluster = mem_strdup(token->cluster);
	x->token = GIVE(token);
	return ERR_OK;
}

/* What its record says now, and the policies. */
static void act(struct exchange *x, const struct identity *identity)
{
	OWNED(policy_set) policies = app_policies(x->app);
	identity_act(identity, policy_set_roles(policies), &x->caller);
	set_roles(x, x->caller.roles);
}

/* As identify_token. */
static enum err_code identify_identity(struct exchange *x,
    enum bearer_kind kind, const char *text, struct err *err)
{
	const char *why = NULL;
	OWNED(identity) identity = NULL;
	enum err_code code = identity_check(x->app->store, kind,
	    BYTES_STR(text), &x->caller.source, &identity, &why, err);
	if (identity != NULL) {
		char id[2 * IDENTITY_ID_SIZE + 1];
		x->caller.id = mem_printf("identity:%s",
		    hex_write(identity->id, IDENTITY_ID_SIZE, id));
	}
	if (code == ERR_UNAUTHENTICATED) {
		x->denied = identity != NULL;
		count_failure(x, "identity", why);
		return gate_failed(x, err);
	}
	if (code != ERR_OK)
		return code;
	x->caller.kind =
	    kind == BEARER_CODE ? CALLER_CODE : CALLER_KEY_TOKEN;
	act(x, identity);
	x->identity = GIVE(identity);
	return ERR_OK;
}

/* A text of no kind of ours takes the way of a bootstrap token. */
static unsigned flag_of(enum bearer_kind kind)
{
	switch (kind) {
	case BEARER_CODE:
		return ROUTE_CODE;
	case BEARER_KEY_TOKEN:
		return ROUTE_KEY_TOKEN;
	case BEARER_TOKEN:
	case BEARER_NONE:
		break;
	}
	return ROUTE_TOKEN;
}

static enum err_code identify_bearer(
    struct exchange *x, const char *authorization, struct err *err)
{
	const char *text = bearer_of(authorization);
	enum bearer_kind kind = text == NULL ? BEARER_NONE : bearer_kind(text);
	if (text == NULL || (x->route->flags & flag_of(kind)) == 0) {
		count_failure(x, "token", "not taken on this path");
		(void)err_refuse(err, ERR_UNAUTHENTICATED,
		    "A bootstrap token authenticates only the request for a "
		    "first certificate, an enrolment code that of an identity, "
		    "a bearer token the use of keys");
		return gate_failed(x, err);
	}
	if (kind == BEARER_CODE || kind == BEARER_KEY_TOKEN)
		return identify_identity(x, kind, text, err);
	return identify_token(x, text, err);
}

/* ERR_CONFLICT: it is not.  Costs less than to read it. */
static enum err_code is_unchanged(const struct exchange *x, enum table table,
    struct bytes key, uint64_t seen, struct err *err)
{
	uint64_t revision = 0;
	bool found = false;
	enum err_code code = store_find(
	    x->app->store, table, key, NULL, &revision, &found, err);
	if (code != ERR_OK || (found && revision == seen))
		return code;
	return ERR_CONFLICT;
}

static enum err_code certificate_unchanged(const struct exchange *x,
    const struct certificate *certificate, struct err *err)
{
	return is_unchanged(x, TABLE_CERTIFICATES,
	    serial_bytes(&certificate->serial), certificate->revision, err);
}

static enum err_code identity_unchanged(const struct exchange *x,
    const struct identity *identity, struct err *err)
{
	return is_unchanged(x, TABLE_IDENTITIES, BYTES_OF(identity->id),
	    identity->revision, err);
}

static const char *why_not_this_one(const struct exchange *x,
    const struct identity *identity, const struct certificate *held)
{
	if (identity == NULL)
		return "its identity is not on record";
	if (identity->kind != IDENTITY_CERTIFICATE)
		return "its identity has a token";
	if ((identity->cluster == NULL) != (held->cluster == NULL) ||
	    (held->cluster != NULL &&
		strcmp(identity->cluster, held->cluster) != 0))
		return "its identity is of another cluster";
	if (!identity_is_from(identity, &x->caller.source))
		return "its identity is not for this address";
	return identity_fault(identity, clock_now());
}

/* The connection's, while its row stands, or the store's. */
static enum err_code find_identity(struct exchange *x,
    const uint8_t id[static IDENTITY_ID_SIZE], struct identity **identity_out,
    struct err *err)
{
	OWNED(identity) known = GIVE(x->peer->identity);
	if (known == NULL || memcmp(known->id, id, IDENTITY_ID_SIZE) != 0)
		return identity_find(x->app->store, id, identity_out, err);
	enum err_code code = identity_unchanged(x, known, err);
	if (code == ERR_CONFLICT)
		return identity_find(x->app->store, id, identity_out, err);
	if (code == ERR_OK)
		*identity_out = GIVE(known);
	return code;
}

/* A certificate of an identity has the roles that the identity has now. */
static enum err_code take_identity(struct exchange *x,
    const uint8_t id[static IDENTITY_ID_SIZE], struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = find_identity(x, id, &identity, err);
	if (code != ERR_OK)
		return code;
	const char *why = why_not_this_one(x, identity, x->certificate);
	if (why != NULL) {
		count_failure(x, "certificate", why);
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "the client certificate is not accepted");
	}
	act(x, identity);
	x->identity = GIVE(identity);
	return ERR_OK;
}

static enum err_code take_node(struct exchange *x)
{
	const struct certificate *held = x->certificate;
	/* Nothing that a cluster can obtain is ever more than a node. */
	set_roles(x, held->roles & ROLE_NODE);
	if (held->cluster != NULL)
		x->caller.cluster = mem_strdup(held->cluster);
	return ERR_OK;
}

/* As find_identity. */
static enum err_code authenticate(
    struct exchange *x, struct bytes der, const char **why_out, struct err *err)
{
	OWNED(certificate) known = GIVE(x->peer->certificate);
	bool same = known != NULL &&
	    bytes_equal(der, BYTES(known->der, known->der_len));
	enum err_code code =
	    same ? certificate_unchanged(x, known, err) : ERR_CONFLICT;
	if (code == ERR_CONFLICT)
		return certificate_authenticate(x->app->store, der,
		    clock_now(), &x->certificate, why_out, err);
	if (code == ERR_OK)
		code = certificate_check(known, der, clock_now(), why_out, err);
	if (code == ERR_OK)
		x->certificate = GIVE(known);
	return code;
}

static enum err_code identify_certificate(
    struct exchange *x, struct bytes der, struct err *err)
{
	const char *why = NULL;
	uint8_t id[IDENTITY_ID_SIZE];
	enum err_code code = authenticate(x, der, &why, err);
	if (code == ERR_UNAUTHENTICATED) {
		count_failure(x, "certificate", why);
		return gate_failed(x, err);
	}
	if (code != ERR_OK)
		return code;
	OWNED_STR(serial) = serial_format(&x->certificate->serial);
	x->caller.id = mem_printf("serial:%s", serial);
	code = certificate_identity(x->certificate, id)
	    ? take_identity(x, id, err) : take_node(x);
	x->denied = code == ERR_UNAUTHENTICATED;
	if (code == ERR_OK)
		x->caller.kind = CALLER_CERTIFICATE;
	return code;
}

void authn_keep(struct exchange *x)
{
	if (x->caller.kind != CALLER_CERTIFICATE)
		return;
	certificate_free(x->peer->certificate);
	identity_free(x->peer->identity);
	x->peer->certificate = GIVE(x->certificate);
	x->peer->identity = GIVE(x->identity);
}

bool authn_is_nobody(const struct credentials *credentials)
{
	return credentials->authorization == NULL &&
	    credentials->certificate.len == 0;
}

enum err_code authn_identify(struct exchange *x,
    const struct credentials *credentials, struct err *err)
{
	if (credentials->authorization != NULL)
		return identify_bearer(x, credentials->authorization, err);
	if (credentials->certificate.len > 0)
		return identify_certificate(x, credentials->certificate, err);
	return ERR_OK;
}

enum err_code authn_still_holds(const struct exchange *x, struct err *err)
{
	enum err_code code = ERR_OK;
	if (x->certificate != NULL)
		code = certificate_unchanged(x, x->certificate, err);
	/* A code that another request has used is its handler's to judge. */
	if (code == ERR_OK && x->identity != NULL &&
	    x->caller.kind != CALLER_CODE)
		code = identity_unchanged(x, x->identity, err);
	if (code != ERR_CONFLICT)
		return code;
	if (x->certificate == NULL)
		return authn_refuse_bearer(
		    x, "identity", "revoked while it waited", err);
	count_failure(x, "certificate", "revoked while it waited");
	return err_refuse(err, ERR_UNAUTHENTICATED,
	    "the client certificate is not accepted");
}

void authn_require(const struct exchange *x, struct batch *batch)
{
	if (x->certificate != NULL)
		certificate_require(batch, x->certificate);
	/* As there: a code's own request changes its identity. */
	if (x->identity != NULL && x->caller.kind != CALLER_CODE)
		identity_require(batch, x->identity);
}

/* A revision never comes again: what is unchanged now was so at the commit. */
enum err_code authn_commit(
    const struct exchange *x, struct batch *batch, struct err *err)
{
	authn_require(x, batch);
	enum err_code code = store_commit(x->app->store, batch, err);
	if (code != ERR_CONFLICT)
		return code;
	code = authn_still_holds(x, err);
	return code == ERR_OK ? ERR_CONFLICT : code;
}

enum err_code authn_commit_anyway(
    const struct exchange *x, struct batch *batch, struct err *err)
{
	return store_commit(x->app->store, batch, err);
}

enum err_code authn_may(struct exchange *x, enum permission action,
    const struct object *object, struct err *err)
{
	enum err_code code = authorize(&x->caller, action, object, err);
	if (code != ERR_OK)
		x->denied = true;
	return code;
}

enum err_code authn_may_route(struct exchange *x, struct err *err)
{
	struct object object = {OBJECT_PLAIN, NULL};
	switch (x->route->scope) {
	case SCOPE_NONE:
		break;
	case SCOPE_CLUSTER:
		object.cluster = x->params.cluster;
		break;
	case SCOPE_OBJECT:
		object.kind = OBJECT_ANY;
		object.cluster = x->caller.cluster;
		break;
	}
	return authn_may(x, x->route->permission, &object, err);
}

/* A caller bound to a cluster finds its own alone. */
static enum err_code find_certificate(const struct exchange *x,
    struct certificate **record_out, struct err *err)
{
	struct serial serial;
	if (!serial_parse(x->params.item, &serial))
		return err_refuse(err, ERR_NOT_FOUND,
		    "There is no certificate \"%s\"; a serial is hex digits",
		    err_quote_str(x->params.item));
	if (x->caller.cluster == NULL)
		return certificate_get(
		    x->app->store, &serial, record_out, err);
	return certificate_get_of(x->app->store, x->caller.cluster, &serial,
	    record_out, err);
}

enum err_code authn_certificate(
    struct exchange *x, struct certificate **record_out, struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code = find_certificate(x, &record, err);
	if (code == ERR_NOT_FOUND && x->caller.cluster != NULL)
		x->denied = true;
	if (code != ERR_OK)
		return code;
	const struct object object = certificate_object(record);
	code = authn_may(x, x->route->permission, &object, err);
	if (code == ERR_OK)
		*record_out = GIVE(record);
	return code;
}
