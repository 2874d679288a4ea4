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
	[PERM_IDENTITY_WRITE] = "identity.write",
	[PERM_IDENTITY_READ] = "identity.read",
	[PERM_IDENTITY_REVOKE] = "identity.revoke",
	[PERM_IDENTITY_ENROLL] = "identity.enroll",
	[PERM_IDENTITY_RENEW] = "identity.renew",
	[PERM_SERVICE_REVOKE] = "service.revoke",
	[PERM_APPROVAL_READ] = "approval.read",
	[PERM_APPROVAL_DECIDE] = "approval.decide",
};
_Static_assert(ARRAY_LEN(permission_names) == PERM_COUNT, "a name for each");

_Static_assert(PERM_COUNT <= 64, "a bit for each");

#define BIT(permission) PERMISSION_BIT(PERM_##permission)
#define READING                                                                \
	(BIT(CLUSTER_READ) | BIT(TOKEN_READ) | BIT(CERT_READ) |                \
	    BIT(ISSUER_READ) | BIT(KEY_READ) | BIT(AUDIT_READ) |               \
	    BIT(POLICY_READ) | BIT(STATUS_READ) | BIT(IDENTITY_READ) |         \
	    BIT(APPROVAL_READ))
#define APPROVING (BIT(APPROVAL_READ) | BIT(APPROVAL_DECIDE))
#define KEY_USING (BIT(KEY_USE) | BIT(KEY_READ))
/* Of every identity, whatever its roles. */
#define OWN BIT(IDENTITY_RENEW)

/* The whole of it: what is not here nobody may. */
static const struct grant {
	enum role role;
	const char *name, *help;
	permissions by_certificate; /* of a caller by certificate */
	permissions by_token;	/* of one with a bootstrap token */
	permissions by_key_token; /* of one with a bearer token */
	bool bound;		/* only within a cluster */
} grants[] = {
	{ROLE_ADMIN, "admin",
	    "makes and ends clusters, tokens and identities; approves; sees all",
	    OWN | READING | BIT(CLUSTER_WRITE) | BIT(TOKEN_WRITE) |
		BIT(IDENTITY_WRITE) | BIT(IDENTITY_REVOKE) |
		BIT(SERVICE_REVOKE) | APPROVING, 0, 0, false},
	{ROLE_OPERATOR, "operator",
	    "issues, lists and revokes certificates of clusters",
	    OWN | BIT(TOKEN_WRITE) | BIT(TOKEN_READ) | BIT(CERT_ISSUE) |
		BIT(CERT_READ) | BIT(CERT_REVOKE) | BIT(CRL_PUBLISH) |
		BIT(CLUSTER_READ) | BIT(ISSUER_READ) | BIT(POLICY_READ) |
		BIT(STATUS_READ), 0, 0, false},
	{ROLE_KEY_OFFICER, "key-officer",
	    "makes keys and uses none; approves",
	    OWN | BIT(KEY_MANAGE) | BIT(KEY_READ) | BIT(CLUSTER_READ) |
		BIT(STATUS_READ) | APPROVING, 0, 0, false},
	{ROLE_AUDITOR, "auditor",
	    "sees all and changes nothing", OWN | READING, 0, 0, false},
	{ROLE_NODE, "node",
	    "its own certificates; for nodes alone", BIT(CERT_RENEW), BIT(CERT_ISSUE), 0, true},
	{ROLE_KMS, "kms",
	    "uses keys of its cluster; for programs", OWN | KEY_USING, 0, KEY_USING, true},
	{ROLE_KEY_USER, "key-user",
	    "uses keys; for people", OWN | KEY_USING, 0, 0, false},
};

_Static_assert(ARRAY_LEN(grants) == ROLE_COUNT, "each of them");

/* Of no cluster, so that whoever is bound to one may have them too. */
#define INSTANCE_WIDE                                                          \
	(BIT(ISSUER_READ) | BIT(POLICY_READ) | BIT(STATUS_READ) |              \
	    BIT(IDENTITY_RENEW) | BIT(IDENTITY_ENROLL))
/* What a role of a policy file may not give. */
#define NOT_GRANTABLE                                                          \
	(BIT(NONE) | BIT(PUBLIC) | BIT(SELF) | BIT(CERT_RENEW) |               \
	    BIT(IDENTITY_ENROLL) | BIT(IDENTITY_RENEW) |                       \
	    BIT(IDENTITY_WRITE) | BIT(IDENTITY_REVOKE) | BIT(SERVICE_REVOKE))
/* What a role of a policy file gives within a cluster alone. */
#define CUSTOM_BOUND BIT(KEY_USE)

/* On objects of these kinds an action needs another permission. */
static const struct {
	enum permission action;
	enum object_kind kind;
	enum permission needed;
} special[] = {
	{PERM_CERT_REVOKE, OBJECT_IDENTITY, PERM_IDENTITY_REVOKE},
	{PERM_CERT_REVOKE, OBJECT_SERVICE, PERM_SERVICE_REVOKE},
};

const char *permission_name(enum permission permission)
{
	return permission < PERM_COUNT ? permission_names[permission]
				       : "unknown";
}

bool permission_parse(const char *name, enum permission *permission_out)
{
	for (unsigned p = 0; p < PERM_COUNT; p++) {
		if (strcmp(permission_names[p], name) == 0) {
			*permission_out = (enum permission)p;
			return true;
		}
	}
	return false;
}

