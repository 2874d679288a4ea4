// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"NAME", "name"},
    {"ID", "id"},
    {"VERSION", "version"},
    {"STATE", "state"},
    {"CREATED", "created"},
    {0},
};

static const struct column details[] = {
    {"key", "name"},
    {"cluster", "cluster"},
    {"id", "id"},
    {"version", "version"},
    {"state", "state"},
    {"created", "created"},
    {0},
};

static const struct column secrets[] = {
    {"ciphertext", "ciphertext"},
    {"plaintext", "plaintext"},
    {"version", "version"},
    {0},
};

#define OF_CLUSTER                                                             \
	{                                                                      \
		"cluster", "NAME", "cluster of the key", false, true           \
	}
#define CONTEXT                                                                \
	{                                                                      \
		"context", "K=V", "what the data key is bound to", true, false \
	}

/* "/clusters/C/keys/K" and AFTER; malloc'd. */
static char *key_path(const struct options *options, const char *after)
{
	OWNED_STR(keys) =
	    call_path("/clusters/", options_get(options, "cluster"), "/keys/");

	return call_path(keys, options_arg(options, 0), after);
}

const struct option_spec key_create_options[] = {OF_CLUSTER, {0}};

int key_create_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) =
	    call_path("/clusters/", options_get(options, "cluster"), "/keys");

	call_set_text(body, "name", options_arg(options, 0));
	return call_object(options, "POST", path, body, details);
}

const struct option_spec key_list_options[] = {OF_CLUSTER, {0}};

int key_list_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/clusters/", options_get(options, "cluster"), "/keys");

	return call_list(options, path, columns,
	    "no keys yet: make one with 'signet key create'");
}

const struct option_spec key_show_options[] = {OF_CLUSTER, {0}};

int key_show_run(const struct options *options)
{
	OWNED_STR(path) = key_path(options, "");

	return call_object(options, "GET", path, NULL, details);
}

/* --context K=V, as often as given. */
static enum err_code set_context(
    json_t *body, const struct options *options, struct err *err)
{
	json_t *context = json_object();
	const char *pair;

	json_object_set_new(body, "context", context);
	for (size_t i = 0; options_each(options, "context", i, &pair); i++) {
		const char *equals = strchr(pair, '=');
		if (equals == NULL || equals == pair)
			return err_refuse(err, ERR_USAGE,
			    "--context %s is not NAME=VALUE",
			    err_quote_str(pair));
		OWNED_STR(name) = mem_strndup(pair, (size_t)(equals - pair));
		if (json_object_get(context, name) != NULL)
			return err_refuse(err, ERR_USAGE,
			    "--context gives %s twice", err_quote_str(name));
		json_object_set_new(context, name, json_string(equals + 1));
	}
	return ERR_OK;
}

const struct option_spec key_datakey_options[] = {
    OF_CLUSTER,
    {"bits", "N", "128, 256, 384 or 512 [256]", false, false},
    CONTEXT,
    {"no-plaintext", NULL, "the ciphertext alone", false, false},
    {0},
};

int key_datakey_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) = key_path(options, "/datakey");
	struct err err = {0};
	enum err_code code;

	if ((code = call_set_number(body, "bits", options, "bits", &err)) !=
		ERR_OK ||
	    (code = set_context(body, options, &err)) != ERR_OK)
		return session_end(options, code, &err);
	json_object_set_new(body, "plaintext",
	    json_boolean(!options_has(options, "no-plaintext")));
	return call_object(options, "POST", path, body, secrets);
}

const struct option_spec key_unwrap_options[] = {
    OF_CLUSTER,
    {"ciphertext", "TEXT", "as 'key datakey' gave it", false, true},
    CONTEXT,
    {0},
};

int key_unwrap_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) = key_path(options, "/unwrap");
	struct err err = {0};
	enum err_code code;

	call_set_text(body, "ciphertext", options_get(options, "ciphertext"));
	if ((code = set_context(body, options, &err)) != ERR_OK)
		return session_end(options, code, &err);
	return call_object(options, "POST", path, body, secrets);
}

static const struct column objects[] = {
    {"LABEL", "label"},
    {"KIND", "kind"},
    {"TYPE", "key_type"},
    {"SAFE", "safe"},
    {"BECAUSE", "unsafe_because"},
    {"ATTRIBUTES", "attributes"},
    {"URI", "uri"},
    {0},
};

const struct option_spec key_report_options[] = {{0}};

int key_report_run(const struct options *options)
{
	return call_list(
	    options, "/hsm/objects", objects, "the token is empty");
}
