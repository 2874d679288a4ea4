// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"
#include "policies/policy.h"

static const struct column columns[] = {
    {"NAME", "name"},
    {"PROFILES", "profiles"},
    {"DESCRIPTION", "description"},
    {0},
};

const struct option_spec policy_list_options[] = {{0}};

int policy_list_run(const struct options *options)
{
	return call_list(options, "/policies", columns, "no policies");
}

const struct option_spec policy_show_options[] = {{0}};

int policy_show_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	OWNED_STR(path) = call_path("/policies/", options_arg(options, 0), "");
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_call(client, "GET", path, NULL, &answer, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (session_wants_json(options))
		output_object(answer, columns, true);
	else
		output_text(
		    json_string_value(json_object_get(answer, "text")));
	return EXIT_DONE;
}

const struct option_spec policy_check_options[] = {{0}};

int policy_check_run(const struct options *options)
{
	OWNED(policy) policy = NULL;
	OWNED_BUF(text);
	struct err err = {0};
	enum err_code code =
	    policy_load(options_arg(options, 0), &policy, &err);

	if (code == ERR_OK) {
		policy_print(policy, &text);
		fwrite(text.data, 1, text.len, stdout);
		return EXIT_DONE;
	}
	/* The file is wrong, not the instance: never "not configured". */
	(void)exit_with(options_program(options), &err);
	return EXIT_FAILED;
}
