// SPDX-License-Identifier: Apache-2.0
/*
 * Policies: files that say which certificates a kind of cluster may have, and the
 * engine that applies them.  signet-policy(5) documents the file.
 */
#ifndef POLICIES_POLICY_H
#define POLICIES_POLICY_H

#include "policies/approvers.h"
#include "policies/cluster.h"
#include "policies/keytype.h"
#include "policies/names.h"
#include "policies/roles.h"
#include "store/store.h"

struct policy;
struct policy_set;

/*
 * Loads every *.yaml of DIR, all or none.  The file's name is the policy's, but
 * for roles.yaml (roles.h) and approvals.yaml (approvers.h), which may be absent.
 * Errors: ERR_CONFIG with file and line; ERR_NOT_FOUND, ERR_IO.
 */
MUST_CHECK enum err_code policy_set_load(
    const char *dir, struct policy_set **set_out, struct err *err);
MUST_CHECK enum err_code policy_load(
    const char *path, struct policy **policy_out, struct err *err);
/* As policy_load from memory; PATH names the policy and the file in errors. */
MUST_CHECK enum err_code policy_parse(const char *path, struct bytes text,
    struct policy **policy_out, struct err *err);
/* Reference counted, so that a reload does not pull a policy from under a
 * request: policy_set_ref adds one, policy_set_free drops one. */
struct policy_set *policy_set_ref(struct policy_set *set);
void policy_set_free(struct policy_set *set);
DEFINE_CLEANUP(policy_set, policy_set_free)
void policy_free(struct policy *policy);
DEFINE_CLEANUP(policy, policy_free)

size_t policy_set_count(const struct policy_set *set);
const struct policy *policy_set_at(const struct policy_set *set, size_t index);
/* Roles of the installation's own; lives as long as SET. */
const struct role_set *policy_set_roles(const struct policy_set *set);
/* What needs the consent of others; lives as long as SET. */
const struct approver_rules *policy_set_approvers(const struct policy_set *set);
/* Errors: ERR_POLICY, listing the policies there are. */
MUST_CHECK enum err_code policy_set_get(const struct policy_set *set,
    const char *name, const struct policy **policy_out, struct err *err);

const char *policy_name(const struct policy *policy);
const char *policy_description(const struct policy *policy);
size_t policy_profile_count(const struct policy *policy);
const char *policy_profile_name(const struct policy *policy, size_t index);
bool policy_has_profile(const struct policy *policy, const char *profile);
/* A token that names no profiles does not count for this one: what it gives is
 * more than a node needs. */
bool policy_wants_named_token(
    const struct policy *policy, const char *profile);
/* Does one of its profiles call names private?  Then no log tells which name was
 * asked for under any of them: asked for in the wrong place it is that name. */
bool policy_has_private_names(const struct policy *policy);
/* The policy as people read it: every profile, every rule, defaults included;
 * committed as golden text. */
void policy_print(const struct policy *policy, struct buf *out);

/* Key usage bits, RFC 5280 4.2.1.3, in the order of the standard. */
enum {
	USAGE_DIGITAL_SIGNATURE = 1 << 0,
	USAGE_KEY_ENCIPHERMENT = 1 << 2,
	USAGE_KEY_AGREEMENT = 1 << 4,
	USAGE_KEY_CERT_SIGN = 1 << 5,
	USAGE_CRL_SIGN = 1 << 6,
};
/* Extended key usage, RFC 5280 4.2.1.12. */
enum {
	EKU_SERVER_AUTH = 1 << 0,
	EKU_CLIENT_AUTH = 1 << 1,
	EKU_OCSP_SIGNING = 1 << 2,
};

struct policy_question {
	const struct policy *policy;
	const struct cluster *cluster;
	const char *profile;
	enum key_type key_type;
	const struct names *names;	/* as requested */
	int64_t ttl;			/* seconds; 0: the profile's default */
	int64_t now;			/* seconds */
	int64_t issuer_not_after;	/* seconds */
	struct store *store;		/* whose aliases private names have; NULL:
					 * they have none */
	const char **private_out;	/* of NAMES, the private one that is
					 * refused; may be NULL */
};

/* What may be signed, and why. */
struct decision {
	struct names *names;		/* exactly these */
	int64_t not_before;		/* seconds; backdated by the profile */
	int64_t not_after;		/* seconds; the last valid second */
	uint32_t key_usage;		/* USAGE_*; fit for the key type */
	uint32_t ext_usage;		/* EUSAGE_* */
	char *rule;			/* "policy etcd, profile peer" */
};
void decision_free(struct decision *decision);
DEFINE_CLEANUP(decision, decision_free)

/*
 * Decides.  Never fails for a reason of its own.  A validity that was asked for
 * and reaches beyond the issuer's end is refused; the profile's default is cut
 * to it.  Key encipherment is for RSA keys alone.
 * Errors: ERR_POLICY, whose detail names what is refused, the rule, and what
 * is allowed; what is kept of it has of a private name its alias (store/alias.h).
 */
MUST_CHECK enum err_code policy_decide(const struct policy_question *question,
    struct decision **decision_out, struct err *err);

#endif
