// SPDX-License-Identifier: Apache-2.0
/* Who may do what: roles are sets of permissions, and one function decides. */
#ifndef POLICIES_ACCESS_H
#define POLICIES_ACCESS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"

enum role {
	ROLE_ADMIN = 1 << 0,	/* clusters, policies, identities */
	ROLE_OPERATOR = 1 << 1,	/* issue for, list, revoke */
	ROLE_KEY_OFFICER = 1 << 2, /* KEK life cycle */
	ROLE_AUDITOR = 1 << 3,	/* read only */
	ROLE_NODE = 1 << 4,	/* its own cluster's certificates */
	ROLE_KMS = 1 << 5,	/* use of its cluster's keys; for programs */
	ROLE_KEY_USER = 1 << 6,	/* use of keys, of every cluster when unbound */
};
/* What the first admin may: everything that people do. */
#define ROLE_ALL_HUMAN                                                         \
	(ROLE_ADMIN | ROLE_OPERATOR | ROLE_KEY_OFFICER | ROLE_AUDITOR |        \
	    ROLE_KEY_USER)

enum permission {
	PERM_NONE,		/* never granted: the default of a table */
	PERM_PUBLIC,		/* everybody, unauthenticated included */
	PERM_SELF,		/* everybody whom the store knows */
	PERM_CLUSTER_WRITE,
	PERM_CLUSTER_READ,
	PERM_TOKEN_WRITE,
	PERM_TOKEN_READ,
	PERM_CERT_ISSUE,
	PERM_CERT_RENEW,
	PERM_CERT_READ,
	PERM_CERT_REVOKE,
	PERM_ISSUER_READ,
	PERM_CRL_PUBLISH,
	PERM_KEY_MANAGE,
	PERM_KEY_READ,
	PERM_KEY_USE,
	PERM_AUDIT_READ,
	PERM_POLICY_READ,
	PERM_STATUS_READ,
	PERM_IDENTITY_WRITE,
	PERM_IDENTITY_READ,
	PERM_IDENTITY_REVOKE,	/* an identity, or a certificate of one */
	PERM_IDENTITY_ENROLL,	/* by an enrolment code alone */
	PERM_IDENTITY_RENEW,	/* its own certificate */
	PERM_SERVICE_REVOKE,	/* Signet's own certificates */
	PERM_APPROVAL_READ,
	PERM_APPROVAL_DECIDE,	/* where approvals.yaml names the caller */
	PERM_COUNT
};
const char *permission_name(enum permission permission); /* "cert.issue" */
MUST_CHECK bool permission_parse(
    const char *name, enum permission *permission_out);
/* A set of permissions, a bit each. */
typedef uint64_t permissions;
#define PERMISSION_BIT(permission) (UINT64_C(1) << (permission))
/* May a role of a policy file hold it?  Not what belongs to a credential (a
 * token, a code), and not what would make whoever holds it an admin. */
bool permission_is_grantable(enum permission permission);
const char *role_name(enum role role);
MUST_CHECK bool role_parse(const char *name, enum role *role_out);
/* The built-in roles, one by one, for whoever lists them. */
#define ROLE_COUNT 7
struct role_info {
	enum role role;
	const char *name;
	const char *help;	/* what it is for */
	permissions all;	/* by any of its credentials */
	bool bound;		/* gives something within a cluster alone */
};
void role_info(size_t index, struct role_info *out);
/* "admin,operator", malloc'd. */
char *roles_format(uint32_t roles);

/* How a caller proved who they are.  What is not here is nobody. */
enum caller_kind {
	CALLER_ANONYMOUS,
	CALLER_TOKEN,		/* bootstrap token of a node */
	CALLER_CERTIFICATE,
	CALLER_CODE,		/* enrolment code of an identity */
	CALLER_KEY_TOKEN,	/* bearer token of a program that uses keys */
};

/* Whoever asks, as the store knows them. */
struct caller {
	enum caller_kind kind;
	uint32_t roles;		/* ROLE_* */
	permissions custom;	/* what roles of policy files add */
	char *cluster;		/* bound to it alone; NULL: every cluster */
	char *id;		/* "token:4c…", "serial:01…"; NULL: anonymous */
	struct ip source;
};

/* What an action is done to. */
enum object_kind {
	OBJECT_PLAIN,		/* a cluster's, or the instance's */
	OBJECT_IDENTITY,	/* a certificate of an identity */
	OBJECT_SERVICE,		/* a certificate of Signet itself */
	OBJECT_ANY,		/* not known yet: enough to look for it? */
};
struct object {
	enum object_kind kind;
	const char *cluster;	/* NULL: of no cluster */
};

/*
 * May CALLER do ACTION on OBJECT?  The one place where this is decided: by the
 * credential, its roles, its cluster, and what the object is.  What is not
 * granted is refused, unknown kinds of callers, actions and objects with it.
 * What belongs to another cluster is answered as if it did not exist.  A caller
 * bound to a cluster must name it, save for issuers, policies and status; nodes
 * and programs (kms) that are bound to none may do nothing.
 * Errors: ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND.
 */
MUST_CHECK enum err_code authorize(const struct caller *caller,
    enum permission action, const struct object *object, struct err *err);

/* The table of grants as text: permissions by roles, and what the caller must
 * hold: certificate, bootstrap token, both a certificate or bearer token, or an
 * enrolment code; committed as golden text. */
void access_print(struct buf *out);

#endif
