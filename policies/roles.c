// SPDX-License-Identifier: Apache-2.0
#include "policies/roles.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "policies/rulefile.h"

#define FILE_MAX (64 * 1024)	/* octets */
#define FORMAT_VERSION 1
#define ROLES_MAX 64
#define LINE_MAX_LEN 1024

struct file_role {
	char *name, *description;
	char **actions;
	uint32_t actions_count;
};

struct file_roles {
	int64_t version;
	struct file_role *roles;
	uint32_t roles_count;
};

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, LINE_MAX_LEN),
};

static const cyaml_schema_field_t role_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file_role,
	    name, 1, LINE_MAX_LEN),
	CYAML_FIELD_STRING_PTR("description", CYAML_FLAG_POINTER,
	    struct file_role, description, 1, LINE_MAX_LEN),
	CYAML_FIELD_SEQUENCE("actions", CYAML_FLAG_POINTER, struct file_role,
	    actions, &text_schema, 1, PERM_COUNT),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t role_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_role, role_fields),
};

static const cyaml_schema_field_t roles_fields[] = {
	CYAML_FIELD_INT(
	    "version", CYAML_FLAG_DEFAULT, struct file_roles, version),
	CYAML_FIELD_SEQUENCE("roles", CYAML_FLAG_POINTER, struct file_roles,
	    roles, &role_schema, 0, ROLES_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t roles_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct file_roles, roles_fields),
};

static void file_roles_cleanup(struct file_roles **file)
{
	yaml_release(&roles_schema, *file);
}

struct role_def {
	char *name, *description;
	permissions permissions;
};

struct role_set {
	struct role_def *roles;
	size_t count;
};

void role_set_free(struct role_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->count; i++) {
		free(set->roles[i].name);
		free(set->roles[i].description);
	}
	free(set->roles);
	free(set);
}

size_t role_set_count(const struct role_set *set)
{
	return set->count;
}

const char *role_set_name(const struct role_set *set, size_t index)
{
	return set->roles[index].name;
}

const char *role_set_description(const struct role_set *set, size_t index)
{
	return set->roles[index].description;
}

bool role_set_find(const struct role_set *set, const char *name,
    permissions *permissions_out)
{
	for (size_t i = 0; set != NULL && i < set->count; i++) {
		if (strcmp(set->roles[i].name, name) == 0) {
			*permissions_out = set->roles[i].permissions;
			return true;
		}
	}
	return false;
}

bool role_take(
    const struct role_set *set, const char *name, struct caller *caller)
{
	permissions added;
	enum role role;

	if (role_parse(name, &role)) {
		caller->roles |= (uint32_t)role;
		return true;
	}
	if (!role_set_find(set, name, &added))
		return false;
	caller->custom |= added;
	return true;
}

static void print_actions(permissions set, struct buf *out)
{
	const char *between = "";

	for (unsigned p = 0; p < PERM_COUNT; p++) {
		if ((set & PERMISSION_BIT(p)) == 0)
			continue;
		buf_printf(out, "%s%s", between,
		    permission_name((enum permission)p));
		between = ", ";
	}
}

void role_set_print(const struct role_set *set, struct buf *out)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct role_def *role = &set->roles[i];

		buf_printf(out, "role %s: %s\n    may ", role->name,
		    role->description);
		print_actions(role->permissions, out);
		buf_put_str(out, "\n");
	}
}

static enum err_code load_action(const struct rulefile *at, size_t index,
    const char *text, permissions *set)
{
	OWNED_STR(field) = mem_printf("actions[%zu]", index + 1);
	enum permission action = PERM_NONE;

	if (!permission_parse(text, &action))
		return rulefile_refuse(at, field,
		    "\"%s\" is no action; signet-policy(5) lists them",
		    err_quote_str(text));
	if (!permission_is_grantable(action))
		return rulefile_refuse(at, field,
		    "\"%s\" is not given by roles of a file", text);
	if ((*set & PERMISSION_BIT(action)) != 0)
		return rulefile_refuse(at, field, "\"%s\" is there twice", text);
	*set |= PERMISSION_BIT(action);
	return ERR_OK;
}

static enum err_code check_name(const struct rulefile *at, const char *name,
    const struct role_set *set)
{
	permissions known;
	enum role role;

	if (!text_is_label(name))
		return rulefile_refuse(at, "name",
		    "\"%s\" is not of a-z, 0-9 and '-'", err_quote_str(name));
	if (role_parse(name, &role))
		return rulefile_refuse(at, "name",
		    "\"%s\" is a built-in role, which nothing changes", name);
	if (role_set_find(set, name, &known))
		return rulefile_refuse(at, "name", "\"%s\" is there twice", name);
	return ERR_OK;
}

static enum err_code load_role(const struct rulefile *at,
    const struct file_role *from, struct role_set *set)
{
	struct role_def *role = &set->roles[set->count];
	enum err_code code = check_name(at, from->name, set);

	if (code != ERR_OK)
		return code;
	role->name = mem_strdup(from->name);
	role->description = mem_strdup(from->description);
	set->count++;
	for (size_t i = 0; i < from->actions_count; i++) {
		code = load_action(
		    at, i, from->actions[i], &role->permissions);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code load_roles(struct rulefile *at,
    const struct file_roles *file, struct role_set *set)
{
	enum err_code code =
	    rulefile_check_version(at, file->version, FORMAT_VERSION);

	set->roles = mem_zalloc_array(file->roles_count, sizeof(*set->roles));
	for (; code == ERR_OK && at->item < file->roles_count; at->item++)
		code = load_role(at, &file->roles[at->item], set);
	return code;
}

enum err_code role_set_load(
    const char *path, struct role_set **set_out, struct err *err)
{
	__attribute__((cleanup(file_roles_cleanup))) struct file_roles *file =
	    NULL;
	struct rulefile at = {
	    .path = path, .schema = &roles_schema, .list = "roles", .err = err};
	OWNED(role_set) set = mem_zalloc(sizeof(*set));
	OWNED_BUF(text);
	void *data = NULL;
	enum err_code code;

	if (!fs_exists(path)) {
		*set_out = GIVE(set);
		return ERR_OK;
	}
	if ((code = rulefile_read(&at, FILE_MAX, &text)) != ERR_OK ||
	    (code = rulefile_parse(&at, &data)) != ERR_OK)
		return code;
	file = data;
	if ((code = load_roles(&at, file, set)) != ERR_OK)
		return code;
	*set_out = GIVE(set);
	return ERR_OK;
}
