// SPDX-License-Identifier: Apache-2.0
/* What becomes of an identity that is there: other roles, another code. */
#include <string.h>
#include "api/api.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/identities.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"

/* ---- change ---- */

struct wish {
	struct identity_request request;
	struct texts roles, ranges;
};

static void wish_end(struct wish *wish)
{
	texts_free(&wish->roles);
	texts_free(&wish->ranges);
}
#define OWNED_WISH(name)                                                       \
	__attribute__((cleanup(wish_end))) struct wish name = {0}

static bool is_empty(const struct identity_request *request)
{
	return request->name == NULL && request->roles == NULL &&
	       request->ranges == NULL && request->ttl == 0 &&
	       request->lifetime == 0;
}

static enum err_code read_wish(const struct exchange *x, struct wish *wish,
    json_t **json_out, struct err *err)
{
	struct identity_request *request = &wish->request;
	const char *ttl = NULL, *lifetime = NULL;
	json_t *roles = NULL, *from = NULL;
	const struct json_field fields[] = {
	    {"name", JSON_KIND_STR, false, 1, 256, &request->name},
	    {"roles", JSON_KIND_ARRAY, false, 1, IDENTITY_ROLES_MAX, &roles},
	    {"ttl", JSON_KIND_STR, false, 1, 31, &ttl},
	    {"lifetime", JSON_KIND_STR, false, 1, 31, &lifetime},
	    {"from", JSON_KIND_ARRAY, false, 0, IDENTITY_RANGES_MAX, &from},
	};
	enum err_code code;
	if ((code = body_read(x, fields, ARRAY_LEN(fields), json_out, err)) !=
		ERR_OK ||
	    (code = body_duration(ttl, "ttl", &request->ttl, err)) != ERR_OK ||
	    (code = body_duration(
		 lifetime, "lifetime", &request->lifetime, err)) != ERR_OK ||
	    (code = body_texts(roles, "roles", IDENTITY_ROLES_MAX, &wish->roles,
		 err)) != ERR_OK ||
	    (code = body_texts(from, "from", IDENTITY_RANGES_MAX, &wish->ranges,
		 err)) != ERR_OK)
		return code;
	request->roles = roles == NULL ? NULL : wish->roles.items;
	request->roles_count = wish->roles.count;
	request->ranges = from == NULL ? NULL : wish->ranges.items;
	request->ranges_count = wish->ranges.count;
	if (is_empty(request))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Nothing is to change: one of \"name\", \"roles\", "
		    "\"ttl\", "
		    "\"lifetime\", \"from\" is needed");
	return ERR_OK;
}

static enum err_code check_standing(
    const struct identity *identity, struct err *err)
{
	if (identity->revoked == 0)
		return ERR_OK;
	return err_refuse(err, ERR_POLICY,
	    "The identity is revoked and does not come back; make another");
}

/* BEFORE and AFTER are read, or NULL. */
static enum err_code change(const struct exchange *x, const struct wish *wish,
    struct identity **before_out, struct identity **after_out, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	OWNED(identity) before = NULL;
	enum err_code code;
	if ((code = identities_get(x, &before, err)) != ERR_OK ||
	    (code = identities_check_other(x, before, "change", err)) !=
		ERR_OK ||
	    (code = check_standing(before, err)) != ERR_OK ||
	    (code = identity_change(policy_set_roles(policies), before,
		 &wish->request, after_out, err)) != ERR_OK)
		return code;
	*before_out = GIVE(before);
	return ERR_OK;
}

/* ca/replay_effect.c reads the roles again.  Names and networks stay out of the
 * log, which is not sealed. */
static char *describe(
    const struct identity_request *request, const struct identity *after)
{
	OWNED_BUF(text);
	const struct {
		const char *word;
		bool is_there;
	} others[] = {
	    {"name", request->name != NULL},
	    {"from", request->ranges != NULL},
	    {"ttl", request->ttl != 0},
	    {"lifetime", request->lifetime != 0},
	};
	if (request->roles != NULL) {
		OWNED_STR(roles) = identities_roles(after);
		buf_printf(&text, "roles %s", roles);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (others[i].is_there)
			buf_printf(&text, "%s%s", text.len > 0 ? "; " : "",
			    others[i].word);
	return buf_to_str(&text);
}

/* Whoever was given the code of one of less must not become an approver by it.
 */
static void forget_code_of_risen(const struct exchange *x,
    const struct identity *before, struct identity *after)
{
	if (!approvals_of_approver(x, before) &&
	    approvals_of_approver(x, after))
		identity_forget_code(after);
}

static enum err_code change_once(
    struct exchange *x, const struct wish *wish, struct err *err)
{
	OWNED(identity) before = NULL;
	OWNED(identity) after = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code = change(x, wish, &before, &after, err);
	if (code == ERR_OK)
		code = approvals_check_needless(x, before, err);
	if (code == ERR_OK)
		code = approvals_check_needless(x, after, err);
	if (code != ERR_OK)
		return code;
	forget_code_of_risen(x, before, after);
	OWNED_STR(object) = identities_object(after);
	OWNED_STR(detail) = describe(&wish->request, after);
	identity_put(batch, after);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "identity.change",
		.cluster = after->cluster,
		.object = object,
		.rule = "identity.write",
		.detail = detail});
	/* Two cannot take each other's roles: one's record has changed then. */
	return authn_commit(x, batch, err);
}

