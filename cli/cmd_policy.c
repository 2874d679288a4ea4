// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
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

/* The files of roles and approvals stand beside the policies, under their names. */
static enum err_code check_file(
    const char *path, struct buf *text, struct err *err)
{
	OWNED(policy) policy = NULL;
	OWNED(role_set) roles = NULL;
	OWNED(approver_rules) rules = NULL;
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	enum err_code code;

	if (strcmp(base, ROLES_FILE) == 0 && fs_exists(path)) {
		code = role_set_load(path, &roles, err);
		if (code == ERR_OK)
			role_set_print(roles, text);
		return code;
	}
	if (strcmp(base, APPROVALS_FILE) == 0 && fs_exists(path)) {
		OWNED_STR(dir) = mem_strndup(path, (size_t)(base - path));
		OWNED_STR(beside) = mem_printf("%s%s", dir, ROLES_FILE);

		code = role_set_load(beside, &roles, err);
		if (code == ERR_OK)
			code = approver_rules_load(path, roles, &rules, err);
		if (code == ERR_OK)
			approver_rules_print(rules, text);
		return code;
	}
	code = policy_load(path, &policy, err);
	if (code == ERR_OK)
		policy_print(policy, text);
	return code;
}

int policy_check_run(const struct options *options)
{
	OWNED_BUF(text);
	struct err err = {0};

	if (check_file(options_arg(options, 0), &text, &err) == ERR_OK) {
		fwrite(text.data, 1, text.len, stdout);
		return EXIT_DONE;
	}
	/* The file is wrong, not the instance: never "not configured". */
	(void)exit_with(options_program(options), &err);
	return EXIT_FAILED;
}
