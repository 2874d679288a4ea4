// SPDX-License-Identifier: Apache-2.0
/* policy_load: from a YAML file to a policy, every word of it checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/profile.h"
#include "policies/rulefile.h"

#define FILE_MAX (256 * 1024)	/* octets */
#define FORMAT_VERSION 1
#define PROFILES_MAX 64
#define RULES_MAX 256		/* of one kind in one profile */
#define BACKDATE_DEFAULT (5 * 60)
#define BACKDATE_MAX 86400
#define VALIDITY_MIN 60
#define VALIDITY_MAX (10 * 365 * INT64_C(86400))

/* The file as libcyaml delivers it: text throughout, so that what is wrong can be
 * said in our words. */
struct text_list {
	char **items;
	uint32_t items_count;
};

struct file_validity {
	char *normal, *maximum, *backdate;
};

struct file_names {
	char **dns, **ip, **uri, **common_name, **require;
	uint32_t dns_count, ip_count, uri_count, common_name_count;
	uint32_t require_count;
	char **except;
	uint32_t except_count;
	char *wildcards;
};

struct file_profile {
	char *name, *description, *on_request, *private_names;
	char **key_types, **key_usage, **extended_key_usage;
	uint32_t key_types_count, key_usage_count, extended_key_usage_count;
	struct file_validity validity;
	struct file_names names;
};

struct file_policy {
	int64_t version;
	char *description;
	struct file_profile *profiles;
	uint32_t profiles_count;
};

#define LINE_MAX_LEN 1024

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, LINE_MAX_LEN),
};

#define TEXT_FIELD(key, flags, type, member)                                   \
	CYAML_FIELD_STRING_PTR(key, (flags) | CYAML_FLAG_POINTER, type, member, \
	    1, LINE_MAX_LEN)
#define LIST_FIELD(key, flags, type, member, least)                            \
	CYAML_FIELD_SEQUENCE(key, (flags) | CYAML_FLAG_POINTER, type, member,  \
	    &text_schema, least, RULES_MAX)
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_schema_field_t validity_fields[] = {
	TEXT_FIELD("default", 0, struct file_validity, normal),
	TEXT_FIELD("maximum", 0, struct file_validity, maximum),
	TEXT_FIELD("backdate", OPTIONAL, struct file_validity, backdate),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t names_fields[] = {
	LIST_FIELD("dns", OPTIONAL, struct file_names, dns, 0),
	LIST_FIELD("ip", OPTIONAL, struct file_names, ip, 0),
	LIST_FIELD("uri", OPTIONAL, struct file_names, uri, 0),
	LIST_FIELD("common_name", OPTIONAL, struct file_names, common_name, 0),
	LIST_FIELD("except_common_name", OPTIONAL, struct file_names, except, 0),
	LIST_FIELD("require", OPTIONAL, struct file_names, require, 0),
	TEXT_FIELD("wildcards", OPTIONAL, struct file_names, wildcards),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t profile_fields[] = {
	TEXT_FIELD("name", 0, struct file_profile, name),
	TEXT_FIELD("description", 0, struct file_profile, description),
	TEXT_FIELD("named_tokens_only", OPTIONAL, struct file_profile,
	    on_request),
	TEXT_FIELD("private_names", OPTIONAL, struct file_profile,
	    private_names),
	LIST_FIELD("key_types", 0, struct file_profile, key_types, 1),
	CYAML_FIELD_MAPPING("validity", CYAML_FLAG_DEFAULT, struct file_profile,
	    validity, validity_fields),
	LIST_FIELD("key_usage", 0, struct file_profile, key_usage, 1),
	LIST_FIELD("extended_key_usage", 0, struct file_profile,
	    extended_key_usage, 1),
	CYAML_FIELD_MAPPING("names", CYAML_FLAG_OPTIONAL, struct file_profile,
	    names, names_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t profile_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct file_profile, profile_fields),
};

static const cyaml_schema_field_t policy_fields[] = {
	CYAML_FIELD_INT(
	    "version", CYAML_FLAG_DEFAULT, struct file_policy, version),
	TEXT_FIELD("description", 0, struct file_policy, description),
	CYAML_FIELD_SEQUENCE("profiles", CYAML_FLAG_POINTER, struct file_policy,
	    profiles, &profile_schema, 1, PROFILES_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t policy_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct file_policy, policy_fields),
};

static void file_policy_cleanup(struct file_policy **file)
{
	yaml_release(&policy_schema, *file);
}

/* As rulefile_refuse, at one item of a list. */
static enum err_code refuse_item(const struct rulefile *at, const char *list,
    size_t index, const char *item, const char *wrong)
{
	OWNED_STR(field) = mem_printf("%s[%zu]", list, index + 1);

	return rulefile_refuse(at, field, "\"%s\" %s", err_quote_str(item), wrong);
}

/* The bit of the word ITEM among WORDS; 0 when there is none. */
static uint32_t find_word(
    const struct policy_word *words, size_t count, const char *item)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i].text, item) == 0)
			return words[i].bit;
	}
	return 0;
}