enum err_code judge_identity_change(
    struct exchange *x, bool *needed_out, struct err *err)
{
	OWNED_WISH(wish);
	OWNED_JSON(json) = NULL;
	OWNED(identity) before = NULL;
	OWNED(identity) after = NULL;
	enum err_code code = read_wish(x, &wish, &json, err);
	if (code == ERR_OK)
		code = change(x, &wish, &before, &after, err);
	if (code == ERR_OK)
		*needed_out = approvals_of_approver(x, before) ||
			      approvals_of_approver(x, after);
	return code;
}

enum err_code handle_identity_change(struct exchange *x, struct err *err)
{
	OWNED_WISH(wish);
	OWNED_JSON(json) = NULL;
	OWNED(identity) identity = NULL;
	unsigned attempt = 0;
	enum err_code code = read_wish(x, &wish, &json, err);
	if (code != ERR_OK)
		return code;
	do
		code = change_once(x, &wish, err);
	while (api_again(code, &attempt));
	if (code == ERR_OK)
		code = identities_get(x, &identity, err);
	return code == ERR_OK ? identities_reply(x, identity, err) : code;
}

/* ---- a new code ---- */

static enum err_code read_code_ttl(
    const struct exchange *x, int64_t *code_ttl_out, struct err *err)
{
	OWNED_JSON(json) = NULL;
	const char *code_ttl = NULL;
	const struct json_field fields[] = {
	    {"code_ttl", JSON_KIND_STR, false, 1, 31, &code_ttl},
	};
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code != ERR_OK)
		return code;
	return body_duration(code_ttl, "code_ttl", code_ttl_out, err);
}

struct drawn {
	struct identity *identity;
	struct secret *text;
};

static void drawn_end(struct drawn *drawn)
{
	identity_free(GIVE(drawn->identity));
	secret_free(GIVE(drawn->text));
}
#define OWNED_DRAWN(name)                                                      \
	__attribute__((cleanup(drawn_end))) struct drawn name = {0}

/* BEFORE as it is in the store now; one that has ended gets none. */
static enum err_code draw(const struct exchange *x, struct batch *batch,
    int64_t code_ttl, struct drawn *drawn, struct err *err)
{
	OWNED(identity) before = NULL;
	enum err_code code = identities_get(x, &before, err);
	if (code != ERR_OK)
		return code;
	const char *why = identity_fault(before, clock_now());
	if (why != NULL)
		return err_refuse(
		    err, ERR_POLICY, "The %s: it gets no code", why);
	return identity_new_code(
	    batch, before, code_ttl, &drawn->identity, &drawn->text, err);
}

static enum err_code draw_once(
    struct exchange *x, int64_t code_ttl, struct drawn *drawn, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code = draw(x, batch, code_ttl, drawn, err);
	if (code == ERR_OK)
		code = approvals_check_needless(x, drawn->identity, err);
	if (code != ERR_OK)
		return code;
	OWNED_STR(object) = identities_object(drawn->identity);
	trail_add(x, batch,
	    &(struct audit_entry){.action = "identity.code",
		.cluster = drawn->identity->cluster,
		.object = object,
		.rule = "identity.write"});
	return authn_commit(x, batch, err);
}

enum err_code judge_identity_code(
    struct exchange *x, bool *needed_out, struct err *err)
{
	OWNED_DRAWN(drawn);
	OWNED(batch) never = batch_new();
	int64_t code_ttl = 0;
	enum err_code code = read_code_ttl(x, &code_ttl, err);
	if (code == ERR_OK)
		code = draw(x, never, code_ttl, &drawn, err);
	if (code == ERR_OK)
		*needed_out = approvals_of_approver(x, drawn.identity);
	return code;
}

enum err_code handle_identity_code(struct exchange *x, struct err *err)
{
	OWNED_DRAWN(drawn);
	int64_t code_ttl = 0;
	unsigned attempt = 0;
	enum err_code code = read_code_ttl(x, &code_ttl, err);
	if (code != ERR_OK)
		return code;
	do {
		drawn_end(&drawn);
		code = draw_once(x, code_ttl, &drawn, err);
	} while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	OWNED_JSON(view) = view_identity(drawn.identity, clock_now());
	api_reply_shown_once(x, view, "code", drawn.text);
	return ERR_OK;
}
