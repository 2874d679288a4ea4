// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"ID", "id"},
    {"NAME", "name"},
    {"KIND", "kind"},
    {"STATE", "state"},
    {"ROLES", "roles"},
    {"CLUSTER", "cluster"},
    {"EXPIRES", "expires"},
    {0},
};

static const struct column details[] = {
    {"code", "code"},
    {"token", "token"},
    {"id", "id"},
    {"name", "name"},
    {"kind", "kind"},
    {"state", "state"},
    {"roles", "roles"},
    {"cluster", "cluster"},
    {"from", "from"},
    {"certificates", "certificates"},
    {"code expires", "code_expires"},
    {"enrolled", "enrolled"},
    {"expires", "expires"},
    {"revoked", "revoked"},
    {"creator", "creator"},
    {0},
};

const struct option_spec identity_create_options[] = {
    {"role", "R", "what it may do: a built-in role or one of roles.yaml", true,
	true},
    {"cluster", "NAME", "cluster that it is bound to [none]", false, false},
    {"name", "N", "name of it [the role, and the cluster]", false, false},
    {"ttl", "D", "how long a certificate [90d] or the token [30d] lasts", false,
	false},
    {"lifetime", "D", "when the identity itself ends [never]", false, false},
    {"code-ttl", "D", "how long the enrolment code lasts [24h]", false, false},
    {"from", "CIDR", "where it may be used from [anywhere]", true, false},
    {"token", NULL, "a bearer token, for programs of role kms without mTLS",
	false, false},
    {0},
};

static char *default_name(const struct options *options)
{
	const char *cluster = options_get(options, "cluster");
	const char *role = NULL;

	(void)options_each(options, "role", 0, &role);
	return cluster == NULL ? mem_strdup(role)
			       : mem_printf("%s-%s", role, cluster);
}

int identity_create_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(otherwise) = default_name(options);
	const char *name = options_get(options, "name");

	call_set_text(body, "name", name == NULL ? otherwise : name);
	call_set_texts(body, "roles", options, "role");
	call_set_texts(body, "from", options, "from");
	call_set_text(body, "cluster", options_get(options, "cluster"));
	call_set_text(body, "ttl", options_get(options, "ttl"));
	call_set_text(body, "lifetime", options_get(options, "lifetime"));
	call_set_text(body, "code_ttl", options_get(options, "code-ttl"));
	if (options_has(options, "token"))
		call_set_text(body, "kind", "token");
	return call_object(options, "POST", "/identities", body, details);
}

const struct option_spec identity_set_options[] = {
    {"role", "R", "what it may do; replaces what was", true, false},
    {"name", "N", "name of it, and of its next certificates", false, false},
    {"ttl", "D", "how long its next certificates last", false, false},
    {"lifetime", "D", "when the identity ends, from now", false, false},
    {"from", "CIDR", "where it may be used from; replaces what was", true,
	false},
    {"anywhere", NULL, "it may be used from anywhere", false, false},
    {0},
};

static int wrong_use(const char *why)
{
	struct err err = {0};

	(void)err_refuse(&err, ERR_USAGE, "%s", why);
	return exit_with("signet", &err);
}

int identity_set_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/identities/", options_arg(options, 0), "");
	OWNED_JSON(body) = json_object();

	if (options_has(options, "from") && options_has(options, "anywhere"))
		return wrong_use("either --from CIDR or --anywhere, not both");
	if (options_has(options, "role"))
		call_set_texts(body, "roles", options, "role");
	if (options_has(options, "from"))
		call_set_texts(body, "from", options, "from");
	if (options_has(options, "anywhere"))
		json_object_set_new(body, "from", json_array());
	call_set_text(body, "name", options_get(options, "name"));
	call_set_text(body, "ttl", options_get(options, "ttl"));
	call_set_text(body, "lifetime", options_get(options, "lifetime"));
	if (json_object_size(body) == 0)
		return wrong_use("say what is to change: --role, --name, --ttl, "
				 "--lifetime, --from or --anywhere");
	return call_object(options, "PATCH", path, body, details);
}

const struct option_spec identity_code_options[] = {
    {"code-ttl", "D", "how long the enrolment code lasts [24h]", false, false},
    {0},
};

int identity_code_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/identities/", options_arg(options, 0), "/codes");
	OWNED_JSON(body) = json_object();

	call_set_text(body, "code_ttl", options_get(options, "code-ttl"));
	return call_object(options, "POST", path, body, details);
}

const struct option_spec identity_list_options[] = {{0}};

int identity_list_run(const struct options *options)
{
	return call_list(options, "/identities", columns, "no identities");
}

static int call_one(const struct options *options, const char *method)
{
	OWNED_STR(path) =
	    call_path("/identities/", options_arg(options, 0), "");

	return call_object(options, method, path, NULL, details);
}

const struct option_spec identity_show_options[] = {{0}};

int identity_show_run(const struct options *options)
{
	return call_one(options, "GET");
}

const struct option_spec identity_revoke_options[] = {{0}};

int identity_revoke_run(const struct options *options)
{
	return call_one(options, "DELETE");
}

static const struct column role_columns[] = {
    {"NAME", "name"},
    {"KIND", "kind"},
    {"NEEDS CLUSTER", "needs_cluster"},
    {"ACTIONS", "actions"},
    {"DESCRIPTION", "description"},
    {0},
};

const struct option_spec role_list_options[] = {{0}};

int role_list_run(const struct options *options)
{
	return call_list(options, "/roles", role_columns, "no roles");
}