struct vocabulary {
	const char *field;
	const struct policy_word *words;
	size_t count;
};

static enum err_code load_words(const struct rulefile *at,
    const struct vocabulary *known, struct text_list list, uint32_t *bits_out)
{
	for (size_t i = 0; i < list.items_count; i++) {
		uint32_t bit =
		    find_word(known->words, known->count, list.items[i]);
		OWNED_BUF(wrong);

		if (bit != 0 && (*bits_out & bit) == 0) {
			*bits_out |= bit;
			continue;
		}
		buf_put_str(&wrong, bit != 0 ? "is there twice"
					     : "is not known here; known are ");
		for (size_t j = 0; bit == 0 && j < known->count; j++)
			buf_printf(&wrong, "%s%s", j > 0 ? ", " : "",
			    known->words[j].text);
		buf_put_u8(&wrong, '\0');
		return refuse_item(at, known->field, i, list.items[i],
		    (const char *)wrong.data);
	}
	return ERR_OK;
}

static enum err_code load_key_types(const struct rulefile *at,
    struct text_list list, uint32_t *bits_out)
{
	struct policy_word words[KEY_TYPE_COUNT];
	struct vocabulary known = {"key_types", words, KEY_TYPE_COUNT};

	for (size_t i = 0; i < KEY_TYPE_COUNT; i++)
		words[i] = (struct policy_word){
		    key_type_name((enum key_type)i), KEY_TYPE_BIT(i), NULL};
	return load_words(at, &known, list, bits_out);
}

static enum err_code load_usages(const struct rulefile *at,
    const struct file_profile *from, struct profile *profile)
{
	static const struct vocabulary key_usages = {
	    "key_usage", policy_key_usages, ARRAY_LEN(policy_key_usages)};
	static const struct vocabulary ext_usages = {"extended_key_usage",
	    policy_ext_usages, ARRAY_LEN(policy_ext_usages)};
	enum err_code code;

	code = load_words(at, &key_usages, (struct text_list){
	    from->key_usage, from->key_usage_count}, &profile->key_usage);
	if (code != ERR_OK)
		return code;
	code = load_words(at, &ext_usages, (struct text_list){
	    from->extended_key_usage, from->extended_key_usage_count},
	    &profile->ext_usage);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < KEY_TYPE_COUNT; i++) {
		enum key_type type = (enum key_type)i;

		if ((profile->key_types & KEY_TYPE_BIT(type)) != 0 &&
		    policy_fit_usage(profile->key_usage, type) == 0)
			return rulefile_refuse(at, "key_usage",
			    "no key usage is left for a key of type %s",
			    key_type_name(type));
	}
	return ERR_OK;
}

/* A duration of LEAST to MOST seconds. */
struct span {
	const char *field;
	int64_t least, most;
};

