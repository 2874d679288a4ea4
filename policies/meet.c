// SPDX-License-Identifier: Apache-2.0
#include "policies/meet.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "policies/profile.h"
#include "policies/syntax.h"

#define PAGE 100

/* ---- two rules ---- */

/*
 * A rule as what it gives is made of: words of letters, digits, "-" and "_", and
 * single octets between them.  No word touches a placeholder, and what is put into
 * one is a word; so two rules give the same text only part by part.
 */
struct part {
	enum { END, OCTET, WORD, CLUSTER, IDENTIFIER } kind;
	struct bytes text;	/* of OCTET and WORD; of CLUSTER, when named */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static struct part next_part(const char **at, const char *cluster)
{
	const char *from = *at;
	size_t len = 1;

	if (*from == '\0')
		return (struct part){END, BYTES(NULL, 0)};
	if (text_has_prefix(from, RULE_CLUSTER_MARK)) {
		*at += strlen(RULE_CLUSTER_MARK);
		return (struct part){CLUSTER,
		    BYTES(cluster, cluster == NULL ? 0 : strlen(cluster))};
	}
	if (text_has_prefix(from, RULE_IDENTIFIER_MARK)) {
		*at += strlen(RULE_IDENTIFIER_MARK);
		return (struct part){IDENTIFIER, BYTES(NULL, 0)};
	}
	while (is_word(*from) && is_word(from[len]))
		len++;
	*at += len;
	return (struct part){is_word(*from) ? WORD : OCTET, BYTES(from, len)};
}

static bool is_label(struct bytes text)
{
	OWNED_STR(copy) = mem_strndup((const char *)text.data, text.len);

	return text_is_label(copy);
}

/* May A, no identifier, stand where an identifier may? */
static bool is_identifier(const struct part *a)
{
	if (a->kind == CLUSTER && a->text.len == 0)
		return true;
	return a->kind != OCTET && a->kind != END &&
	    syntax_is_identifier(a->text);
}

/* Clusters without a name are two. */
static bool is_same_word(const struct part *a, const struct part *b)
{
	bool any_a = a->kind == CLUSTER && a->text.len == 0;
	bool any_b = b->kind == CLUSTER && b->text.len == 0;

	if (any_a && any_b)
		return false;
	if (any_a || any_b)
		return is_label(any_a ? b->text : a->text);
	return bytes_equal(a->text, b->text);
}

static bool parts_meet(const struct part *a, const struct part *b)
{
	if (a->kind == IDENTIFIER && b->kind == IDENTIFIER)
		return true;
	if (a->kind == IDENTIFIER)
		return is_identifier(b);
	if (b->kind == IDENTIFIER)
		return is_identifier(a);
	if (a->kind == END || a->kind == OCTET || b->kind == END ||
	    b->kind == OCTET)
		return a->kind == b->kind && bytes_equal(a->text, b->text);
	return is_same_word(a, b);
}

/* What both give, as far as it is known. */
static void put_part(
    const struct part *a, const struct part *b, struct buf *text)
{
	if (a->text.len > 0)
		buf_put_bytes(text, a->text);
	else if (b->text.len > 0)
		buf_put_bytes(text, b->text);
	else
		buf_put_str(text, "NAME");
}

static bool rules_meet(const struct rule *a, const char *name_a,
    const struct rule *b, const char *name_b, struct buf *text)
{
	const char *at_a = a->text, *at_b = b->text;

	buf_reset(text);
	if (a->kind != RULE_TEXT || b->kind != RULE_TEXT ||
	    (strstr(a->text, RULE_CLUSTER_MARK) == NULL &&
		strstr(b->text, RULE_CLUSTER_MARK) == NULL))
		return false;
	for (;;) {
		struct part of_a = next_part(&at_a, name_a);
		struct part of_b = next_part(&at_b, name_b);

		if (!parts_meet(&of_a, &of_b))
			return false;
		if (of_a.kind == END)
			return true;
		put_part(&of_a, &of_b, text);
	}
}

/* ---- two policies ---- */

/* A rule and whose it is. */
struct place {
	const struct profile *profile;
	const struct rules *rules;
	const char *cluster;
};

static bool is_excepted(const struct place *place, const struct buf *text)
{
	OWNED_STR(name) = mem_strndup((const char *)text->data, text->len);

	return place->rules == &place->profile->common_name &&
	    profile_excepts(place->profile, name);
}

static bool lists_meet(
    const struct place *a, const struct place *b, struct buf *text)
{
	for (size_t i = 0; i < a->rules->count; i++) {
		for (size_t j = 0; j < b->rules->count; j++) {
			const struct rule *of_a = &a->rules->items[i];
			const struct rule *of_b = &b->rules->items[j];

			if (!rules_meet(
				of_a, a->cluster, of_b, b->cluster, text) ||
			    is_excepted(a, text) || is_excepted(b, text))
				continue;
			buf_printf(text, " (by the rules \"%s\" and \"%s\")",
			    of_a->text, of_b->text);
			return true;
		}
	}
	return false;
}

static bool profiles_meet(const struct profile *a, const char *name_a,
    const struct profile *b, const char *name_b, struct buf *text)
{
	const struct place uri_a = {a, &a->uri, name_a};
	const struct place uri_b = {b, &b->uri, name_b};
	const struct place cn_a = {a, &a->common_name, name_a};
	const struct place cn_b = {b, &b->common_name, name_b};

	return lists_meet(&uri_a, &uri_b, text) ||
	    lists_meet(&cn_a, &cn_b, text);
}

bool meet_find(
    const struct meet_side *a, const struct meet_side *b, struct buf *text)
{
	for (size_t i = 0; i < a->policy->profiles_count; i++) {
		for (size_t j = 0; j < b->policy->profiles_count; j++) {
			if (profiles_meet(&a->policy->profiles[i], a->name,
				&b->policy->profiles[j], b->name, text))
				return true;
		}
	}
	return false;
}

void meet_warn(const struct policy_set *policies)
{
	for (size_t i = 0; i < policy_set_count(policies); i++) {
		for (size_t j = i; j < policy_set_count(policies); j++) {
			const struct meet_side a = {
			    policy_set_at(policies, i), NULL};
			const struct meet_side b = {
			    policy_set_at(policies, j), NULL};
			OWNED_BUF(text);

			if (!meet_find(&a, &b, &text))
				continue;
			buf_put_u8(&text, '\0');
			LOG(WARN, "two clusters could have one name",
			    LOG_STR("policy", policy_name(a.policy)),
			    LOG_STR("other", policy_name(b.policy)),
			    LOG_STR("name", (const char *)text.data));
		}
	}
}

/* ---- clusters ---- */

struct check {
	const struct policy_set *policies;
	struct meet_side own;
};

static enum err_code check_other(
    const struct check *check, const struct cluster *other, struct err *err)
{
	struct meet_side side = {.name = other->name};
	struct err unknown = {0};
	OWNED_BUF(text);

	/* One whose policy is gone gets no certificate. */
	if (other->state != CLUSTER_ACTIVE ||
	    policy_set_get(check->policies, other->policy, &side.policy,
		&unknown) != ERR_OK ||
	    strcmp(other->name, check->own.name) == 0 ||
	    !meet_find(&check->own, &side, &text))
		return ERR_OK;
	return err_refuse(err, ERR_POLICY,
	    "it and cluster %s could both have the name %.*s: choose another "
	    "name or policy",
	    other->name, (int)text.len, (const char *)text.data);
}

/* Of most policies no two clusters could have a name, whatever theirs are. */
static bool could_meet_any(const struct check *check)
{
	struct meet_side own = {.policy = check->own.policy, .name = NULL};
	OWNED_BUF(text);

	for (size_t i = 0; i < policy_set_count(check->policies); i++) {
		const struct meet_side side = {
		    .policy = policy_set_at(check->policies, i)};

		if (meet_find(&own, &side, &text))
			return true;
	}
	return false;
}

enum err_code meet_check(struct store *store, const struct policy_set *policies,
    const struct cluster *cluster, struct err *err)
{
	struct check check = {policies, {NULL, cluster->name}};
	OWNED_STR(after) = NULL;
	size_t count = 0;
	enum err_code code = policy_set_get(
	    policies, cluster->policy, &check.own.policy, err);

	if (code != ERR_OK || !could_meet_any(&check))
		return code;
	do {
		struct cluster *page[PAGE];

		code = cluster_list(store, after, PAGE, page, &count, err);
		for (size_t i = 0; i < count; i++) {
			if (code == ERR_OK)
				code = check_other(&check, page[i], err);
			free(after);
			after = mem_strdup(page[i]->name);
			cluster_free(page[i]);
		}
	} while (code == ERR_OK && count == PAGE);
	return code;
}
