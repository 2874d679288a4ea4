// SPDX-License-Identifier: Apache-2.0
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

static const struct column issuer_columns[] = {
    {"ID", "id"},
    {"KIND", "kind"},
    {"STATE", "state"},
    {"EXPIRES", "not_after"},
    {"FINGERPRINT", "fingerprint"},
    {"KEY", "key_uri"},
    {0},
};

const struct option_spec issuer_list_options[] = {{0}};

int issuer_list_run(const struct options *options)
{
	return call_list(options, "/issuers", issuer_columns, "no issuers");
}

static const struct column crl_columns[] = {
    {"ISSUER", "issuer"},
    {"NUMBER", "number"},
    {"THIS UPDATE", "this_update"},
    {"NEXT UPDATE", "next_update"},
    {"ENTRIES", "entries"},
    {0},
};

const struct option_spec crl_list_options[] = {{0}};

/* The CRLs stand inside their issuers; a list of its own reads better. */
static json_t *crls_of(const json_t *issuers)
{
	json_t *crls = json_array(), *issuer;
	size_t index;

	json_array_foreach(issuers, index, issuer)
	{
		json_t *crl = json_deep_copy(json_object_get(issuer, "crl"));
		if (crl == NULL)
			continue;
		json_object_set(crl, "issuer", json_object_get(issuer, "id"));
		json_array_append_new(crls, crl);
	}
	return crls;
}

int crl_list_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(issuers) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_list(client, "/issuers", &issuers, &err);
	if (code == ERR_OK) {
		OWNED_JSON(crls) = crls_of(issuers);
		output_list(
		    crls, crl_columns, "no CRLs", session_wants_json(options));
	}
	return session_end(options, code, &err);
}

static const struct column published[] = {
    {"issuer", "issuer"},
    {"number", "number"},
    {"this update", "this_update"},
    {"next update", "next_update"},
    {"entries", "entries"},
    {0},
};

const struct option_spec crl_publish_options[] = {{0}};

int crl_publish_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/issuers/", options_arg(options, 0), "/crl");

	return call_object(options, "POST", path, NULL, published);
}
