// SPDX-License-Identifier: Apache-2.0
#include "policies/rule.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policies/syntax.h"

#define TEMPLATE_MAX 512	/* octets as written */

static const char cluster_mark[] = RULE_CLUSTER_MARK;
static const char identifier_mark[] = RULE_IDENTIFIER_MARK;

/* Placeholders that are a whole rule. */
static const struct {
	const char *text;
	enum rule_place place;
	enum rule_kind kind;
} whole_rules[] = {
	{"{cluster.dns}", RULE_DNS, RULE_CLUSTER_DNS},
	{"{cluster.ip}", RULE_IP, RULE_CLUSTER_IP},
	{"{san.dns}", RULE_CN, RULE_SAN_DNS},
	{"{san.ip}", RULE_CN, RULE_SAN_IP},
};

/* Letters, digits and their like, which could run together with a value. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '{' ||
	    c == '}';
}

/*
 * The octets of the placeholder at TEXT, 0 when there is none.  One with words
 * beside it is none: "db-{cluster}" would give the cluster "a" what
 * "{cluster}" gives the cluster "db-a".
 */
static size_t mark_length(enum rule_place place, const char *start,
    const char *text)
{
	size_t len;

	if (text_has_prefix(text, cluster_mark))
		len = sizeof(cluster_mark) - 1;
	else if (place != RULE_DNS && text_has_prefix(text, identifier_mark))
		len = sizeof(identifier_mark) - 1;
	else
		return 0;
	if ((text > start && is_word(text[-1])) || is_word(text[len]))
		return 0;
	return len;
}

/* The template with "x" in each placeholder's place, to check what remains.
 * False when a brace is no placeholder's. */
static bool fill_in(enum rule_place place, const char *text, struct buf *out)
{
	const char *next = text;

	while (*next != '\0') {
		size_t len = mark_length(place, text, next);

		if (len == 0 && (*next == '{' || *next == '}'))
			return false;
		buf_put_u8(out, len > 0 ? 'x' : (uint8_t)*next);
		next += len > 0 ? len : 1;
	}
	return true;
}

static size_t count_marks(const char *text, const char *mark)
{
	size_t count = 0;

	while ((text = strstr(text, mark)) != NULL) {
		text += strlen(mark);
		count++;
	}
	return count;
}

