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