static enum err_code load_duration(const struct rulefile *at,
    const struct span *span, const char *text, int64_t *seconds_out)
{
	char least[CLOCK_TEXT_SIZE], most[CLOCK_TEXT_SIZE];

	if (!duration_parse(text, seconds_out))
		return rulefile_refuse(at, span->field,
		    "\"%s\" is not a duration such as 30d or 12h",
		    err_quote_str(text));
	if (*seconds_out < span->least || *seconds_out > span->most)
		return rulefile_refuse(at, span->field, "\"%s\" is not from %s to %s",
		    err_quote_str(text), duration_format(span->least, least),
		    duration_format(span->most, most));
	return ERR_OK;
}

static enum err_code load_validity(const struct rulefile *at,
    const struct file_validity *from, struct profile *profile)
{
	static const struct span maximum = {
	    "validity.maximum", VALIDITY_MIN, VALIDITY_MAX};
	static const struct span normal = {
	    "validity.default", VALIDITY_MIN, VALIDITY_MAX};
	static const struct span backdate = {
	    "validity.backdate", 0, BACKDATE_MAX};
	enum err_code code;

	code = load_duration(
	    at, &maximum, from->maximum, &profile->validity_maximum);
	if (code != ERR_OK)
		return code;
	code = load_duration(
	    at, &normal, from->normal, &profile->validity_default);
	if (code != ERR_OK)
		return code;
	if (profile->validity_default > profile->validity_maximum)
		return rulefile_refuse(at, "validity.default",
		    "the default \"%s\" is more than the maximum \"%s\"",
		    err_quote_str(from->normal), err_quote_str(from->maximum));
	profile->backdate = BACKDATE_DEFAULT;
	if (from->backdate == NULL)
		return ERR_OK;
	return load_duration(
	    at, &backdate, from->backdate, &profile->backdate);
}

static enum err_code load_rules(const struct rulefile *at, enum rule_place of,
    struct text_list list, struct rules *rules)
{
	static const char *const fields[] = {
		[RULE_DNS] = "names.dns",
		[RULE_IP] = "names.ip",
		[RULE_URI] = "names.uri",
		[RULE_CN] = "names.common_name",
	};

	if (list.items_count == 0)
		return ERR_OK;
	rules->items = mem_zalloc_array(list.items_count, sizeof(*rules->items));
	for (size_t i = 0; i < list.items_count; i++) {
		const char *why;

		if (!rule_parse(of, list.items[i], &rules->items[i], &why))
			return refuse_item(
			    at, fields[of], i, list.items[i], why);
		rules->count++;
	}
	return ERR_OK;
}

static enum err_code load_bool(const struct rulefile *at, const char *field,
    const char *text, bool *value_out)
{
	/* Not libcyaml's type: to it every word but four means true. */
	*value_out = text != NULL && strcmp(text, "true") == 0;
	if (text != NULL && !*value_out && strcmp(text, "false") != 0)
		return rulefile_refuse(at, field,
		    "\"%s\" is neither true nor false", err_quote_str(text));
	return ERR_OK;
}

static enum err_code load_names(const struct rulefile *at,
    const struct file_names *from, struct profile *profile)
{
	static const struct vocabulary requires = {
	    "names.require", policy_requires, ARRAY_LEN(policy_requires)};
	const struct {
		enum rule_place of;
		struct text_list list;
		struct rules *rules;
	} lists[] = {
		{RULE_DNS, {from->dns, from->dns_count}, &profile->dns},
		{RULE_IP, {from->ip, from->ip_count}, &profile->ip},
		{RULE_URI, {from->uri, from->uri_count}, &profile->uri},
		{RULE_CN, {from->common_name, from->common_name_count},
		    &profile->common_name},
	};
	enum err_code code;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		code = load_rules(
		    at, lists[i].of, lists[i].list, lists[i].rules);
		if (code != ERR_OK)
			return code;
	}
	code = load_bool(
	    at, "names.wildcards", from->wildcards, &profile->wildcards);
	if (code != ERR_OK)
		return code;
	profile->except = mem_zalloc_array(
	    (size_t)from->except_count + 1, sizeof(*profile->except));
	while (profile->except_count < from->except_count) {
		size_t i = profile->except_count++;

		profile->except[i] = mem_strdup(from->except[i]);
	}
	return load_words(at, &requires, (struct text_list){
	    from->require, from->require_count}, &profile->require);
}

