// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "api/api.h"
#include "api/view.h"
#include "base/json.h"

static const struct {
	uint32_t bit;
	const char *name;
} attributes[] = {
    {HSM_ATTR_TOKEN, "token"},
    {HSM_ATTR_PRIVATE, "private"},
    {HSM_ATTR_SENSITIVE, "sensitive"},
    {HSM_ATTR_ALWAYS_SENSITIVE, "always-sensitive"},
    {HSM_ATTR_EXTRACTABLE, "extractable"},
    {HSM_ATTR_NEVER_EXTRACTABLE, "never-extractable"},
    {HSM_ATTR_MODIFIABLE, "modifiable"},
    {HSM_ATTR_LOCAL, "local"},
    {HSM_ATTR_SIGN, "sign"},
    {HSM_ATTR_VERIFY, "verify"},
    {HSM_ATTR_ENCRYPT, "encrypt"},
    {HSM_ATTR_DECRYPT, "decrypt"},
    {HSM_ATTR_WRAP, "wrap"},
    {HSM_ATTR_UNWRAP, "unwrap"},
    {HSM_ATTR_DERIVE, "derive"},
};

static json_t *view_attributes(uint32_t set)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if ((set & attributes[i].bit) != 0)
			json_array_append_new(
			    array, json_string(attributes[i].name));
	return array;
}

/* Public keys have nothing to hide: the rule is for what must not leave. */
static bool is_secret(const struct hsm_object *object)
{
	return strcmp(object->kind, "private") == 0 ||
	    strcmp(object->kind, "secret-key") == 0;
}

static json_t *view_object(const struct hsm_object *object)
{
	json_t *json = json_object();
	const char *unsafe =
	    is_secret(object) ? hsm_object_unsafe(object) : NULL;

	view_set_text(json, "uri", object->uri);
	view_set_text(json, "label", object->label);
	view_set_hex(json, "id", BYTES(object->id, object->id_len));
	view_set_text(json, "kind", object->kind);
	view_set_text(json, "key_type", object->key_type);
	view_set(json, "attributes", view_attributes(object->attributes));
	view_set(json, "unknown", view_attributes(object->unknown));
	view_set(json, "safe", json_boolean(unsafe == NULL));
	view_set_opt(json, "unsafe_because", unsafe);
	return json;
}

enum err_code handle_hsm_objects(struct exchange *x, struct err *err)
{
	OWNED(hsm_object_list) list = NULL;
	enum err_code code = hsm_list(x->app->hsm, &list, err);

	if (code != ERR_OK)
		return code;
	json_t *items = json_array();
	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(items, view_object(&list->objects[i]));
	OWNED_JSON(json) = view_list(items, NULL);
	reply_json(&x->reply, MHD_HTTP_OK, json);
	return ERR_OK;
}