static bool has_upper_case(const char *text)
{
	/* Placeholders are lower-case too. */
	return strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/* What is wrong with a rule of kind RULE_TEXT; NULL: nothing. */
static const char *check_template(enum rule_place place, const char *text)
{
	OWNED_BUF(filled);

	if (strlen(text) > TEMPLATE_MAX)
		return "is longer than 512 octets";
	if (!fill_in(place, text, &filled))
		return place == RULE_DNS
			? "has a brace that is no placeholder: {cluster.dns} "
			  "alone, or {cluster} as a whole label"
			: "has a brace that is no placeholder, or one that "
			  "touches other words";
	if (count_marks(text, identifier_mark) > 1)
		return "has {identifier} more than once";
	if (place == RULE_CN && strcmp(text, "{cluster}") == 0)
		return "is the cluster's name alone, which may be the name of "
		       "a role of another cluster; NAME@{cluster} is not";
	if (place == RULE_DNS)
		return has_upper_case(text) ? "has upper-case letters"
					    : syntax_dns_pattern(buf_bytes(&filled));
	/* Someone who writes these means a pattern; they would match themselves. */
	if (strpbrk(text, "*?[]^$|\\") != NULL)
		return "has a pattern character, which is allowed in DNS rules "
		       "alone";
	return place == RULE_URI ? syntax_uri(buf_bytes(&filled))
				 : syntax_cn(buf_bytes(&filled));
}

bool rule_parse(enum rule_place place, const char *text, struct rule *rule_out,
    const char **why_out)
{
	struct rule rule = {.kind = RULE_TEXT};

	for (size_t i = 0; i < ARRAY_LEN(whole_rules); i++) {
		if (whole_rules[i].place == place &&
		    strcmp(text, whole_rules[i].text) == 0)
			rule.kind = whole_rules[i].kind;
	}
	if (rule.kind == RULE_TEXT && place == RULE_IP) {
		rule.kind = RULE_RANGE;
		if (!cidr_parse(text, &rule.range, why_out))
			return false;
	} else if (rule.kind == RULE_TEXT) {
		*why_out = check_template(place, text);
		if (*why_out != NULL)
			return false;
	}
	rule.text = mem_strdup(text);
	*rule_out = rule;
	return true;
}

/*
 * Does VALUE equal TEMPLATE with CLUSTER put in, and an identifier where one may
 * stand?  All else has a fixed length, so the identifier's follows.
 */
static bool template_matches(
    const char *template, const char *cluster, const char *value)
{
	size_t cluster_len = strlen(cluster), left = strlen(value), fixed, width;
	size_t clusters = count_marks(template, cluster_mark);
	size_t identifiers = count_marks(template, identifier_mark);

	fixed = strlen(template) - clusters * (sizeof(cluster_mark) - 1) +
	    clusters * cluster_len - identifiers * (sizeof(identifier_mark) - 1);
	if (left < fixed || (identifiers == 0 && left != fixed))
		return false;
	width = left - fixed;
	while (*template != '\0') {
		if (text_has_prefix(template, cluster_mark)) {
			if (strncmp(value, cluster, cluster_len) != 0)
				return false;
			template += sizeof(cluster_mark) - 1;
			value += cluster_len;
		} else if (text_has_prefix(template, identifier_mark)) {
			if (!syntax_is_identifier(BYTES(value, width)))
				return false;
			template += sizeof(identifier_mark) - 1;
			value += width;
		} else if (*template++ != *value++) {
			return false;
		}
	}
	return *value == '\0';
}

/* Does the DNS name VALUE fall under PATTERN, which may begin with "*."?  The
 * star stands for exactly one label. */
static bool pattern_matches(
    const char *pattern, const char *cluster, const char *value)
{
	const char *dot;

	if (!text_has_prefix(pattern, "*."))
		return template_matches(pattern, cluster, value);
	dot = strchr(value, '.');
	return dot != NULL && dot > value &&
	    template_matches(pattern + 2, cluster, dot + 1);
}

static bool owns_dns(const struct cluster *cluster, const char *value)
{
	for (size_t i = 0; i < cluster->dns_count; i++) {
		/* A pattern of a cluster is no template: braces are not DNS. */
		if (pattern_matches(cluster->dns[i], cluster->name, value))
			return true;
	}
	return false;
}

static bool owns_ip(const struct cluster *cluster, const struct ip *ip)
{
	for (size_t i = 0; i < cluster->ips_count; i++) {
		if (cidr_contains(&cluster->ips[i], ip))
			return true;
	}
	return false;
}

static bool allows_san(const struct rule *rule, const struct cluster *cluster,
    const struct name *name)
{
	switch (rule->kind) {
	case RULE_CLUSTER_DNS:
		return owns_dns(cluster, name->text);
	case RULE_CLUSTER_IP:
		return owns_ip(cluster, &name->ip);
	case RULE_RANGE:
		return cidr_contains(&rule->range, &name->ip);
	case RULE_TEXT:
		return name->kind == NAME_DNS
			? pattern_matches(rule->text, cluster->name, name->text)
			: template_matches(rule->text, cluster->name, name->text);
	case RULE_SAN_DNS:
	case RULE_SAN_IP:
		return false; /* of common names alone */
	}
	return false;
}

bool rule_allows_san(const struct rules *rules, const struct rule_scope *scope,
    const struct name *name, bool wildcards)
{
	if (!wildcards && name->kind == NAME_DNS && name->text[0] == '*')
		return false;
	for (size_t i = 0; i < rules->count; i++) {
		if (allows_san(&rules->items[i], scope->cluster, name))
			return true;
	}
	return false;
}

/* DNS names compare without regard to case (RFC 4343). */
static bool is_san(
    const struct names *names, enum name_kind kind, const char *value)
{
	for (size_t i = 0; i < names->sans_count; i++) {
		if (names->sans[i].kind == kind &&
		    strcasecmp(names->sans[i].text, value) == 0)
			return true;
	}
	return false;
}

bool rule_allows_cn(const struct rules *rules, const struct rule_scope *scope,
    const char *common_name)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->items[i];

		if (rule->kind == RULE_SAN_DNS &&
		    is_san(scope->names, NAME_DNS, common_name))
			return true;
		if (rule->kind == RULE_SAN_IP &&
		    is_san(scope->names, NAME_IP, common_name))
			return true;
		if (rule->kind == RULE_TEXT && template_matches(rule->text,
		    scope->cluster->name, common_name))
			return true;
	}
	return false;
}

/* The template with the cluster's name in; an identifier stays in words. */
static void expand_text(
    const char *template, const char *cluster, struct buf *out)
{
	while (*template != '\0') {
		if (text_has_prefix(template, cluster_mark)) {
			buf_put_str(out, cluster);
			template += sizeof(cluster_mark) - 1;
		} else if (text_has_prefix(template, identifier_mark)) {
			buf_put_str(out, "[a-z_][a-z0-9_]*");
			template += sizeof(identifier_mark) - 1;
		} else {
			buf_put_u8(out, (uint8_t)*template++);
		}
	}
	buf_put_u8(out, '\0');
}

static void expand_cluster(const struct rule *rule,
    const struct cluster *cluster, rule_each *each, void *arg)
{
	char text[IP_TEXT_SIZE];

	if (rule->kind == RULE_CLUSTER_DNS) {
		for (size_t i = 0; i < cluster->dns_count; i++)
			each(cluster->dns[i], arg);
	} else {
		for (size_t i = 0; i < cluster->ips_count; i++)
			each(cidr_format(&cluster->ips[i], text), arg);
	}
}

void rule_expand(const struct rules *rules, const struct rule_scope *scope,
    rule_each *each, void *arg)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->items[i];
		OWNED_BUF(text);

		switch (rule->kind) {
		case RULE_CLUSTER_DNS:
		case RULE_CLUSTER_IP:
			expand_cluster(rule, scope->cluster, each, arg);
			break;
		case RULE_TEXT:
			expand_text(rule->text, scope->cluster->name, &text);
			each((const char *)text.data, arg);
			break;
		case RULE_RANGE:
			each(rule->text, arg);
			break;
		case RULE_SAN_DNS:
			each("a DNS name of the request", arg);
			break;
		case RULE_SAN_IP:
			each("an IP address of the request", arg);
			break;
		}
	}
}
