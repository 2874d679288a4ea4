// SPDX-License-Identifier: Apache-2.0
#include "policies/approvers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "policies/record.h"
#include "policies/rulefile.h"

#define FILE_MAX (64 * 1024)	/* octets */
#define FORMAT_VERSION 1
#define RULES_MAX 32
#define APPROVERS_MAX 64	/* names of one rule, and roles */
#define EXPIRES_DEFAULT INT64_C(86400)	/* seconds, as the two below */
#define EXPIRES_MIN 60
#define EXPIRES_MAX (30 * INT64_C(86400))
#define LINE_MAX_LEN 256

static const struct {
	const char *name, *help;
} guarded[GUARDED_COUNT] = {
	[GUARDED_NONE] = {"none", "nothing"},
#define GUARDED(id, name, help) [GUARDED_##id] = {name, help},
#include "policies/approvers.def"
#undef GUARDED
};

const char *guarded_name(enum guarded_action action)
{
	return action < GUARDED_COUNT ? guarded[action].name : "unknown";
}

const char *guarded_help(enum guarded_action action)
{
	return action < GUARDED_COUNT ? guarded[action].help : "unknown";
}

bool guarded_parse(const char *name, enum guarded_action *action_out)
{
	for (unsigned i = GUARDED_NONE + 1; i < GUARDED_COUNT; i++) {
		if (strcmp(guarded[i].name, name) == 0) {
			*action_out = (enum guarded_action)i;
			return true;
		}
	}
	return false;
}

/* ---- the file ---- */

struct file_rule {
	char **actions, **roles, **names;
	uint32_t actions_count, roles_count, names_count;
	int64_t needed;
	char *expires;
};

struct file_rules {
	int64_t version;
	struct file_rule *rules;
	uint32_t rules_count;
};

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, LINE_MAX_LEN),
};

#define LIST_FIELD(key, flags, member, least)                                  \
	CYAML_FIELD_SEQUENCE(key, (flags) | CYAML_FLAG_POINTER,                \
	    struct file_rule, member, &text_schema, least, APPROVERS_MAX)

static const cyaml_schema_field_t rule_fields[] = {
	LIST_FIELD("actions", 0, actions, 1),
	CYAML_FIELD_INT(
	    "needed", CYAML_FLAG_DEFAULT, struct file_rule, needed),
	LIST_FIELD("roles", CYAML_FLAG_OPTIONAL, roles, 0),
	LIST_FIELD("identities", CYAML_FLAG_OPTIONAL, names, 0),
	CYAML_FIELD_STRING_PTR("expires",
	    CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct file_rule,
	    expires, 1, LINE_MAX_LEN),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_rule, rule_fields),
};

static const cyaml_schema_field_t rules_fields[] = {
	CYAML_FIELD_INT(
	    "version", CYAML_FLAG_DEFAULT, struct file_rules, version),
	CYAML_FIELD_SEQUENCE("approvals", CYAML_FLAG_POINTER,
	    struct file_rules, rules, &rule_schema, 0, RULES_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t rules_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct file_rules, rules_fields),
};

static void file_rules_cleanup(struct file_rules **file)
{
	yaml_release(&rules_schema, *file);
}

/* ---- the rules ---- */

struct approver_rules {
	struct approver_rule *rules;
	size_t count;
	const struct approver_rule *of[GUARDED_COUNT];
};

void approver_rules_free(struct approver_rules *rules)
{
	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++) {
		struct approver_rule *rule = &rules->rules[i];

		record_texts_free(rule->roles, rule->roles_count);
		record_texts_free(rule->names, rule->names_count);
	}
	free(rules->rules);
	free(rules);
}

const struct approver_rule *approver_rules_find(
    const struct approver_rules *rules, enum guarded_action action)
{
	return rules == NULL || action >= GUARDED_COUNT ? NULL
							: rules->of[action];
}

static void print_list(
    const char *word, char *const *texts, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%s", i == 0 ? word : ", ", texts[i]);
}

