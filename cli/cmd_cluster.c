// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"NAME", "name"},
    {"POLICY", "policy"},
    {"ISSUER", "issuer"},
    {"STATE", "state"},
    {"DNS", "dns"},
    {"IP", "ip"},
    {"CREATED", "created"},
    {0},
};

static const struct column details[] = {
    {"cluster", "name"},
    {"policy", "policy"},
    {"issuer", "issuer"},
    {"state", "state"},
    {"dns", "dns"},
    {"ip", "ip"},
    {"from", "from"},
    {"quarantine", "quarantine"},
    {"created", "created"},
    {"certificates", "certificates"},
    {"keys", "keys"},
    {0},
};

const struct option_spec cluster_create_options[] = {
    {"policy", "POLICY", "policy of its certificates", false, true},
    {"dns", "PATTERN", "names it owns: db1.example.net, *.c.example.net", true,
	false},
    {"ip", "CIDR", "addresses it owns: 10.1.0.0/24, 10.1.2.3", true, false},
    {"from", "CIDR", "where its nodes and clients come from [anywhere]", true,
	false},
    {"issuer", "ISSUER", "shared, or the id of an issuing CA [shared]",
	false, false},
    {0},
};

static void warn(const json_t *warnings)
{
	size_t i;
	json_t *warning;

	json_array_foreach (warnings, i, warning) {
		OWNED_BUF(line);

		output_escape(&line, json_string_value(warning));
		fprintf(stderr,
		    "Warning: %.*s: each can have certificates for it.\n",
		    (int)line.len, (const char *)line.data);
	}
}

static int create(const struct options *options, const json_t *body)
{
	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_call(
		    client, "POST", "/clusters", body, &answer, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	warn(json_object_get(answer, "warnings"));
	output_object(answer, details, session_wants_json(options));
	return EXIT_DONE;
}

int cluster_create_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();

	call_set_text(body, "name", options_arg(options, 0));
	call_set_text(body, "policy", options_get(options, "policy"));
	call_set_text(body, "issuer", options_get(options, "issuer"));
	call_set_texts(body, "dns", options, "dns");
	call_set_texts(body, "ip", options, "ip");
	call_set_texts(body, "from", options, "from");
	return create(options, body);
}

const struct option_spec cluster_set_options[] = {
    {"from", "CIDR", "where its nodes and clients come from; replaces what was",
	true, false},
    {"anywhere", NULL, "they may come from anywhere", false, false},
    {0},
};

static int wrong_use(const char *why)
{
	struct err err = {0};

	(void)err_refuse(&err, ERR_USAGE, "%s", why);
	return exit_with("signet", &err);
}

int cluster_set_run(const struct options *options)
{
	OWNED_STR(path) = call_path("/clusters/", options_arg(options, 0), "");
	OWNED_JSON(body) = json_object();

	if (options_has(options, "from") == options_has(options, "anywhere"))
		return wrong_use("either --from CIDR or --anywhere is needed");
	call_set_texts(body, "from", options, "from");
	if (options_has(options, "anywhere"))
		json_object_set_new(body, "from", json_array());
	return call_object(options, "PATCH", path, body, details);
}

const struct option_spec cluster_quarantine_options[] = {
    {"reason", "TEXT", "why; its nodes are told, and the audit log", false,
	false},
    {"lift", NULL, "end the quarantine", false, false},
    {0},
};

static int lift(const struct options *options)
{
	const char *reason = options_get(options, "reason");
	OWNED_STR(plain) = call_path(
	    "/clusters/", options_arg(options, 0), "/quarantine");
	OWNED_STR(before) = mem_printf("%s?reason=", plain);
	OWNED_STR(told) =
	    reason == NULL ? NULL : call_path(before, reason, "");

	return call_object(options, "DELETE", told == NULL ? plain : told, NULL,
	    details);
}

int cluster_quarantine_run(const struct options *options)
{
	OWNED_STR(path) = call_path(
	    "/clusters/", options_arg(options, 0), "/quarantine");
	OWNED_JSON(body) = json_object();

	if (options_has(options, "lift"))
		return lift(options);
	if (!options_has(options, "reason"))
		return wrong_use("--reason TEXT is needed");
	call_set_text(body, "reason", options_get(options, "reason"));
	return call_object(options, "POST", path, body, details);
}

const struct option_spec cluster_list_options[] = {{0}};

int cluster_list_run(const struct options *options)
{
	return call_list(options, "/clusters", columns,
	    "no clusters yet: make one with 'signet cluster create'");
}

const struct option_spec cluster_show_options[] = {{0}};

int cluster_show_run(const struct options *options)
{
	OWNED_STR(path) = call_path("/clusters/", options_arg(options, 0), "");

	return call_object(options, "GET", path, NULL, details);
}

const struct option_spec cluster_retire_options[] = {{0}};

int cluster_retire_run(const struct options *options)
{
	OWNED_STR(path) = call_path("/clusters/", options_arg(options, 0), "");

	return call_object(options, "DELETE", path, NULL, details);
}
