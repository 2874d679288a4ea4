// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "api/api.h"
#include "api/body.h"
#include "api/view.h"
#include "base/text.h"

/* Policies are few and in memory: the cursor is the last name shown. */
enum err_code handle_policy_list(struct exchange *x, struct err *err)
{
	struct page page;
	OWNED(policy_set) policies = app_policies(x->app);
	const char *last = NULL;
	bool more = false;
	enum err_code code = page_read(x, &page, err);
	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < policy_set_count(policies); i++) {
		const struct policy *policy = policy_set_at(policies, i);
		if (page.cursor != NULL &&
		    strcmp(policy_name(policy), page.cursor) <= 0)
			continue;
		more = json_array_size(items) == page.limit;
		if (more)
			break;
		json_array_append_new(items, view_policy(policy, false));
		last = policy_name(policy);
	}
	OWNED_JSON(json) = view_list(items, more ? last : NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

enum err_code handle_policy_show(struct exchange *x, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	const struct policy *policy = NULL;
	struct err unknown = {0};
	if (policy_set_get(policies, x->params.item, &policy, &unknown) !=
	    ERR_OK)
		return err_refuse(err, ERR_NOT_FOUND, "There is no policy \"%s\"",
		    err_quote_str(x->params.item));
	OWNED_JSON(json) = view_policy(policy, true);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}

/* ---- roles ---- */

/* Where a page begins, and where it ends. */
struct role_page {
	json_t *items;
	const struct page *page;
	const char *last;
	bool begun, more;
};

static void add_role(struct role_page *to, const struct role_view *role)
{
	if (!to->begun) {
		to->begun = strcmp(role->name, to->page->cursor) == 0;
		return;
	}
	to->more = to->more || json_array_size(to->items) == to->page->limit;
	if (to->more)
		return;
	json_array_append_new(to->items, view_role(role));
	to->last = role->name;
}

static void add_builtin(struct role_page *to)
{
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		struct role_info info;
		role_info(i, &info);
		add_role(to,
		    &(struct role_view){.name = info.name,
			.description = info.help,
			.actions = info.all,
			.needs_cluster = info.bound,
			.is_builtin = true});
	}
}

static void add_own(struct role_page *to, const struct role_set *set)
{
	for (size_t i = 0; i < role_set_count(set); i++) {
		struct role_view role = {
		    .name = role_set_name(set, i),
		    .description = role_set_description(set, i),
		};
		(void)!role_set_find(set, role.name, &role.actions);
		role.needs_cluster = (role.actions &
		    PERMISSION_BIT(PERM_KEY_USE)) != 0;
		/* As every identity. */
		role.actions |= PERMISSION_BIT(PERM_IDENTITY_RENEW);
		add_role(to, &role);
	}
}

/* The built-in ones first, in the order of the table of grants, then those of the
 * file in its order: the cursor is the last name shown. */
enum err_code handle_role_list(struct exchange *x, struct err *err)
{
	struct page page;
	OWNED(policy_set) policies = app_policies(x->app);
	enum err_code code = page_read(x, &page, err);
	if (code != ERR_OK)
		return code;
	struct role_page to = {
	    .items = json_array(),
	    .page = &page,
	    .begun = page.cursor == NULL,
	};
	add_builtin(&to);
	add_own(&to, policy_set_roles(policies));
	OWNED_JSON(json) = view_list(to.items, to.more ? to.last : NULL);
	if (!to.begun)
		return err_refuse(err, ERR_BAD_FIELD,
		    "Parameter \"cursor\" is not the name of a role");
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
