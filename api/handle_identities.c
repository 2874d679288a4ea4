// SPDX-License-Identifier: Apache-2.0
/* Who uses Signet beside nodes: making identities and ending them.  How they get
 * their certificates stands in handle_enroll.c. */
#include <string.h>
#include "api/api.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/identities.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "ca/certificate.h"

#define REASON_PRIVILEGE_WITHDRAWN 9	/* RFC 5280 5.3.1 */

/* ---- create ---- */

struct wish {
	struct identity_request request;
	struct texts roles, ranges;
};

static void wish_end(struct wish *wish)
{
	texts_free(&wish->roles);
	texts_free(&wish->ranges);
}

static enum err_code read_kind(
    const char *text, enum identity_kind *kind_out, struct err *err)
{
	*kind_out = IDENTITY_CERTIFICATE;
	if (text == NULL || strcmp(text, "certificate") == 0)
		return ERR_OK;
	*kind_out = IDENTITY_TOKEN;
	if (strcmp(text, "token") == 0)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "Field \"kind\" is \"%s\"; wanted is \"certificate\" or \"token\"",
	    err_quote_str(text));
}

static enum err_code read_wish(const struct exchange *x, struct wish *wish,
    json_t **json_out, struct err *err)
{
	struct identity_request *request = &wish->request;
	const char *kind = NULL, *ttl = NULL, *lifetime = NULL, *code_ttl = NULL;
	json_t *roles = NULL, *from = NULL;
	const struct json_field fields[] = {
	    {"name", JSON_KIND_STR, true, 1, 256, &request->name},
	    {"roles", JSON_KIND_ARRAY, true, 1, IDENTITY_ROLES_MAX, &roles},
	    {"cluster", JSON_KIND_STR, false, 1, 63, &request->cluster},
	    {"kind", JSON_KIND_STR, false, 1, 31, &kind},
	    {"ttl", JSON_KIND_STR, false, 1, 31, &ttl},
	    {"lifetime", JSON_KIND_STR, false, 1, 31, &lifetime},
	    {"code_ttl", JSON_KIND_STR, false, 1, 31, &code_ttl},
	    {"from", JSON_KIND_ARRAY, false, 0, IDENTITY_RANGES_MAX, &from},
	};
	enum err_code code;
	if ((code = body_read(x, fields, ARRAY_LEN(fields), json_out, err)) !=
		ERR_OK ||
	    (code = read_kind(kind, &request->kind, err)) != ERR_OK ||
	    (code = body_duration(ttl, "ttl", &request->ttl, err)) != ERR_OK ||
	    (code = body_duration(lifetime, "lifetime", &request->lifetime,
		 err)) != ERR_OK ||
	    (code = body_duration(code_ttl, "code_ttl", &request->code_ttl,
		 err)) != ERR_OK ||
	    (code = body_texts(roles, "roles", IDENTITY_ROLES_MAX,
		 &wish->roles, err)) != ERR_OK ||
	    (code = body_texts(from, "from", IDENTITY_RANGES_MAX,
		 &wish->ranges, err)) != ERR_OK)
		return code;
	request->creator = x->caller.id;
	request->roles = wish->roles.items;
	request->roles_count = wish->roles.count;
	request->ranges = wish->ranges.items;
	request->ranges_count = wish->ranges.count;
	return ERR_OK;
}

char *identities_object(const struct identity *identity)
{
	char id[2 * IDENTITY_ID_SIZE + 1];
	return mem_printf(
	    "identity:%s", hex_write(identity->id, IDENTITY_ID_SIZE, id));
}

char *identities_roles(const struct identity *identity)
{
	OWNED_BUF(text);
	for (size_t i = 0; i < identity->roles_count; i++)
		buf_printf(&text, "%s%s", i > 0 ? "," : "",
		    identity->roles[i]);
	return buf_to_str(&text);
}

static enum err_code create(struct exchange *x, const struct wish *wish,
    struct identity **identity_out, struct secret **text_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED(policy_set) policies = app_policies(x->app);
	OWNED(batch) batch = batch_new();
	enum err_code code = identity_create(batch, policy_set_roles(policies),
	    &wish->request, identity_out, text_out, err);
	if (code == ERR_OK && wish->request.cluster != NULL)
		code = api_get_active(
		    x, wish->request.cluster, &cluster, err);
	if (code != ERR_OK)
		return code;
	if (cluster != NULL)
		cluster_require(batch, cluster);
	OWNED_STR(object) = identities_object(*identity_out);
	OWNED_STR(roles) = identities_roles(*identity_out);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "identity.create",
		.cluster = (*identity_out)->cluster,
		.object = object,
		.rule = "identity.write",
		.detail = roles});
	return authn_commit(x, batch, err);
}