static enum err_code load_profile(const struct rulefile *at,
    const struct file_profile *from, struct policy *policy)
{
	struct profile *profile = &policy->profiles[at->item];
	enum err_code code;

	if (!text_is_label(from->name))
		return rulefile_refuse(at, "name",
		    "\"%s\" is not a profile's name: 1 to 63 of a-z, 0-9 and '-'",
		    err_quote_str(from->name));
	if (policy_has_profile(policy, from->name))
		return rulefile_refuse(at, "name", "profile \"%s\" is there twice",
		    err_quote_str(from->name));
	profile->name = mem_strdup(from->name);
	profile->description = mem_strdup(from->description);
	policy->profiles_count++;
	code = load_key_types(at, (struct text_list){
	    from->key_types, from->key_types_count}, &profile->key_types);
	if (code != ERR_OK)
		return code;
	if ((code = load_usages(at, from, profile)) != ERR_OK ||
	    (code = load_bool(at, "named_tokens_only", from->on_request,
		 &profile->named_only)) != ERR_OK ||
	    (code = load_bool(at, "private_names", from->private_names,
		 &profile->private_names)) != ERR_OK)
		return code;
	code = load_validity(at, &from->validity, profile);
	if (code != ERR_OK)
		return code;
	return load_names(at, &from->names, profile);
}

static enum err_code load_profiles(struct rulefile *at,
    const struct file_policy *file, struct policy *policy)
{
	policy->profiles = mem_zalloc_array(
	    file->profiles_count, sizeof(*policy->profiles));
	for (size_t i = 0; i < file->profiles_count; i++) {
		enum err_code code;

		at->item = i;
		code = load_profile(at, &file->profiles[i], policy);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* "…/etcd.yaml" gives "etcd"; NULL when that is no label. */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	size_t len = strlen(base);
	char *name;

	if (!text_has_suffix(base, ".yaml"))
		return NULL;
	name = mem_strndup(base, len - strlen(".yaml"));
	if (text_is_label(name))
		return name;
	free(name);
	return NULL;
}

/* As policy_parse, of what AT has read. */
static enum err_code parse(struct rulefile *at, struct policy **policy_out)
{
	__attribute__((cleanup(file_policy_cleanup))) struct file_policy *file =
	    NULL;
	OWNED(policy) policy = mem_zalloc(sizeof(*policy));
	void *data = NULL;
	enum err_code code;

	if ((policy->name = name_of(at->path)) == NULL)
		return err_refuse(at->err, ERR_CONFIG,
		    "\"%s\": the file of a policy is "
		    "called NAME.yaml, NAME of a-z, 0-9 and '-'",
		    err_quote_str(at->path));
	if ((code = rulefile_parse(at, &data)) != ERR_OK)
		return code;
	file = data;
	code = rulefile_check_version(at, file->version, FORMAT_VERSION);
	if (code != ERR_OK)
		return code;
	policy->description = mem_strdup(file->description);
	if ((code = load_profiles(at, file, policy)) != ERR_OK)
		return code;
	*policy_out = GIVE(policy);
	return ERR_OK;
}

static struct rulefile at_start(const char *path, struct err *err)
{
	return (struct rulefile){
	    .path = path,
	    .schema = &policy_schema,
	    .list = "profiles",
	    .err = err,
	};
}

enum err_code policy_load(
    const char *path, struct policy **policy_out, struct err *err)
{
	struct rulefile at = at_start(path, err);
	OWNED_BUF(text);
	enum err_code code = rulefile_read(&at, FILE_MAX, &text);

	return code == ERR_OK ? parse(&at, policy_out) : code;
}

enum err_code policy_parse(const char *path, struct bytes text,
    struct policy **policy_out, struct err *err)
{
	struct rulefile at = at_start(path, err);

	at.text = text;
	return parse(&at, policy_out);
}
