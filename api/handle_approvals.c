// SPDX-License-Identifier: Apache-2.0
/* What waits for the consent of others, and their decisions. */
#include <string.h>
#include "api/api.h"
#include "api/approvals.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/text.h"

#define DIGEST_PREFIX "sha256:"

/* ---- list and show ---- */

enum err_code handle_approval_list(struct exchange *x, struct err *err)
{
	struct page page;
	uint8_t after[APPROVAL_ID_SIZE];
	char next[2 * APPROVAL_ID_SIZE + 1];
	struct approval *approvals[PAGE_MAX];
	size_t count = 0;
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK && page.cursor != NULL)
		code = page_cursor_octets(&page, sizeof(after), after, err);
	if (code == ERR_OK)
		code = approval_list(x->app->store,
		    page.cursor == NULL ? NULL : after, page.limit, approvals,
		    &count, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *view = NULL;
		if (code == ERR_OK)
			code = approvals_view(x, approvals[i], &view, err);
		if (view != NULL)
			json_array_append_new(items, view);
		hex_write(approvals[i]->id, APPROVAL_ID_SIZE, next);
		approval_free(approvals[i]);
	}
	OWNED_JSON(json) = view_list(items, count == page.limit ? next : NULL);
	if (code == ERR_OK)
		reply_json(&x->reply, MHD_HTTP_OK, json);
	return code;
}

static enum err_code get(const struct exchange *x,
    struct approval **approval_out, struct err *err)
{
	uint8_t id[APPROVAL_ID_SIZE];
	if (strlen(x->params.item) != 2 * sizeof(id) ||
	    !hex_parse(x->params.item, id, sizeof(id)))
		return err_refuse(err, ERR_NOT_FOUND,
		    "There is no approval \"%s\"; its id is %zu hex digits",
		    err_quote_str(x->params.item), 2 * sizeof(id));
	return approval_get(x->app->store, id, approval_out, err);
}

static enum err_code reply_view(struct exchange *x,
    const struct approval *approval, struct err *err)
{
	OWNED_JSON(json) = NULL;
	enum err_code code = approvals_view(x, approval, &json, err);
	if (code == ERR_OK)
		reply_json(&x->reply, MHD_HTTP_OK, json);
	return code;
}

enum err_code handle_approval_show(struct exchange *x, struct err *err)
{
	OWNED(approval) approval = NULL;
	enum err_code code = get(x, &approval, err);
	return code == ERR_OK ? reply_view(x, approval, err) : code;
}

/* ---- decide ---- */

/* The decision of a request: a reason to reject, or the digest consented to. */
struct verdict {
	const char *reason;	/* NULL: consent */
	uint8_t digest[APPROVAL_DIGEST_SIZE];
};

static enum err_code add_verdict(struct exchange *x, struct batch *batch,
    struct approval *approval, const struct verdict *verdict, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	enum guarded_action action = GUARDED_NONE;
	const struct approval_judge judge = {
	    .rule = guarded_parse(approval->action, &action)
		? approver_rules_find(policy_set_approvers(policies), action)
		: NULL,
	    .roles = policy_set_roles(policies),
	    .identity = x->identity,
	};
	if (judge.identity == NULL)
		return err_refuse(
		    err, ERR_FORBIDDEN, "only an identity decides");
	if (judge.rule == NULL)
		return err_refuse(err, ERR_POLICY,
		    "%s needs nobody's consent now", approval->action);
	return verdict->reason == NULL
	    ? approval_consent(batch, approval, &judge, verdict->digest, err)
	    : approval_reject(batch, approval, &judge, verdict->reason, err);
}

static enum err_code decide_once(struct exchange *x,
    const struct verdict *verdict, struct err *err)
{
	OWNED(approval) approval = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code = get(x, &approval, err);
	if (code == ERR_OK)
		code = add_verdict(x, batch, approval, verdict, err);
	if (code != ERR_OK)
		return code;
	if (batch_is_empty(batch))	/* said before */
		return reply_view(x, approval, err);
	approvals_trail(x, batch, approval,
	    &(struct audit_entry){
		.action = verdict->reason == NULL ? "approval.approve"
						  : "approval.reject",
		.detail = verdict->reason});
	code = authn_commit(x, batch, err);
	return code == ERR_OK ? reply_view(x, approval, err) : code;
}

static enum err_code decide(struct exchange *x, const struct verdict *verdict,
    struct err *err)
{
	unsigned attempt = 0;
	enum err_code code;
	do
		code = decide_once(x, verdict, err);
	while (api_again(code, &attempt));
	return code;
}

enum err_code handle_approval_approve(struct exchange *x, struct err *err)
{
	struct verdict verdict = {0};
	const char *digest = NULL;
	const struct json_field fields[] = {
	    {"digest", JSON_KIND_STR, true, 1, 128, &digest},
	};
	OWNED_JSON(json) = NULL;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code != ERR_OK)
		return code;
	if (!text_has_prefix(digest, DIGEST_PREFIX) ||
	    strlen(digest) !=
		strlen(DIGEST_PREFIX) + 2 * APPROVAL_DIGEST_SIZE ||
	    !hex_parse(digest + strlen(DIGEST_PREFIX), verdict.digest,
		APPROVAL_DIGEST_SIZE))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"digest\" is not \"" DIGEST_PREFIX "\" and %d hex "
		    "digits", 2 * APPROVAL_DIGEST_SIZE);
	return decide(x, &verdict, err);
}

enum err_code handle_approval_reject(struct exchange *x, struct err *err)
{
	struct verdict verdict = {0};
	const struct json_field fields[] = {
	    {"reason", JSON_KIND_STR, true, 1, APPROVAL_REASON_MAX,
		&verdict.reason},
	};
	OWNED_JSON(json) = NULL;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	return code == ERR_OK ? decide(x, &verdict, err) : code;
}
