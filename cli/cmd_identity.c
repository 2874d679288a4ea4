// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli/call.h"
#include "cli/commands.h"
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
