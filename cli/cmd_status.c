// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

static const struct column server_columns[] = {
    {"version", "version"},
    {"instance", "instance"},
    {"uptime (s)", "uptime_seconds"},
    {"certificates", "certificates"},
    {"audit entries", "audit_sequence"},
    {0},
};

static const struct column hsm_columns[] = {
    {"token reached", "available"},
    {"HSM workers", "workers"},
    {"restarts", "restarts"},
    {0},
};

static const struct column store_columns[] = {
    {"store writable", "writable"},
    {"octets used", "used"},
    {"of map", "map_size"},
    {0},
};

static const struct column audit_columns[] = {
    {"entries signed", "checkpoint_entries"},
    {"signed at", "checkpoint_time"},
    {"signing fails", "checkpoint_failing"},
    {0},
};

static const struct column witness_columns[] = {
    {"WITNESS", "name"},
    {"ENTRIES", "entries"},
    {"BEHIND", "behind"},
    {"FAILING", "failing"},
    {0},
};

static const struct column issuer_columns[] = {
    {"ISSUER", "id"},
    {"STATE", "state"},
    {"EXPIRES", "not_after"},
    {"CRL NUMBER", "crl_number"},
    {"NEXT CRL BY", "crl_next_update"},
    {0},
};

const struct option_spec status_options[] = {{0}};

static void print_audit(const json_t *audit)
{
	json_t *witnesses = json_object_get(audit, "witnesses");

	output_object(audit, audit_columns, false);
	if (json_array_size(witnesses) == 0)
		return;
	putchar('\n');
	output_list(witnesses, witness_columns, "no witnesses", false);
}

static void print_status(const json_t *status)
{
	output_object(status, server_columns, false);
	output_object(json_object_get(status, "hsm"), hsm_columns, false);
	output_object(json_object_get(status, "store"), store_columns, false);
	print_audit(json_object_get(status, "audit"));
	putchar('\n');
	output_list(json_object_get(status, "issuers"), issuer_columns,
	    "no issuers", false);
}

int status_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(status) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code =
		    client_call(client, "GET", "/status", NULL, &status, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (session_wants_json(options))
		output_object(status, server_columns, true);
	else
		print_status(status);
	return EXIT_DONE;
}
