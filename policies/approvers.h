// SPDX-License-Identifier: Apache-2.0
/*
 * Which actions need the consent of how many others, and of whom: the file
 * approvals.yaml of the folder of policies.  signet-policy(5) documents it.
 */
#ifndef POLICIES_APPROVERS_H
#define POLICIES_APPROVERS_H

#include "policies/identity.h"

#define APPROVALS_FILE "approvals.yaml"
#define APPROVERS_NEEDED_MAX 8

enum guarded_action {
	GUARDED_NONE,		/* nobody's consent is needed */
#define GUARDED(id, name, help) GUARDED_##id,
#include "policies/approvers.def"
#undef GUARDED
	GUARDED_COUNT
};
const char *guarded_name(enum guarded_action action);	/* "identity.create" */
const char *guarded_help(enum guarded_action action);
/* False for what is no action, GUARDED_NONE too. */
MUST_CHECK bool guarded_parse(const char *name, enum guarded_action *action_out);

struct approver_rule {
	unsigned needed;	/* consents of others than the requester */
	int64_t expires;	/* seconds that a request waits, or may be used */
	char **roles;		/* whoever holds one of them, and … */
	size_t roles_count;
	char **names;		/* … these identities may consent */
	size_t names_count;
};

/* Not changed once loaded. */
struct approver_rules;

/*
 * Loads the file PATH; one that does not exist gives no rules.  ROLES, which may
 * be NULL, are those of roles.yaml.
 * Errors: ERR_CONFIG with file and line, for an unknown action or one that has two
 * rules, a role that may not decide, or more consents than there are names.
 */
MUST_CHECK enum err_code approver_rules_load(const char *path,
    const struct role_set *roles, struct approver_rules **rules_out,
    struct err *err);
void approver_rules_free(struct approver_rules *rules);
DEFINE_CLEANUP(approver_rules, approver_rules_free)

/* NULL: the action needs nobody's consent.  identity.change without a rule of its
 * own has that of identity.create, or else of identity.revoke.  RULES may be
 * NULL. */
const struct approver_rule *approver_rules_find(
    const struct approver_rules *rules, enum guarded_action action);
/* The rules as people read them. */
void approver_rules_print(const struct approver_rules *rules, struct buf *out);

/* Why what IDENTITY decides under RULE counts for nothing now (static text, made to
 * follow "the identity"); NULL: it counts. */
const char *approver_fault(const struct approver_rule *rule,
    const struct role_set *roles, const struct identity *identity, int64_t now);
/* May IDENTITY decide by its roles, or does a rule name it?  Whoever makes or ends
 * such identities decides in the end who approves. */
MUST_CHECK bool approver_is(const struct approver_rules *rules,
    const struct role_set *roles, const struct identity *identity);

#endif