enum err_code judge_identity_create(
    struct exchange *x, bool *needed_out, struct err *err)
{
	__attribute__((cleanup(wish_end))) struct wish wish = {0};
	OWNED_JSON(json) = NULL;
	OWNED(identity) identity = NULL;
	OWNED(secret) text = NULL;
	OWNED(batch) never = batch_new();
	OWNED(policy_set) policies = app_policies(x->app);
	enum err_code code = read_wish(x, &wish, &json, err);
	if (code == ERR_OK)
		code = identity_create(never, policy_set_roles(policies),
		    &wish.request, &identity, &text, err);
	if (code == ERR_OK)
		*needed_out = approvals_of_approver(x, identity);
	return code;
}

enum err_code handle_identity_create(struct exchange *x, struct err *err)
{
	__attribute__((cleanup(wish_end))) struct wish wish = {0};
	OWNED_JSON(json) = NULL;
	OWNED(identity) identity = NULL;
	OWNED(secret) text = NULL;
	unsigned attempt = 0;
	enum err_code code = read_wish(x, &wish, &json, err);
	if (code != ERR_OK)
		return code;
	do {
		identity_free(GIVE(identity));
		secret_free(GIVE(text));
		code = create(x, &wish, &identity, &text, err);
	} while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	OWNED_JSON(view) = view_identity(identity, clock_now());
	api_reply_shown_once(x, view,
	    identity->kind == IDENTITY_TOKEN ? "token" : "code", text);
	return ERR_OK;
}

/* ---- list and show ---- */

