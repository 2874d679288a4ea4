// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/text.h"

enum err_code handle_certificate_show(struct exchange *x, struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code = authn_certificate(x, &record, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_certificate(record, clock_now(), true);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static enum err_code read_state(
    const char *text, struct certificate_query *query, struct err *err)
{
	if (text == NULL)
		return ERR_OK;
	if (strcmp(text, "valid") == 0)
		query->state = CERTIFICATE_VALID;
	else if (strcmp(text, "revoked") == 0)
		query->state = CERTIFICATE_REVOKED;
	else if (strcmp(text, "unresolved") == 0)
		query->state = CERTIFICATE_UNRESOLVED;
	else if (strcmp(text, "expired") == 0)
		query->expired = true;
	else
		return err_refuse(err, ERR_BAD_FIELD,
		    "state is \"%s\"; wanted is valid, revoked, expired or "
		    "unresolved", err_quote_str(text));
	return ERR_OK;
}

static enum err_code read_cursor(
    const char *text, struct buf *cursor, struct err *err)
{
	if (text != NULL && !hex_parse_any(text, STORE_KEY_MAX, cursor))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cursor is none that this list gave as \"next\"");
	return ERR_OK;
}

static enum err_code read_query(struct exchange *x,
    struct certificate_query *query, struct buf *cursor, struct err *err)
{
	const char *before = target_query(&x->target, "expires_before");
	struct page page;
	enum err_code code = page_read(x, &page, err);
	query->limit = page.limit;
	query->cluster = target_query(&x->target, "cluster");
	query->name = target_query(&x->target, "name");
	if (code == ERR_OK)
		code = read_state(
		    target_query(&x->target, "state"), query, err);
	if (code == ERR_OK)
		code = read_cursor(page.cursor, cursor, err);
	if (code != ERR_OK)
		return code;
	query->after = buf_bytes(cursor);
	if (before != NULL && !clock_parse(before, &query->expires_before))
		return err_refuse(err, ERR_BAD_FIELD,
		    "expires_before is \"%s\"; wanted is a time such as "
		    "2026-11-24T09:45:00Z", err_quote_str(before));
	if (query->cluster != NULL && !text_is_label(query->cluster))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cluster is \"%s\", which is no name of a cluster",
		    err_quote_str(query->cluster));
	if (query->cluster == NULL)
		query->cluster = x->caller.cluster;
	code = authn_may(x, x->route->permission,
	    &(struct object){OBJECT_PLAIN, query->cluster}, err);
	if (code != ERR_OK || query->cluster == NULL)
		return code;
	/* An empty list would pass for a cluster without certificates. */
	OWNED(cluster) cluster = NULL;
	return cluster_get(x->app->store, query->cluster, &cluster, err);
}

enum err_code handle_certificate_list(struct exchange *x, struct err *err)
{
	struct certificate_query query = {0};
	struct certificate *records[PAGE_MAX];
	size_t count = 0;
	OWNED_BUF(after);
	OWNED_BUF(next);
	OWNED_STR(cursor) = NULL;
	enum err_code code = read_query(x, &query, &after, err);
	if (code == ERR_OK)
		code = certificate_list(
		    x->app->store, &query, records, &count, &next, err);
	if (code != ERR_OK)
		return code;
	int64_t now = clock_now();
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(
		    items, view_certificate(records[i], now, false));
		certificate_free(records[i]);
	}
	if (next.len > 0)
		cursor = hex_new(next.data, next.len);
	OWNED_JSON(json) = view_list(items, cursor);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static enum err_code read_reason(
    const struct exchange *x, uint8_t *reason_out, struct err *err)
{
	const char *text = NULL;
	const struct json_field fields[] = {
	    {"reason", JSON_KIND_STR, true, 1, 32, &text},
	};
	OWNED_JSON(json) = NULL;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code != ERR_OK)
		return code;
	if (!reason_parse(text, reason_out))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"reason\" is \"%s\"; wanted is one of unspecified, "
		    "keyCompromise, cACompromise, affiliationChanged, "
		    "superseded, cessationOfOperation, privilegeWithdrawn, "
		    "aACompromise (RFC 5280 5.3.1)", err_quote_str(text));
	return ERR_OK;
}

/* What it took to revoke it. */
static const char *rule_of(const struct certificate *record)
{
	switch (certificate_object(record).kind) {
	case OBJECT_IDENTITY:
		return permission_name(PERM_IDENTITY_REVOKE);
	case OBJECT_SERVICE:
		return permission_name(PERM_SERVICE_REVOKE);
	case OBJECT_PLAIN:
	case OBJECT_ANY:
		break;
	}
	return permission_name(PERM_CERT_REVOKE);
}

/* ---- The token by which a node came ---- */

/* Renewals within the longest life of a token, of certificates that live for a
 * quarter of an hour. */
#define RENEWALS_MAX 4096

