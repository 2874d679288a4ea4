// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/text.h"

static char *object_of(const struct token *token)
{
	char id[2 * TOKEN_ID_SIZE + 1];
	return mem_printf(
	    "token:%s", hex_write(token->id, TOKEN_ID_SIZE, id));
}

/* A profile that the policy does not have would make a token for nothing. */
static enum err_code check_profiles(const struct exchange *x,
    const struct cluster *cluster, const struct texts *profiles,
    struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	const struct policy *policy = NULL;
	enum err_code code =
	    policy_set_get(policies, cluster->policy, &policy, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < profiles->count; i++)
		if (!policy_has_profile(policy, profiles->items[i]))
			return err_refuse(err, ERR_BAD_FIELD,
			    "Field \"profiles\": policy %s has no profile "
			    "\"%s\"", cluster->policy,
			    err_quote_str(profiles->items[i]));
	return ERR_OK;
}

struct wish {
	int64_t uses, ttl;
	struct texts profiles, ranges;
};

static enum err_code read_wish(const struct exchange *x, struct wish *wish,
    json_t **json_out, struct err *err)
{
	const char *ttl = NULL;
	json_t *profiles = NULL, *from = NULL;
	const struct json_field fields[] = {
	    {"profiles", JSON_KIND_ARRAY, false, 0, TOKEN_PROFILES_MAX,
		&profiles},
	    {"uses", JSON_KIND_INT, false, 1, TOKEN_USES_MAX, &wish->uses},
	    {"ttl", JSON_KIND_STR, false, 1, 31, &ttl},
	    {"from", JSON_KIND_ARRAY, false, 0, TOKEN_RANGES_MAX, &from},
	};
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), json_out, err);
	if (code == ERR_OK)
		code = body_duration(ttl, "ttl", &wish->ttl, err);
	if (code == ERR_OK)
		code = body_texts(profiles, "profiles", TOKEN_PROFILES_MAX,
		    &wish->profiles, err);
	if (code == ERR_OK)
		code = body_texts(
		    from, "from", TOKEN_RANGES_MAX, &wish->ranges, err);
	return code;
}

static enum err_code create(struct exchange *x, const struct wish *wish,
    struct token **token_out, struct secret **text_out, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code = api_active_cluster(x, &cluster, err);
	if (code == ERR_OK)
		code = check_profiles(x, cluster, &wish->profiles, err);
	if (code != ERR_OK)
		return code;
	const struct token_request request = {
	    .cluster = cluster->name,
	    .creator = x->caller.id,
	    .profiles = wish->profiles.items,
	    .profiles_count = wish->profiles.count,
	    .ranges = wish->ranges.items,
	    .ranges_count = wish->ranges.count,
	    .uses = wish->uses,
	    .ttl = wish->ttl,
	};
	code = token_create(batch, &request, token_out, text_out, err);
	if (code != ERR_OK)
		return code;
	OWNED_STR(object) = object_of(*token_out);
	cluster_require(batch, cluster);
	trail_add(x, batch,
	    &(struct audit_entry){
		.action = "token.create", .object = object});
	return authn_commit(x, batch, err);
}

enum err_code handle_token_create(struct exchange *x, struct err *err)
{
	struct wish wish = {0};
	OWNED_JSON(json) = NULL;
	OWNED(token) token = NULL;
	OWNED(secret) text = NULL;
	unsigned attempt = 0;
	enum err_code code = read_wish(x, &wish, &json, err);
	while (code == ERR_OK) {
		token_free(GIVE(token));
		secret_free(GIVE(text));
		code = create(x, &wish, &token, &text, err);
		if (!api_again(code, &attempt))
			break;
		code = ERR_OK;
	}
	texts_free(&wish.profiles);
	texts_free(&wish.ranges);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(view) = view_token(token);
	api_reply_shown_once(x, view, "token", text);
	return ERR_OK;
}

enum err_code handle_token_list(struct exchange *x, struct err *err)
{
	struct page page;
	uint8_t after[TOKEN_ID_SIZE];
	char next[2 * TOKEN_ID_SIZE + 1];
	struct token *tokens[PAGE_MAX];
	OWNED(cluster) cluster = NULL;
	size_t count = 0;
	enum err_code code = page_read(x, &page, err);
	if (code == ERR_OK && page.cursor != NULL)
		code = page_cursor_octets(&page, sizeof(after), after, err);
	if (code == ERR_OK)
		code = cluster_get(
		    x->app->store, x->params.cluster, &cluster, err);
	if (code == ERR_OK)
		code = token_list(x->app->store, x->params.cluster,
		    page.cursor == NULL ? NULL : after, page.limit, tokens,
		    &count, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(items, view_token(tokens[i]));
		hex_write(tokens[i]->id, TOKEN_ID_SIZE, next);
		token_free(tokens[i]);
	}
	OWNED_JSON(json) = view_list(items, count == page.limit ? next : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

static enum err_code get(
    const struct exchange *x, struct token **token_out, struct err *err)
{
	uint8_t id[TOKEN_ID_SIZE];
	if (strlen(x->params.item) != 2 * sizeof(id) ||
	    !hex_parse(x->params.item, id, sizeof(id)))
		return err_refuse(err, ERR_NOT_FOUND,
		    "There is no token \"%s\"; its id is %zu hex digits",
		    err_quote_str(x->params.item), 2 * sizeof(id));
	return token_get(
	    x->app->store, x->params.cluster, id, token_out, err);
}

static enum err_code revoke_one(struct exchange *x, struct err *err)
{
	OWNED(token) token = NULL;
	OWNED(batch) batch = batch_new();
	enum err_code code = get(x, &token, err);
	if (code != ERR_OK || token->revoked)
		return code;
	OWNED_STR(object) = object_of(token);
	token_revoke(batch, token);
	trail_add(x, batch,
	    &(struct audit_entry){
		.action = "token.revoke", .object = object});
	return authn_commit(x, batch, err);
}

enum err_code handle_token_revoke(struct exchange *x, struct err *err)
{
	OWNED(token) token = NULL;
	unsigned attempt = 0;
	enum err_code code;
	do
		code = revoke_one(x, err);
	while (api_again(code, &attempt));
	if (code != ERR_OK)
		return code;
	code = get(x, &token, err);
	if (code != ERR_OK)
		return code;
	OWNED_JSON(json) = view_token(token);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