void approver_rules_print(const struct approver_rules *rules, struct buf *out)
{
	char expires[CLOCK_TEXT_SIZE];

	for (unsigned i = GUARDED_NONE + 1; i < GUARDED_COUNT; i++) {
		const struct approver_rule *rule = rules->of[i];

		if (rule == NULL)
			continue;
		buf_printf(out, "action %s: %s\n    needs %u", guarded[i].name,
		    guarded[i].help, rule->needed);
		print_list(" of role ", rule->roles, rule->roles_count, out);
		print_list(rule->roles_count > 0 ? " or of " : " of ",
		    rule->names, rule->names_count, out);
		buf_printf(out, ", within %s\n",
		    duration_format(rule->expires, expires));
	}
}

struct loader {
	struct rulefile at;
	const struct role_set *roles;
};

static bool holds(const struct caller *caller)
{
	const struct object object = {OBJECT_PLAIN, NULL};
	struct err ignored;

	return authorize(caller, PERM_APPROVAL_DECIDE, &object, &ignored) ==
	    ERR_OK;
}

static enum err_code load_role(
    const struct loader *loader, size_t index, const char *name)
{
	OWNED_STR(field) = mem_printf("roles[%zu]", index + 1);
	struct caller taken = {.kind = CALLER_CERTIFICATE};

	if (!role_take(loader->roles, name, &taken))
		return rulefile_refuse(&loader->at, field, "there is no role \"%s\"",
		    err_quote_str(name));
	if (!holds(&taken))
		return rulefile_refuse(&loader->at, field, "role \"%s\" lacks %s", name,
		    permission_name(PERM_APPROVAL_DECIDE));
	return ERR_OK;
}

static enum err_code load_lists(const struct loader *loader,
    const struct file_rule *from, struct approver_rule *rule)
{
	enum err_code code;

	rule->roles = mem_zalloc_array(
	    (size_t)from->roles_count + 1, sizeof(*rule->roles));
	for (size_t i = 0; i < from->roles_count; i++) {
		code = load_role(loader, i, from->roles[i]);
		if (code != ERR_OK)
			return code;
		rule->roles[rule->roles_count++] = mem_strdup(from->roles[i]);
	}
	rule->names = mem_zalloc_array(
	    (size_t)from->names_count + 1, sizeof(*rule->names));
	for (size_t i = 0; i < from->names_count; i++)
		rule->names[rule->names_count++] = mem_strdup(from->names[i]);
	return ERR_OK;
}

static enum err_code load_needed(const struct rulefile *at,
    const struct file_rule *from, struct approver_rule *rule)
{
	if (from->needed < 1 || from->needed > APPROVERS_NEEDED_MAX)
		return rulefile_refuse(at, "needed", "%lld is not from 1 to %d",
		    (long long)from->needed, APPROVERS_NEEDED_MAX);
	rule->needed = (unsigned)from->needed;
	if (rule->roles_count == 0 && rule->names_count < rule->needed)
		return rulefile_refuse(at, "needed",
		    "%u consents, and no more than %zu may give one",
		    rule->needed, rule->names_count);
	return ERR_OK;
}

static enum err_code load_expires(const struct rulefile *at,
    const struct file_rule *from, struct approver_rule *rule)
{
	rule->expires = EXPIRES_DEFAULT;
	if (from->expires == NULL)
		return ERR_OK;
	if (!duration_parse(from->expires, &rule->expires) ||
	    rule->expires < EXPIRES_MIN || rule->expires > EXPIRES_MAX)
		return rulefile_refuse(at, "expires",
		    "\"%s\" is not a duration from 1m to 30d",
		    err_quote_str(from->expires));
	return ERR_OK;
}

static enum err_code load_actions(const struct rulefile *at,
    const struct file_rule *from, const struct approver_rule *rule,
    struct approver_rules *rules)
{
	for (size_t i = 0; i < from->actions_count; i++) {
		OWNED_STR(field) = mem_printf("actions[%zu]", i + 1);
		enum guarded_action action = GUARDED_NONE;

		if (!guarded_parse(from->actions[i], &action))
			return rulefile_refuse(at, field,
			    "\"%s\" is no action; signet-policy(5) lists them",
			    err_quote_str(from->actions[i]));
		if (rules->of[action] != NULL)
			return rulefile_refuse(at, field, "\"%s\" is there twice",
			    from->actions[i]);
		rules->of[action] = rule;
	}
	return ERR_OK;
}

