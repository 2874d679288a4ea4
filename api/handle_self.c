// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"
#include "api/view.h"
#include "base/json.h"

/* The least that this server can answer: what others are measured against. */
enum err_code handle_ping(struct exchange *x, struct err *err)
{
	(void)err;
	reply_text(&x->reply, MHD_HTTP_NO_CONTENT, "");
	return ERR_OK;
}

static json_t *view_roles(const struct exchange *x)
{
	json_t *array = json_array();
	uint32_t roles = x->caller.roles;

	if (x->identity != NULL) {
		for (size_t i = 0; i < x->identity->roles_count; i++)
			json_array_append_new(
			    array, view_text(x->identity->roles[i]));
		return array;
	}
	for (uint32_t role = 1; role != 0 && role <= roles; role <<= 1)
		if ((roles & role) != 0)
			json_array_append_new(
			    array, json_string(role_name((enum role)role)));
	return array;
}

static json_t *view_profiles(const struct token *token)
{
	json_t *array = json_array();

	for (size_t i = 0; i < token->profiles_count; i++)
		json_array_append_new(array, view_text(token->profiles[i]));
	return array;
}

/* A node with a token alone learns here which cluster it belongs to. */
enum err_code handle_self(struct exchange *x, struct err *err)
{
	OWNED_JSON(json) = json_object();

	(void)err;
	view_set_text(json, "kind",
	    x->certificate != NULL ? "certificate" : "token");
	view_set_text(json, "id", x->caller.id);
	view_set_opt(json, "cluster", x->caller.cluster);
	view_set(json, "roles", view_roles(x));
	if (x->token != NULL) {
		view_set(json, "profiles", view_profiles(x->token));
		view_set_time(json, "expires", x->token->expires);
	} else if (x->certificate != NULL) {
		view_set_time(json, "expires", x->certificate->not_after);
	} else if (x->identity != NULL) {
		view_set_time(json, "expires", x->identity->expires);
	}
	if (x->identity != NULL) {
		view_set_hex(json, "identity", BYTES_OF(x->identity->id));
		view_set_text(json, "name", x->identity->name);
	}
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
