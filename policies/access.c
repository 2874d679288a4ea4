// SPDX-License-Identifier: Apache-2.0
#include "policies/access.h"

#include <string.h>

static const char *const permission_names[] = {
	[PERM_NONE] = "none",
	[PERM_PUBLIC] = "public",
	[PERM_SELF] = "self",
	[PERM_CLUSTER_WRITE] = "cluster.write",
	[PERM_CLUSTER_READ] = "cluster.read",
	[PERM_TOKEN_WRITE] = "token.write",
	[PERM_TOKEN_READ] = "token.read",
	[PERM_CERT_ISSUE] = "cert.issue",
	[PERM_CERT_RENEW] = "cert.renew",
	[PERM_CERT_READ] = "cert.read",
	[PERM_CERT_REVOKE] = "cert.revoke",
	[PERM_ISSUER_READ] = "issuer.read",
	[PERM_CRL_PUBLISH] = "crl.publish",
	[PERM_KEY_MANAGE] = "key.manage",
	[PERM_KEY_READ] = "key.read",
	[PERM_KEY_USE] = "key.use",
	[PERM_AUDIT_READ] = "audit.read",
	[PERM_POLICY_READ] = "policy.read",
	[PERM_STATUS_READ] = "status.read",
};
_Static_assert(ARRAY_LEN(permission_names) == PERM_COUNT, "a name for each");

#define BIT(permission) (1u << PERM_##permission)
#define READING                                                                \
	(BIT(CLUSTER_READ) | BIT(TOKEN_READ) | BIT(CERT_READ) |                \
	    BIT(ISSUER_READ) | BIT(KEY_READ) | BIT(AUDIT_READ) |               \
	    BIT(POLICY_READ) | BIT(STATUS_READ))

/* The whole of it: what is not here nobody may. */
static const struct grant {
	enum role role;
	const char *name;
	uint32_t by_certificate; /* permissions of a caller by certificate */
	uint32_t by_token;	 /* and of one with a bootstrap token */
	bool bound;		 /* only within a cluster */
} grants[] = {
	{ROLE_ADMIN, "admin",
	    READING | BIT(CLUSTER_WRITE) | BIT(TOKEN_WRITE), 0, false},
	{ROLE_OPERATOR, "operator",
	    BIT(TOKEN_WRITE) | BIT(TOKEN_READ) | BIT(CERT_ISSUE) |
		BIT(CERT_READ) | BIT(CERT_REVOKE) | BIT(CRL_PUBLISH) |
		BIT(CLUSTER_READ) | BIT(ISSUER_READ) | BIT(POLICY_READ) |
		BIT(STATUS_READ), 0, false},
	{ROLE_KEY_OFFICER, "key-officer",
	    BIT(KEY_MANAGE) | BIT(KEY_READ) | BIT(CLUSTER_READ) |
		BIT(STATUS_READ), 0, false},
	{ROLE_AUDITOR, "auditor", READING, 0, false},
	{ROLE_NODE, "node", BIT(CERT_RENEW), BIT(CERT_ISSUE), true},
	{ROLE_KMS, "kms", BIT(KEY_USE) | BIT(KEY_READ), 0, false},
};

/* Of no cluster, so that whoever is bound to one may have them too. */
#define INSTANCE_WIDE                                                          \
	(BIT(ISSUER_READ) | BIT(POLICY_READ) | BIT(STATUS_READ))

const char *permission_name(enum permission permission)
{
	return permission < PERM_COUNT ? permission_names[permission]
				       : "unknown";
}

const char *role_name(enum role role)
{
	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		if (grants[i].role == role)
			return grants[i].name;
	}
	return "unknown";
}

bool role_parse(const char *name, enum role *role_out)
{
	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		if (strcmp(grants[i].name, name) == 0) {
			*role_out = grants[i].role;
			return true;
		}
	}
	return false;
}

char *roles_format(uint32_t roles)
{
	OWNED_BUF(text);

	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		if ((roles & (uint32_t)grants[i].role) != 0)
			buf_printf(&text, "%s%s", text.len > 0 ? "," : "",
			    grants[i].name);
	}
	return buf_to_str(&text);
}

static bool is_granted(const struct caller *caller, enum permission permission)
{
	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		const struct grant *grant = &grants[i];
		uint32_t granted = caller->kind == CALLER_CERTIFICATE
			? grant->by_certificate : grant->by_token;

		if ((caller->roles & (uint32_t)grant->role) == 0 ||
		    (grant->bound && caller->cluster == NULL))
			continue;
		if ((granted & 1u << permission) != 0)
			return true;
	}
	return false;
}

static enum err_code forbid(const struct caller *caller,
    enum permission permission, struct err *err)
{
	OWNED_STR(roles) = roles_format(caller->roles);

	return err_refuse(err, ERR_FORBIDDEN,
	    "%s is not granted to a caller %s with role %s",
	    permission_name(permission),
	    caller->kind == CALLER_TOKEN ? "by token" : "by certificate",
	    roles[0] == '\0' ? "none" : roles);
}

enum err_code access_check(const struct caller *caller,
    enum permission permission, const char *cluster, struct err *err)
{
	if (permission == PERM_PUBLIC)
		return ERR_OK;
	if (permission <= PERM_NONE || permission >= PERM_COUNT)
		return err_refuse(err, ERR_FORBIDDEN, "this is open to nobody");
	if (caller->kind != CALLER_CERTIFICATE && caller->kind != CALLER_TOKEN)
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "a client certificate or bootstrap token is needed");
	if (permission == PERM_SELF)
		return ERR_OK;
	if (!is_granted(caller, permission))
		return forbid(caller, permission, err);
	if (caller->cluster == NULL)
		return ERR_OK;
	if (cluster == NULL && (INSTANCE_WIDE & 1u << permission) == 0)
		return err_refuse(err, ERR_FORBIDDEN,
		    "the caller is bound to cluster %s: name it",
		    caller->cluster);
	/* In the words of cluster_get: what exists elsewhere is not told. */
	if (cluster != NULL && strcmp(cluster, caller->cluster) != 0)
		return err_refuse(err, ERR_NOT_FOUND, "there is no cluster \"%s\"",
		    err_quote_str(cluster));
	return ERR_OK;
}

static const char *grant_word(const struct grant *grant, unsigned permission)
{
	if ((grant->by_certificate & 1u << permission) != 0)
		return "certificate";
	return (grant->by_token & 1u << permission) != 0 ? "token" : "-";
}

void access_print(struct buf *out)
{
	buf_printf(out, "%-14s", "permission");
	for (size_t i = 0; i < ARRAY_LEN(grants); i++)
		buf_printf(out, " %11s", grants[i].name);
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++) {
		buf_printf(out, "\n%-14s", permission_names[p]);
		for (size_t i = 0; i < ARRAY_LEN(grants); i++)
			buf_printf(out, " %11s", grant_word(&grants[i], p));
	}
	buf_put_str(out, "\n");
}
