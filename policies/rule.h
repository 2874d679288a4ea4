// SPDX-License-Identifier: Apache-2.0
/*
 * Rules: templates that say which names a profile allows.  A placeholder stands
 * for what the cluster owns; signet-policy(5) lists them.  A rule is checked when
 * it is read, and what is put into it is checked again when it is applied, so
 * that no value can widen it.
 */
#ifndef POLICIES_RULE_H
#define POLICIES_RULE_H

#include "policies/cluster.h"
#include "policies/names.h"

#define RULE_CLUSTER_MARK "{cluster}"
#define RULE_IDENTIFIER_MARK "{identifier}"

/* The fields of a profile that hold rules. */
enum rule_place { RULE_DNS, RULE_IP, RULE_URI, RULE_CN };

enum rule_kind {
	RULE_TEXT,		/* text with {cluster} and {identifier} */
	RULE_RANGE,		/* addresses */
	RULE_CLUSTER_DNS,	/* any DNS pattern of the cluster */
	RULE_CLUSTER_IP,	/* any address range of the cluster */
	RULE_SAN_DNS,		/* a DNS name of the same request */
	RULE_SAN_IP,		/* an IP address of the same request */
};

struct rule {
	enum rule_kind kind;
	char *text;		/* as written */
	struct cidr range;	/* kind RULE_RANGE */
};

struct rules {
	struct rule *items;
	size_t count;
};

/* False when TEXT is no rule for PLACE, and then *why_out (static text) says
 * why.  The caller frees rule_out->text. */
MUST_CHECK bool rule_parse(enum rule_place place, const char *text,
    struct rule *rule_out, const char **why_out);

/* Whom and what rules are applied to. */
struct rule_scope {
	const struct cluster *cluster;	/* its name is a label */
	const struct names *names;	/* of the request */
};

/* Is the name allowed by one of RULES?  WILDCARDS: may NAME begin with "*."? */
bool rule_allows_san(const struct rules *rules, const struct rule_scope *scope,
    const struct name *name, bool wildcards);
bool rule_allows_cn(const struct rules *rules, const struct rule_scope *scope,
    const char *common_name);

/* Calls EACH with every allowed thing in words, what belongs to the cluster
 * put in; the text is borrowed during the call. */
typedef void rule_each(const char *text, void *arg);
void rule_expand(const struct rules *rules, const struct rule_scope *scope,
    rule_each *each, void *arg);

#endif