/* Who asked for the first of the certificates that were renewed up to RECORD. */
static enum err_code find_origin(struct store *store,
    const struct certificate *record, char **requester_out, struct err *err)
{
	OWNED_STR(requester) = mem_strdup(record->requester);
	for (unsigned i = 0; i < RENEWALS_MAX &&
	     text_has_prefix(requester, "serial:"); i++) {
		OWNED(certificate) before = NULL;
		struct serial serial;
		if (!serial_parse(requester + strlen("serial:"), &serial))
			break;
		enum err_code code =
		    certificate_find(store, &serial, &before, err);
		if (code != ERR_OK)
			return code;
		/* An admin who issued it for the node is of no cluster. */
		if (before == NULL || before->cluster == NULL ||
		    strcmp(before->cluster, record->cluster) != 0)
			break;
		free(requester);
		requester = mem_strdup(before->requester);
	}
	*requester_out = GIVE(requester);
	return ERR_OK;
}

/* NULL where it came otherwise, or the token is good for nothing any more. */
static enum err_code find_token(struct store *store,
    const struct certificate *record, struct token **token_out,
    struct err *err)
{
	OWNED(token) token = NULL;
	OWNED_STR(origin) = NULL;
	uint8_t id[TOKEN_ID_SIZE];
	if (record->cluster == NULL)
		return ERR_OK;
	enum err_code code = find_origin(store, record, &origin, err);
	if (code != ERR_OK || !text_has_prefix(origin, "token:") ||
	    !hex_parse(origin + strlen("token:"), id, sizeof(id)))
		return code;
	code = token_get(store, record->cluster, id, &token, err);
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return ERR_OK;
	}
	if (code == ERR_OK && !token->revoked &&
	    clock_now() < token->expires)
		*token_out = GIVE(token);
	return code;
}

/* Or whoever has the node would be back with what lies on it.  A certificate that
 * is superseded leaves its node in its place. */
static enum err_code revoke_token(struct exchange *x, struct batch *batch,
    const struct certificate *record, uint8_t reason, struct err *err)
{
	OWNED(token) token = NULL;
	char id[2 * TOKEN_ID_SIZE + 1];
	if (strcmp(reason_name(reason), "superseded") == 0)
		return ERR_OK;
	enum err_code code = find_token(x->app->store, record, &token, err);
	if (code != ERR_OK || token == NULL)
		return code;
	OWNED_STR(object) = mem_printf(
	    "token:%s", hex_write(token->id, TOKEN_ID_SIZE, id));
	token_revoke(batch, token);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "token.revoke",
		.cluster = record->cluster,
		.object = object,
		.rule = "certificate.revoke",
		.detail = "a certificate that it gave was revoked"});
	return ERR_OK;
}

static enum err_code revoke_one(struct exchange *x, uint8_t reason,
    struct certificate **record_out, struct err *err)
{
	OWNED(certificate) record = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code = authn_certificate(x, &record, err);
	if (code == ERR_OK)
		code = ca_revoke(x->app->ca, batch, record, reason, err);
	if (code == ERR_OK)
		code = revoke_token(x, batch, record, reason, err);
	if (code != ERR_OK)
		return code;
	OWNED_STR(serial) = serial_format(&record->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "certificate.revoke",
		.cluster = record->cluster,
		.object = object,
		.rule = rule_of(record),
		.detail = reason_name(reason)});
	code = authn_commit(x, batch, err);
	if (code != ERR_OK)
		return code;
	ca_revoked(x->app->ca, record->issuer);
	metrics_count(METRIC_REVOCATIONS);
	return certificate_get(
	    x->app->store, &record->serial, record_out, err);
}

/* That of an identity which approves ends it as much as its own end does. */
enum err_code judge_certificate_revoke(
    struct exchange *x, bool *needed_out, struct err *err)
{
	OWNED(certificate) record = NULL;
	OWNED(identity) identity = NULL;
	uint8_t reason, id[IDENTITY_ID_SIZE];
	enum err_code code = read_reason(x, &reason, err);
	*needed_out = false;
	if (code == ERR_OK)
		code = authn_certificate(x, &record, err);
	if (code != ERR_OK || record->state != CERTIFICATE_VALID ||
	    !certificate_identity(record, id))
		return code;
	code = identity_find(x->app->store, id, &identity, err);
	if (code == ERR_OK && identity != NULL)
		*needed_out = approvals_of_approver(x, identity);
	return code;
}

enum err_code handle_certificate_revoke(struct exchange *x, struct err *err)
{
	uint8_t reason = 0;
	OWNED(certificate) record = NULL;
	unsigned attempt = 0;
	enum err_code code = read_reason(x, &reason, err);
	if (code != ERR_OK)
		return code;
	do
		code = revoke_one(x, reason, &record, err);
	while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_certificate(record, clock_now(), true);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