bool permission_is_grantable(enum permission permission)
{
	return permission < PERM_COUNT &&
	    (NOT_GRANTABLE & PERMISSION_BIT(permission)) == 0;
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

void role_info(size_t index, struct role_info *out)
{
	const struct grant *grant = &grants[index];

	*out = (struct role_info){
	    .role = grant->role,
	    .name = grant->name,
	    .help = grant->help,
	    .all = grant->by_certificate | grant->by_token |
		grant->by_key_token,
	    .bound = grant->bound,
	};
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

static permissions by_kind(const struct grant *grant, enum caller_kind kind)
{
	switch (kind) {
	case CALLER_CERTIFICATE:
		return grant->by_certificate;
	case CALLER_TOKEN:
		return grant->by_token;
	case CALLER_KEY_TOKEN:
		return grant->by_key_token;
	case CALLER_CODE:
	case CALLER_ANONYMOUS:
		break;
	}
	return 0;
}

static permissions granted_to(const struct caller *caller)
{
	permissions all = 0;

	if (caller->kind == CALLER_CODE)
		return BIT(IDENTITY_ENROLL);
	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		if ((caller->roles & (uint32_t)grants[i].role) != 0 &&
		    (!grants[i].bound || caller->cluster != NULL))
			all |= by_kind(&grants[i], caller->kind);
	}
	if (caller->kind != CALLER_CERTIFICATE || caller->custom == 0)
		return all;
	return all | OWN | (caller->custom & ~NOT_GRANTABLE &
	    ~(caller->cluster == NULL ? CUSTOM_BOUND : 0));
}

/* The permissions of which one is needed for ACTION on an object of KIND. */
static permissions needed_for(enum permission action, enum object_kind kind)
{
	permissions own = PERMISSION_BIT(action), any = own;

	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (special[i].action != action)
			continue;
		if (special[i].kind == kind)
			return PERMISSION_BIT(special[i].needed);
		any |= PERMISSION_BIT(special[i].needed);
	}
	switch (kind) {
	case OBJECT_ANY:
		return any;
	case OBJECT_PLAIN:
	case OBJECT_IDENTITY:
	case OBJECT_SERVICE:
		return own;
	}
	return 0;
}

static const char *kind_name(enum caller_kind kind)
{
	switch (kind) {
	case CALLER_TOKEN:
		return "by token";
	case CALLER_CERTIFICATE:
		return "by certificate";
	case CALLER_CODE:
		return "by enrolment code";
	case CALLER_KEY_TOKEN:
		return "by bearer token";
	case CALLER_ANONYMOUS:
		break;
	}
	return NULL;
}

/* The name of the permission that was missing: the one that is needed, where it
 * is one. */
static const char *missing_name(enum permission action, permissions needed)
{
	for (unsigned p = 0; p < PERM_COUNT; p++) {
		if (needed == PERMISSION_BIT(p))
			return permission_names[p];
	}
	return permission_name(action);
}

static enum err_code forbid(
    const struct caller *caller, const char *missing, struct err *err)
{
	OWNED_STR(roles) = roles_format(caller->roles);
	const char *shown = roles[0] != '\0' ? roles
	    : caller->custom != 0 ? "of its own" : "none";

	return err_refuse(err, ERR_FORBIDDEN,
	    "%s is not granted to a caller %s with role %s", missing,
	    kind_name(caller->kind), shown);
}

static enum err_code check_cluster(const struct caller *caller,
    enum permission action, const char *cluster, struct err *err)
{
	if (caller->cluster == NULL)
		return ERR_OK;
	if (cluster == NULL && (INSTANCE_WIDE & PERMISSION_BIT(action)) == 0)
		return err_refuse(err, ERR_FORBIDDEN,
		    "the caller is bound to cluster %s: name it",
		    caller->cluster);
	/* In the words of cluster_get: what exists elsewhere is not told. */
	if (cluster != NULL && strcmp(cluster, caller->cluster) != 0)
		return err_refuse(err, ERR_NOT_FOUND, "there is no cluster \"%s\"",
		    err_quote_str(cluster));
	return ERR_OK;
}

enum err_code authorize(const struct caller *caller, enum permission action,
    const struct object *object, struct err *err)
{
	permissions needed;

	if (action == PERM_PUBLIC)
		return ERR_OK;
	if (action <= PERM_NONE || action >= PERM_COUNT)
		return err_refuse(err, ERR_FORBIDDEN, "this is open to nobody");
	if (kind_name(caller->kind) == NULL)
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "a client certificate or bootstrap token is needed");
	if (action == PERM_SELF)
		return ERR_OK;
	needed = needed_for(action, object->kind);
	if ((granted_to(caller) & needed) == 0)
		return forbid(caller, missing_name(action, needed), err);
	return check_cluster(caller, action, object->cluster, err);
}

static const char *grant_word(const struct grant *grant, permissions bit)
{
	if ((grant->by_certificate & grant->by_key_token & bit) != 0)
		return "cert+bearer";
	if ((grant->by_certificate & bit) != 0)
		return "certificate";
	return (grant->by_token & bit) != 0 ? "token" : "-";
}

void access_print(struct buf *out)
{
	buf_printf(out, "%-15s", "permission");
	for (size_t i = 0; i < ARRAY_LEN(grants); i++)
		buf_printf(out, " %11s", grants[i].name);
	buf_put_str(out, " (no role)");
	for (unsigned p = PERM_SELF + 1; p < PERM_COUNT; p++) {
		buf_printf(out, "\n%-15s", permission_names[p]);
		for (size_t i = 0; i < ARRAY_LEN(grants); i++)
			buf_printf(out, " %11s",
			    grant_word(&grants[i], PERMISSION_BIT(p)));
		buf_printf(out, " %9s",
		    p == PERM_IDENTITY_ENROLL ? "code" : "-");
	}
	buf_put_str(out, "\n");
}
