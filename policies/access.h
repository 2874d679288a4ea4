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
	ROLE_KMS = 1 << 5,	/* use of its cluster's keys */
};
#define ROLE_ALL_HUMAN                                                         \
	(ROLE_ADMIN | ROLE_OPERATOR | ROLE_KEY_OFFICER | ROLE_AUDITOR | ROLE_KMS)

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
	PERM_COUNT
};
const char *permission_name(enum permission permission); /* "cert.issue" */
const char *role_name(enum role role);
MUST_CHECK bool role_parse(const char *name, enum role *role_out);
/* "admin,operator", malloc'd. */
char *roles_format(uint32_t roles);

/* Whoever asks, as the store knows them. */
struct caller {
	enum { CALLER_ANONYMOUS, CALLER_TOKEN, CALLER_CERTIFICATE } kind;
	uint32_t roles;		/* ROLE_* */
	char *cluster;		/* bound to it alone; NULL: every cluster */
	char *id;		/* "token:4c…", "serial:01…"; NULL: anonymous */
	struct ip source;
};

/*
 * May CALLER do PERMISSION on CLUSTER (NULL: on no cluster's object)?
 * What belongs to another cluster is answered as if it did not exist.  A caller
 * bound to a cluster must name it, save for issuers, policies and status; a
 * node that is bound to none may do nothing.
 * Errors: ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND.
 */
MUST_CHECK enum err_code access_check(const struct caller *caller,
    enum permission permission, const char *cluster, struct err *err);

/* The table of grants as text: permissions by roles, and whether the caller must
 * hold a certificate or a bootstrap token; committed as golden text. */
void access_print(struct buf *out);

#endif
