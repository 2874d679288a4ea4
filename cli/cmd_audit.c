// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"
#include "store/audit.h"

static const struct column columns[] = {
    {"NO", "sequence"},
    {"TIME", "time"},
    {"ACTION", "action"},
    {"RESULT", "result"},
    {"ACTOR", "actor"},
    {"CLUSTER", "cluster"},
    {"OBJECT", "object"},
    {"FROM", "source"},
    {"DETAIL", "detail"},
    {0},
};

const struct option_spec audit_list_options[] = {{0}};

int audit_list_run(const struct options *options)
{
	return call_list(options, "/audit?limit=1000", columns, "no entries");
}

const struct option_spec audit_verify_options[] = {
    {"offline", "DIR", "a store's folder, without its server", false, false},
    {0},
};

static const struct column verified[] = {
    {"verified entries", "sequence"},
    {"head", "head"},
    {0},
};

/* Reads the records themselves: a server that lies cannot vouch for its log. */
static enum err_code verify(
    const struct options *options, struct audit_head *head, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED(store) store = NULL;
	struct store_options where = {
	    .path = options_get(options, "offline"), .read_only = true};
	enum err_code code;

	if (where.path == NULL) {
		if ((code = session_config(options, &config, err)) != ERR_OK)
			return code;
		where.path = config->store.path;
		where.map_size = config->store.map_size_mib << 20;
	}
	if ((code = store_open(&where, &store, err)) != ERR_OK)
		return code;
	return audit_verify(store, head, err);
}

int audit_verify_run(const struct options *options)
{
	OWNED_JSON(answer) = json_object();
	struct audit_head head;
	struct err err = {0};
	enum err_code code = verify(options, &head, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	char text[2 * sizeof(head.hash) + 1];
	json_object_set_new(
	    answer, "sequence", json_integer((json_int_t)head.sequence));
	json_object_set_new(answer, "head",
	    json_string(hex_write(head.hash, sizeof(head.hash), text)));
	output_object(answer, verified, session_wants_json(options));
	return EXIT_DONE;
}