static enum err_code load_rule(const struct loader *loader,
    const struct file_rule *from, struct approver_rules *rules)
{
	struct approver_rule *rule = &rules->rules[rules->count++];
	const struct rulefile *at = &loader->at;
	enum err_code code;

	if ((code = load_lists(loader, from, rule)) != ERR_OK ||
	    (code = load_needed(at, from, rule)) != ERR_OK ||
	    (code = load_expires(at, from, rule)) != ERR_OK)
		return code;
	return load_actions(at, from, rule, rules);
}

static enum err_code load_rules(struct loader *loader,
    const struct file_rules *file, struct approver_rules *rules)
{
	struct rulefile *at = &loader->at;
	enum err_code code =
	    rulefile_check_version(at, file->version, FORMAT_VERSION);

	rules->rules = mem_zalloc_array(
	    (size_t)file->rules_count + 1, sizeof(*rules->rules));
	for (; code == ERR_OK && at->item < file->rules_count; at->item++)
		code = load_rule(loader, &file->rules[at->item], rules);
	return code;
}

/* Who may not make an approver alone, or end one, may not turn another into one
 * or take its place either. */
static void fill_in(struct approver_rules *rules)
{
	const struct approver_rule **change =
	    &rules->of[GUARDED_IDENTITY_CHANGE];

	if (*change == NULL)
		*change = rules->of[GUARDED_IDENTITY_CREATE];
	if (*change == NULL)
		*change = rules->of[GUARDED_IDENTITY_REVOKE];
}

enum err_code approver_rules_load(const char *path,
    const struct role_set *roles, struct approver_rules **rules_out,
    struct err *err)
{
	__attribute__((cleanup(file_rules_cleanup))) struct file_rules *file =
	    NULL;
	struct loader loader = {
	    .at = {.path = path,
		.schema = &rules_schema,
		.list = "approvals",
		.err = err},
	    .roles = roles,
	};
	OWNED(approver_rules) rules = mem_zalloc(sizeof(*rules));
	OWNED_BUF(text);
	void *data = NULL;
	enum err_code code;

	if (!fs_exists(path)) {
		*rules_out = GIVE(rules);
		return ERR_OK;
	}
	if ((code = rulefile_read(&loader.at, FILE_MAX, &text)) != ERR_OK ||
	    (code = rulefile_parse(&loader.at, &data)) != ERR_OK)
		return code;
	file = data;
	if ((code = load_rules(&loader, file, rules)) != ERR_OK)
		return code;
	fill_in(rules);
	*rules_out = GIVE(rules);
	return ERR_OK;
}

/* ---- who approves ---- */

static bool has_text(char *const *texts, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(texts[i], text) == 0)
			return true;
	}
	return false;
}

static bool rule_names(
    const struct approver_rule *rule, const struct identity *identity)
{
	for (size_t i = 0; i < identity->roles_count; i++) {
		if (has_text(
			rule->roles, rule->roles_count, identity->roles[i]))
			return true;
	}
	return has_text(rule->names, rule->names_count, identity->name);
}

static bool may_decide(const struct role_set *roles,
    const struct identity *identity)
{
	struct caller caller = {.kind = CALLER_CERTIFICATE};

	identity_act(identity, roles, &caller);
	OWNED_STR(bond) = caller.cluster;
	return bond == NULL && holds(&caller);
}

const char *approver_fault(const struct approver_rule *rule,
    const struct role_set *roles, const struct identity *identity, int64_t now)
{
	if (identity->revoked != 0)
		return "is revoked";
	if (identity_fault(identity, now) != NULL)
		return "has expired";
	if (!rule_names(rule, identity))
		return "is none of the approvers of this action";
	if (!may_decide(roles, identity))
		return "may not decide any more";
	return NULL;
}

bool approver_is(const struct approver_rules *rules,
    const struct role_set *roles, const struct identity *identity)
{
	/* One that is bound to a cluster decides nothing, and is an admin. */
	struct identity unbound = *identity;

	unbound.cluster = NULL;
	for (size_t i = 0; rules != NULL && i < rules->count; i++) {
		if (rule_names(&rules->rules[i], identity))
			return true;
	}
	return may_decide(roles, &unbound);
}
