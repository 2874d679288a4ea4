// SPDX-License-Identifier: Apache-2.0
#include "api/approvals.h"

#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define MAINTAIN_PAGE 200
#define MAINTAIN_COMMITS 500	/* in one go */

/* A route without a judge needs consent whatever it is asked. */
static const struct {
	route_handler *handler;
	approvals_judge *judge;
} judges[] = {
    {handle_cluster_retire, judge_cluster_retire},
    {handle_certificate_revoke, judge_certificate_revoke},
    {handle_identity_create, judge_identity_create},
    {handle_identity_revoke, judge_identity_revoke},
    {handle_identity_change, judge_identity_change},
    {handle_identity_code, judge_identity_code},
};

static enum err_code judge(
    struct exchange *x, bool *needed_out, struct err *err)
{
	*needed_out = true;
	for (size_t i = 0; i < ARRAY_LEN(judges); i++)
		if (judges[i].handler == x->route->handler)
			return judges[i].judge(x, needed_out, err);
	return ERR_OK;
}

bool approvals_of_approver(
    const struct exchange *x, const struct identity *identity)
{
	OWNED(policy_set) policies = app_policies(x->app);
	return approver_is(policy_set_approvers(policies),
	    policy_set_roles(policies), identity);
}

enum err_code approvals_check_needless(
    const struct exchange *x, const struct identity *identity, struct err *err)
{
	if (!x->needless || !approvals_of_approver(x, identity))
		return ERR_OK;
	return err_refuse(err, ERR_CONFLICT,
	    "The identity has just become one who approves: ask again");
}

/* ---- what is asked, in one form ---- */

struct asked {
	struct approval_content content;
	char *path, *body;
};

static void asked_end(struct asked *asked)
{
	free(asked->path);
	if (asked->body != NULL)
		explicit_bzero(asked->body, strlen(asked->body));
	free(asked->body);
}