enum err_code handle_identity_list(struct exchange *x, struct err *err)
{
	struct page page;
	uint8_t after[IDENTITY_ID_SIZE];
	char next[2 * IDENTITY_ID_SIZE + 1];
	struct identity *identities[PAGE_MAX];
	size_t count = 0;
	int64_t now = clock_now();
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK && page.cursor != NULL)
		code = page_cursor_octets(&page, sizeof(after), after, err);
	if (code == ERR_OK)
		code = identity_list(x->app->store,
		    page.cursor == NULL ? NULL : after, page.limit,
		    identities, &count, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(
		    items, view_identity(identities[i], now));
		hex_write(identities[i]->id, IDENTITY_ID_SIZE, next);
		identity_free(identities[i]);
	}
	OWNED_JSON(json) = view_list(items, count == page.limit ? next : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code identities_get(const struct exchange *x,
    struct identity **identity_out, struct err *err)
{
	uint8_t id[IDENTITY_ID_SIZE];
	if (strlen(x->params.item) != 2 * sizeof(id) ||
	    !hex_parse(x->params.item, id, sizeof(id)))
		return err_refuse(err, ERR_NOT_FOUND,
		    "There is no identity \"%s\"; its id is %zu hex digits",
		    err_quote_str(x->params.item), 2 * sizeof(id));
	return identity_get(x->app->store, id, identity_out, err);
}

/* Its certificates that are valid, with the one of before they were recorded. */
struct holding {
	struct certificate *items[IDENTITY_CERTIFICATES_MAX + 1];
	size_t count;
};

static void holding_end(struct holding *holding)
{
	while (holding->count > 0)
		certificate_free(holding->items[--holding->count]);
}
#define OWNED_HOLDING(name)                                                    \
	__attribute__((cleanup(holding_end))) struct holding name = {0}

static enum err_code read_holding(const struct exchange *x,
    const struct identity *identity, struct holding *holding, struct err *err)
{
	OWNED(certificate) first = NULL;
	struct serial serial;
	enum err_code code = certificate_list_identity(x->app->store,
	    identity->id, holding->items, IDENTITY_CERTIFICATES_MAX,
	    &holding->count, err);
	if (code != ERR_OK ||
	    !serial_read(BYTES(identity->serial, identity->serial_len),
		&serial))
		return code;
	code = certificate_find(x->app->store, &serial, &first, err);
	if (code == ERR_OK && first != NULL &&
	    first->state == CERTIFICATE_VALID &&
	    first->not_after >= clock_now())
		holding->items[holding->count++] = GIVE(first);
	return code;
}

enum err_code identities_reply(struct exchange *x,
    const struct identity *identity, struct err *err)
{
	OWNED_HOLDING(holding);
	enum err_code code = read_holding(x, identity, &holding, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_identity(identity, clock_now());
	json_t *serials = json_array();
	for (size_t i = 0; i < holding.count; i++) {
		OWNED_STR(text) = serial_format(&holding.items[i]->serial);
		json_array_append_new(serials, view_text(text));
	}
	view_set(json, "certificates", serials);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code handle_identity_show(struct exchange *x, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = identities_get(x, &identity, err);
	return code == ERR_OK ? identities_reply(x, identity, err) : code;
}

/* ---- revoke ---- */

static enum err_code add_revocation(struct exchange *x, struct batch *batch,
    const struct certificate *record, struct err *err)
{
	OWNED_STR(serial) = serial_format(&record->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	enum err_code code = ca_revoke(
	    x->app->ca, batch, record, REASON_PRIVILEGE_WITHDRAWN, err);
	if (code != ERR_OK)
		return code;
	trail_add(x, batch,
	    &(struct audit_entry){.action = "certificate.revoke",
		.cluster = record->cluster,
		.object = object,
		.rule = "identity.revoke",
		.detail = reason_name(REASON_PRIVILEGE_WITHDRAWN)});
	return ERR_OK;
}

enum err_code identities_check_other(const struct exchange *x,
    const struct identity *identity, const char *verb, struct err *err)
{
	if (x->identity == NULL ||
	    memcmp(x->identity->id, identity->id, IDENTITY_ID_SIZE) != 0)
		return ERR_OK;
	return err_refuse(err, ERR_POLICY,
	    "An identity does not %s itself; another admin does", verb);
}

static void add_end(const struct exchange *x, struct batch *batch,
    const struct identity *identity)
{
	OWNED_STR(object) = identities_object(identity);
	identity_revoke(batch, identity);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "identity.revoke",
		.cluster = identity->cluster,
		.object = object,
		.rule = "identity.revoke"});
}

/* The identity and its certificates in one commit; of one that is revoked, those
 * that are left: made while it was, beyond what a commit takes, or by a server
 * that stopped before it withdrew them. */
static enum err_code end_identity(struct exchange *x,
    const struct identity *identity, bool *more_out, struct err *err)
{
	OWNED_HOLDING(holding);
	OWNED(batch) batch = batch_new();
	enum err_code code = read_holding(x, identity, &holding, err);
	*more_out = holding.count >= IDENTITY_CERTIFICATES_MAX;
	for (size_t i = 0; code == ERR_OK && i < holding.count; i++)
		code = add_revocation(x, batch, holding.items[i], err);
	if (code != ERR_OK)
		return code;
	if (identity->revoked == 0)
		add_end(x, batch, identity);
	else if (holding.count == 0)
		return ERR_OK;
	/* Two cannot end each other: one's record has changed then. */
	code = authn_commit(x, batch, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < holding.count; i++) {
		ca_revoked(x->app->ca, holding.items[i]->issuer);
		metrics_count(METRIC_REVOCATIONS);
	}
	return ERR_OK;
}

static enum err_code revoke_once(
    struct exchange *x, bool *more_out, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = identities_get(x, &identity, err);
	if (code == ERR_OK)
		code = identities_check_other(x, identity, "revoke", err);
	if (code == ERR_OK && identity->revoked == 0)
		code = approvals_check_needless(x, identity, err);
	return code == ERR_OK ? end_identity(x, identity, more_out, err) : code;
}

/* Ends: from the first commit on no certificate is added. */
static enum err_code revoke_all(struct exchange *x, struct err *err)
{
	bool more = false;
	enum err_code code;
	do
		code = revoke_once(x, &more, err);
	while (code == ERR_OK && more);
	return code;
}

enum err_code judge_identity_revoke(
    struct exchange *x, bool *needed_out, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = identities_get(x, &identity, err);
	if (code == ERR_OK)
		code = identities_check_other(x, identity, "revoke", err);
	if (code == ERR_OK)
		*needed_out = identity->revoked == 0 &&
		    approvals_of_approver(x, identity);
	return code;
}

enum err_code handle_identity_revoke(struct exchange *x, struct err *err)
{
	OWNED(identity) identity = NULL;
	unsigned attempt = 0;
	enum err_code code;
	do
		code = revoke_all(x, err);
	while (api_again(code, &attempt));
	if (code == ERR_OK)
		code = identities_get(x, &identity, err);
	return code == ERR_OK ? identities_reply(x, identity, err) : code;
}
