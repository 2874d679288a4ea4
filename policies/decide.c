// SPDX-License-Identifier: Apache-2.0
/* policy_decide: one check, one function; whatever no rule allows is refused. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/profile.h"
#include "store/alias.h"

/* What the checks share. */
struct inquiry {
	const struct policy_question *question;
	const struct profile *profile;
	struct rule_scope scope;
	char rule[160];		/* "policy etcd, profile peer" */
	struct err *err;
};

void decision_free(struct decision *decision)
{
	if (decision == NULL)
		return;
	names_free(decision->names);
	free(decision->rule);
	free(decision);
}

static enum err_code PRINTF_LIKE(2, 3) refuse(
    const struct inquiry *inquiry, const char *fmt, ...)
{
	char wrong[sizeof(inquiry->err->detail)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(wrong, sizeof(wrong), fmt, args);
	va_end(args);
	return err_refuse(
	    inquiry->err, ERR_POLICY, "%s (%s)", wrong, inquiry->rule);
}

/*
 * What is kept of a refusal that quotes NAME, where names are private.  Nothing of
 * what is allowed either: a pattern of the cluster may be a whole name.
 */
static void withhold(const struct inquiry *inquiry, const char *label,
    const char *name, const char *wrong)
{
	const struct policy_question *question = inquiry->question;
	char alias[ALIAS_TEXT_SIZE] = "(private)";

	if (!policy_has_private_names(question->policy))
		return;
	if (question->store != NULL &&
	    alias_make(question->store, name, alias) &&
	    question->private_out != NULL)
		*question->private_out = name;
	err_keep(inquiry->err, "%s %s %s (%s)", label, alias, wrong,
	    inquiry->rule);
}

/* A list that is cut where the detail of an error would end. */
struct short_list {
	struct buf text;
	size_t room;		/* octets that may be used */
	size_t count, shown;
};

#define MORE_LEN sizeof(", and 99999 more")

static void add_item(const char *item, void *arg)
{
	struct short_list *list = arg;
	size_t len = strlen(item) + 2;

	list->count++;
	if (list->shown + 1 < list->count ||
	    list->text.len + len + MORE_LEN > list->room)
		return;
	buf_printf(&list->text, "%s%s", list->shown > 0 ? ", " : "", item);
	list->shown++;
}

static void finish_list(struct short_list *list)
{
	size_t more = list->count - list->shown;

	if (more > 0)
		buf_printf(&list->text, list->shown > 0 ? ", and %zu more"
		    : "%zu, too long to show", more);
	if (list->count == 0)
		buf_put_str(&list->text, "none");
	buf_put_u8(&list->text, '\0');
}

/* LABEL "NAME" is not among the names of cluster orders: a, b (rule). */
static enum err_code refuse_name(const struct inquiry *inquiry,
    const char *label, const char *name, const struct rules *rules)
{
	static const char fmt[] = "%s \"%s\" is not among the names of cluster %s: ";
	const char *cluster = inquiry->question->cluster->name;
	const char *quoted = err_quote_str(name);
	struct short_list list = {.text = BUF_INIT};
	size_t used = sizeof(fmt) + strlen(label) + strlen(quoted) +
	    strlen(cluster) + strlen(inquiry->rule) + sizeof(" ()");
	enum err_code code;

	if (used < sizeof(inquiry->err->detail))
		list.room = sizeof(inquiry->err->detail) - used;
	rule_expand(rules, &inquiry->scope, add_item, &list);
	finish_list(&list);
	code = refuse(inquiry,
	    "%s \"%s\" is not among the names of cluster %s: %s", label, quoted,
	    cluster, (const char *)list.text.data);
	buf_free(&list.text);
	withhold(inquiry, label, name, "is not among those allowed");
	return code;
}

/* There is no profile "NAME"; known: a, b (rule). */
static enum err_code refuse_profile(const struct inquiry *inquiry)
{
	static const char fmt[] = "there is no profile \"%s\"; known: ";
	const struct policy *policy = inquiry->question->policy;
	const char *quoted = err_quote_str(inquiry->question->profile);
	struct short_list list = {.text = BUF_INIT};
	size_t used = sizeof(fmt) + strlen(quoted) + strlen(inquiry->rule) +
	    sizeof(" ()");
	enum err_code code;

	if (used < sizeof(inquiry->err->detail))
		list.room = sizeof(inquiry->err->detail) - used;
	for (size_t i = 0; i < policy_profile_count(policy); i++)
		add_item(policy_profile_name(policy, i), &list);
	finish_list(&list);
	code = refuse(inquiry, "there is no profile \"%s\"; known: %s", quoted,
	    (const char *)list.text.data);
	buf_free(&list.text);
	/* What stands there may be a name that came into the wrong field. */
	if (policy_has_private_names(policy))
		err_keep(inquiry->err, "there is no such profile (%s)",
		    inquiry->rule);
	return code;
}

static enum err_code check_cluster(const struct inquiry *inquiry)
{
	const struct policy_question *question = inquiry->question;
	const struct cluster *cluster = question->cluster;

	/* The name goes into templates: see to it here, whoever wrote it. */
	if (!text_is_label(cluster->name))
		return refuse(inquiry, "\"%s\" is not the name of a cluster",
		    err_quote_str(cluster->name));
	if (cluster->state != CLUSTER_ACTIVE)
		return refuse(
		    inquiry, "cluster %s is retired", cluster->name);
	if (strcmp(cluster->policy, question->policy->name) != 0)
		return refuse(inquiry, "cluster %s is under policy \"%s\"",
		    cluster->name, err_quote_str(cluster->policy));
	return ERR_OK;
}

static enum err_code check_key(const struct inquiry *inquiry)
{
	uint32_t allowed = inquiry->profile->key_types;
	enum key_type type = inquiry->question->key_type;
	OWNED_BUF(list);

	if (type < KEY_TYPE_COUNT && (allowed & KEY_TYPE_BIT(type)) != 0)
		return ERR_OK;
	for (size_t i = 0; i < KEY_TYPE_COUNT; i++) {
		if ((allowed & KEY_TYPE_BIT(i)) != 0)
			buf_printf(&list, "%s%s", list.len > 0 ? ", " : "",
			    key_type_name((enum key_type)i));
	}
	buf_put_u8(&list, '\0');
	return refuse(inquiry, "a key of type %s is not among those allowed: %s",
	    key_type_name(type), (const char *)list.data);
}

static enum err_code refuse_wildcard(
    const struct inquiry *inquiry, const char *name)
{
	enum err_code code = refuse(inquiry,
	    "DNS name \"%s\" is a wildcard, which the profile does not allow",
	    err_quote_str(name));

	withhold(inquiry, "DNS name", name,
	    "is a wildcard, which the profile does not allow");
	return code;
}

static enum err_code refuse_excepted(
    const struct inquiry *inquiry, const char *common_name)
{
	enum err_code code = refuse(inquiry,
	    "common name \"%s\" is one that this profile never gives: "
	    "ask for the profile made for it", err_quote_str(common_name));

	withhold(inquiry, "common name", common_name,
	    "is one that this profile never gives");
	return code;
}

static enum err_code check_san(
    const struct inquiry *inquiry, const struct name *name)
{
	const struct profile *profile = inquiry->profile;
	const struct rules *rules = NULL;
	const char *label = NULL;

	switch (name->kind) {
	case NAME_DNS:
		rules = &profile->dns;
		label = "DNS name";
		break;
	case NAME_IP:
		rules = &profile->ip;
		label = "IP address";
		break;
	case NAME_URI:
		rules = &profile->uri;
		label = "URI";
		break;
	}
	if (rules == NULL)
		return refuse(inquiry, "a name is of no known kind");
	if (rule_allows_san(rules, &inquiry->scope, name, profile->wildcards))
		return ERR_OK;
	if (name->kind == NAME_DNS && name->text[0] == '*' &&
	    !profile->wildcards)
		return refuse_wildcard(inquiry, name->text);
	return refuse_name(inquiry, label, name->text, rules);
}

/* "root" and "root@orders" are one user to those who map names. */
bool profile_excepts(const struct profile *profile, const char *common_name)
{
	size_t len = strcspn(common_name, "@");

	for (size_t i = 0; i < profile->except_count; i++)
		if (strlen(profile->except[i]) == len &&
		    strncmp(profile->except[i], common_name, len) == 0)
			return true;
	return false;
}

static enum err_code check_names(const struct inquiry *inquiry)
{
	const struct names *names = inquiry->question->names;
	const struct rules *rules = &inquiry->profile->common_name;

	for (size_t i = 0; i < names->sans_count; i++) {
		enum err_code code = check_san(inquiry, &names->sans[i]);

		if (code != ERR_OK)
			return code;
	}
	if (names->common_name != NULL &&
	    profile_excepts(inquiry->profile, names->common_name))
		return refuse_excepted(inquiry, names->common_name);
	if (names->common_name == NULL ||
	    rule_allows_cn(rules, &inquiry->scope, names->common_name))
		return ERR_OK;
	return refuse_name(inquiry, "common name", names->common_name, rules);
}

/* REQUIRE_* that the names satisfy. */
static uint32_t satisfied(const struct names *names)
{
	uint32_t bits = names->common_name != NULL ? REQUIRE_COMMON_NAME : 0;

	for (size_t i = 0; i < names->sans_count; i++) {
		switch (names->sans[i].kind) {
		case NAME_DNS:
			bits |= REQUIRE_DNS | REQUIRE_HOST;
			break;
		case NAME_IP:
			bits |= REQUIRE_IP | REQUIRE_HOST;
			break;
		case NAME_URI:
			bits |= REQUIRE_URI;
			break;
		}
	}
	return bits;
}

static enum err_code check_required(const struct inquiry *inquiry)
{
	uint32_t have = satisfied(inquiry->question->names);
	uint32_t missing = inquiry->profile->require & ~have;

	for (size_t i = 0; i < ARRAY_LEN(policy_requires); i++) {
		if ((missing & policy_requires[i].bit) != 0)
			return refuse(inquiry, "%s is required and none was "
			    "asked for", policy_requires[i].meaning);
	}
	if (have == 0)
		return refuse(inquiry, "no name was asked for");
	return ERR_OK;
}

static enum err_code decide_validity(
    const struct inquiry *inquiry, struct decision *decision)
{
	const struct policy_question *question = inquiry->question;
	const struct profile *profile = inquiry->profile;
	int64_t ttl = question->ttl != 0 ? question->ttl
					 : profile->validity_default;
	char asked[CLOCK_TEXT_SIZE], most[CLOCK_TEXT_SIZE];

	if (ttl < 0)
		return refuse(inquiry, "the validity asked for is negative");
	if (ttl > profile->validity_maximum)
		return refuse(inquiry,
		    "a validity of %s is more than the maximum %s",
		    duration_format(ttl, asked),
		    duration_format(profile->validity_maximum, most));
	if (question->issuer_not_after <= question->now)
		return refuse(inquiry, "the issuer is no longer valid");
	decision->not_before = question->now - profile->backdate;
	decision->not_after = question->now + ttl - 1;
	if (decision->not_after <= question->issuer_not_after)
		return ERR_OK;
	if (question->ttl != 0)
		return refuse(inquiry,
		    "a validity of %s reaches beyond the issuer's end, %s",
		    duration_format(ttl, asked),
		    clock_format(question->issuer_not_after, most));
	decision->not_after = question->issuer_not_after;
	return ERR_OK;
}

enum err_code policy_decide(const struct policy_question *question,
    struct decision **decision_out, struct err *err)
{
	OWNED(decision) decision = mem_zalloc(sizeof(*decision));
	struct inquiry inquiry = {
		.question = question,
		.profile = policy_find_profile(
		    question->policy, question->profile),
		.scope = {question->cluster, question->names},
		.err = err,
	};
	enum err_code code;

	snprintf(inquiry.rule, sizeof(inquiry.rule), "policy %s",
	    question->policy->name);
	if (inquiry.profile == NULL)
		return refuse_profile(&inquiry);
	snprintf(inquiry.rule, sizeof(inquiry.rule), "policy %s, profile %s",
	    question->policy->name, inquiry.profile->name);
	if ((code = check_cluster(&inquiry)) != ERR_OK ||
	    (code = check_key(&inquiry)) != ERR_OK ||
	    (code = check_names(&inquiry)) != ERR_OK ||
	    (code = check_required(&inquiry)) != ERR_OK ||
	    (code = decide_validity(&inquiry, decision)) != ERR_OK)
		return code;
	decision->names = names_copy(question->names);
	decision->key_usage = policy_fit_usage(
	    inquiry.profile->key_usage, question->key_type);
	decision->ext_usage = inquiry.profile->ext_usage;
	decision->rule = mem_strdup(inquiry.rule);
	*decision_out = GIVE(decision);
	return ERR_OK;
}