static void put_encoded(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
			buf_put_u8(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static char *path_of(const struct target *target)
{
	OWNED_BUF(path);
	for (size_t i = 0; i < target->segments_count; i++) {
		buf_put_u8(&path, '/');
		put_encoded(&path, target->segments[i]);
	}
	for (size_t i = 0; i < target->query_count; i++) {
		buf_put_u8(&path, i == 0 ? '?' : '&');
		put_encoded(&path, target->query[i].name);
		buf_put_u8(&path, '=');
		put_encoded(&path, target->query[i].value);
	}
	return buf_to_str(&path);
}

static enum err_code body_of(
    const struct exchange *x, char **body_out, struct err *err)
{
	OWNED_JSON(json) = NULL;
	OWNED_BUF(text);
	if (x->body.len > 0) {
		enum err_code code =
		    json_parse(buf_bytes(&x->body), &json, err);
		if (code != ERR_OK)
			return code;
		json_put_canonical(&text, json);
	}
	*body_out = buf_to_str(&text);
	/* A secret may have come in a field where none belongs. */
	buf_wipe(&text);
	return ERR_OK;
}

static enum err_code read_asked(
    const struct exchange *x, struct asked *asked, struct err *err)
{
	if (x->identity == NULL)
		return err_refuse(err, ERR_FORBIDDEN,
		    "this needs the consent of others, which only an identity "
		    "can ask for");
	asked->path = path_of(&x->target);
	asked->content = (struct approval_content){
	    .action = guarded_name(route_guarded(x->route)),
	    .requester = x->identity->id,
	    .cluster = x->params.cluster,
	    .method = method_name(x->route->method),
	    .path = asked->path,
	};
	enum err_code code = body_of(x, &asked->body, err);
	asked->content.body = asked->body;
	return code;
}

/* ---- what is told ---- */

void approvals_trail(const struct exchange *x, struct batch *batch,
    const struct approval *approval, const struct audit_entry *entry)
{
	char id[2 * APPROVAL_ID_SIZE + 1];
	char digest[2 * APPROVAL_DIGEST_SIZE + 1];
	hex_write(approval->id, sizeof(approval->id), id);
	hex_write(approval->digest, sizeof(approval->digest), digest);
	OWNED_STR(object) = mem_printf("approval:%s", id);
	OWNED_STR(detail) = mem_printf("%s sha256:%s%s%s", approval->action,
	    digest, entry->detail == NULL ? "" : " ",
	    entry->detail == NULL ? "" : entry->detail);
	struct audit_entry whole = *entry;
	whole.object = object;
	whole.detail = detail;
	whole.cluster = approval->cluster;
	whole.rule = APPROVALS_FILE;
	if (x != NULL) {
		trail_add(x, batch, &whole);
		return;
	}
	whole.result = "granted";
	whole.actor = "system";
	whole.source = "local";
	batch_audit(batch, &whole);
}

enum err_code approvals_view(const struct exchange *x,
    const struct approval *approval, json_t **json_out, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	enum guarded_action action = GUARDED_NONE;
	const struct approver_rule *rule = NULL;
	unsigned count = 0;
	enum err_code code = ERR_OK;
	if (guarded_parse(approval->action, &action))
		rule = approver_rules_find(
		    policy_set_approvers(policies), action);
	if (rule != NULL)
		code = approval_count(x->app->store, approval, rule,
		    policy_set_roles(policies), NULL, &count, err);
	if (code == ERR_OK)
		*json_out = view_approval(approval, rule, count, clock_now());
	return code;
}

static enum err_code reply_waits(struct exchange *x,
    const struct approval *approval, struct err *err)
{
	OWNED_JSON(json) = NULL;
	enum err_code code = approvals_view(x, approval, &json, err);
	if (code == ERR_OK)
		reply_json(&x->reply, MHD_HTTP_ACCEPTED, json);
	return code;
}

/* ---- admitting ---- */

static enum err_code check_room(const struct exchange *x, struct err *err)
{
	uint64_t count = 0;
	enum err_code code =
	    store_count(x->app->store, TABLE_APPROVALS, &count, err);
	if (code == ERR_OK && count >= APPROVALS_MAX)
		return err_refuse(err, ERR_POLICY,
		    "%d requests for approval are on record, and no more are "
		    "taken", APPROVALS_MAX);
	return code;
}

/* Stores the request.  INDEX is what was read of its digest. */
static enum err_code ask(struct exchange *x, const struct asked *asked,
    const struct approver_rule *rule, uint64_t index, struct err *err)
{
	OWNED(approval) approval = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code;
	if ((code = check_room(x, err)) != ERR_OK ||
	    (code = approval_create(batch, &asked->content, x->identity->name,
		 rule, index, &approval, err)) != ERR_OK)
		return code;
	approvals_trail(x, batch, approval,
	    &(struct audit_entry){.action = "approval.request"});
	code = authn_commit(x, batch, err);
	return code == ERR_OK ? reply_waits(x, approval, err) : code;
}

/* Spends APPROVAL when enough have consented; else answers that it waits. */
static enum err_code spend(struct exchange *x, struct approval *approval,
    const struct approver_rule *rule, bool *run_out, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	OWNED(batch) batch = batch_new();
	unsigned count = 0;
	enum err_code code = approval_count(x->app->store, approval, rule,
	    policy_set_roles(policies), batch, &count, err);
	if (code != ERR_OK)
		return code;
	if (count < rule->needed)
		return reply_waits(x, approval, err);
	OWNED_STR(how) = mem_printf("%u of %u", count, rule->needed);
	approval_end(batch, approval, APPROVAL_EXECUTED);
	approvals_trail(x, batch, approval,
	    &(struct audit_entry){.action = "approval.execute", .detail = how});
	code = authn_commit(x, batch, err);
	approval->revision++;
	*run_out = code == ERR_OK;
	return code;
}

static enum err_code admit_once(struct exchange *x, const struct asked *asked,
    const struct approver_rule *rule, struct approval **spent_out,
    bool *run_out, struct err *err)
{
	OWNED(approval) approval = NULL;
	uint8_t digest[APPROVAL_DIGEST_SIZE];
	uint64_t index = 0;
	enum err_code code = approval_digest(&asked->content, digest, err);
	if (code == ERR_OK)
		code = approval_find_digest(
		    x->app->store, digest, &approval, &index, err);
	if (code != ERR_OK)
		return code;
	if (approval == NULL || !approval_is_open(approval, clock_now()))
		return ask(x, asked, rule, index, err);
	code = spend(x, approval, rule, run_out, err);
	if (code == ERR_OK && *run_out)
		*spent_out = GIVE(approval);
	return code;
}

enum err_code approvals_admit(struct exchange *x, struct approval **spent_out,
    bool *run_out, struct err *err)
{
	*run_out = true;
	if (route_guarded(x->route) == GUARDED_NONE)
		return ERR_OK;
	OWNED(policy_set) policies = app_policies(x->app);
	const struct approver_rule *rule = approver_rules_find(
	    policy_set_approvers(policies), route_guarded(x->route));
	bool needed = true;
	if (rule == NULL)
		return ERR_OK;
	enum err_code code = judge(x, &needed, err);
	x->needless = !needed;
	if (code != ERR_OK || !needed)
		return code;
	__attribute__((cleanup(asked_end))) struct asked asked = {0};
	unsigned attempt = 0;
	*run_out = false;
	code = read_asked(x, &asked, err);
	if (code != ERR_OK)
		return code;
	do
		code = admit_once(x, &asked, rule, spent_out, run_out, err);
	while (api_again(code, &attempt));
	return code;
}

void approvals_give_back(
    struct exchange *x, struct approval *spent, const struct err *err)
{
	struct err failed = {0};
	if (!err_is_refusal(err->code))
		return;
	OWNED(batch) batch = batch_new();
	approval_reopen(batch, spent);
	approvals_trail(x, batch, spent,
	    &(struct audit_entry){.action = "approval.execute",
		.result = "refused",
		.detail = err_slug(err->code)});
	if (authn_commit_anyway(x, batch, &failed) != ERR_OK)
		log_err(LOG_ERROR, "approval not given back", &failed);
}

/* ---- ending ---- */

static bool has_expired(const struct approval *approval, int64_t now)
{
	return approval->state == APPROVAL_OPEN &&
	    !approval_is_open(approval, now);
}

/* SEEN has no revision; it is read again before it is changed. */
static enum err_code end_one(
    struct app *app, const struct approval *seen, struct err *err)
{
	OWNED(approval) approval = NULL;
	OWNED(batch) batch = batch_new();
	int64_t now = clock_now();
	enum err_code code = approval_get(app->store, seen->id, &approval, err);
	if (code == ERR_OK && has_expired(approval, now)) {
		approval_end(batch, approval, APPROVAL_EXPIRED);
		approvals_trail(NULL, batch, approval,
		    &(struct audit_entry){.action = "approval.expire"});
	} else if (code == ERR_OK && approval_is_old(approval, now)) {
		code = approval_forget(app->store, batch, approval, err);
	}
	if (code == ERR_OK && !batch_is_empty(batch))
		code = store_commit(app->store, batch, err);
	/* Somebody was faster: it is met on the next round. */
	return code == ERR_CONFLICT ? ERR_OK : code;
}

static enum err_code maintain_one(struct app *app,
    const struct approval *seen, unsigned *commits, struct err *err)
{
	int64_t now = clock_now();
	if (!has_expired(seen, now) && !approval_is_old(seen, now))
		return ERR_OK;
	++*commits;
	return end_one(app, seen, err);
}

enum err_code approvals_maintain(struct app *app, struct err *err)
{
	struct approval *page[MAINTAIN_PAGE];
	uint8_t after[APPROVAL_ID_SIZE];
	size_t count = MAINTAIN_PAGE;
	unsigned commits = 0;
	bool begun = false;
	while (count == MAINTAIN_PAGE && commits < MAINTAIN_COMMITS) {
		enum err_code code = approval_list(app->store,
		    begun ? after : NULL, MAINTAIN_PAGE, page, &count, err);
		if (code != ERR_OK)
			return code;
		for (size_t i = 0; i < count; i++) {
			if (code == ERR_OK)
				code = maintain_one(
				    app, page[i], &commits, err);
			memcpy(after, page[i]->id, sizeof(after));
			approval_free(page[i]);
		}
		if (code != ERR_OK)
			return code;
		begun = true;
	}
	return ERR_OK;
}
