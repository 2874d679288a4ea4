// SPDX-License-Identifier: Apache-2.0
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"ID", "id"},
    {"PROFILES", "profiles"},
    {"USES", "uses"},
    {"SPENT", "spent"},
    {"FROM", "from"},
    {"EXPIRES", "expires"},
    {"REVOKED", "revoked"},
    {"CREATOR", "creator"},
    {0},
};

static const struct column details[] = {
    {"token", "token"},
    {"id", "id"},
    {"cluster", "cluster"},
    {"profiles", "profiles"},
    {"uses", "uses"},
    {"spent", "spent"},
    {"from", "from"},
    {"expires", "expires"},
    {"revoked", "revoked"},
    {0},
};

static void say(json_t *token)
{
	human_put_absent(token, "profiles", "every profile");
	human_put_absent(token, "from", "anywhere");
}

static const struct call_view view = {.columns = details, .say = say};

const struct option_spec token_create_options[] = {
    {"cluster", "NAME", "cluster of the nodes", false, true},
    {"profile", "P", "profile it may ask for [every one]", true, false},
    {"uses", "N", "how often it may be used [1]", false, false},
    {"ttl", "D", "how long it lives, as 30m, 1h, 2d [1h]", false, false},
    {"from", "CIDR", "where it may be used from [anywhere]", true, false},
    {0},
};

int token_create_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) =
	    call_path("/clusters/", options_get(options, "cluster"), "/tokens");
	struct err err = {0};

	call_set_texts(body, "profiles", options, "profile");
	call_set_texts(body, "from", options, "from");
	call_set_text(body, "ttl", options_get(options, "ttl"));
	enum err_code code =
	    call_set_number(body, "uses", options, "uses", &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	return call_show_object(options, "POST", path, body, &view);
}

const struct option_spec token_list_options[] = {
    {"cluster", "NAME", "cluster of the tokens", false, true},
    {0},
};

int token_list_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/clusters/", options_get(options, "cluster"), "/tokens");

	const struct call_view list = {
	    .columns = columns, .empty = "no tokens", .say = say};

	return call_show_list(options, path, &list);
}

const struct option_spec token_revoke_options[] = {
    {"cluster", "NAME", "cluster of the token", false, true},
    {0},
};

int token_revoke_run(const struct options *options)
{
	OWNED_STR(before) = call_path(
	    "/clusters/", options_get(options, "cluster"), "/tokens/");
	OWNED_STR(path) = call_path(before, options_arg(options, 0), "");

	return call_show_object(options, "DELETE", path, NULL, &view);
}
