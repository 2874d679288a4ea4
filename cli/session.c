// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "cli/exit.h"

const struct option_spec session_options[] = {
    {"config", "FILE", "configuration of the instance [SIGNET_CONFIG]", false,
	false},
    {"url", "URL", "API of the server [SIGNET_URL]", false, false},
    {"ca", "FILE", "roots that the server's certificate leads to", false,
	false},
    {"cert", "FILE", "certificate to authenticate with", false, false},
    {"key", "FILE", "its private key", false, false},
    {"json", NULL, "print JSON", false, false},
    {0},
};

/* A variable that is empty is one that is not set. */
static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

static const char *config_path(const struct options *options)
{
	const char *path = options_get(options, "config");

	return path != NULL ? path : from_environment("SIGNET_CONFIG");
}

enum err_code session_config(
    const struct options *options, struct config **config_out, struct err *err)
{
	const char *path = config_path(options);

	if (path == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "no configuration: name one with --config or in "
		    "SIGNET_CONFIG, or make one with 'signet init'");
	enum err_code code = config_load(path, config_out, err);
	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	return err_refuse(err, ERR_CONFIG,
	    "there is no %s: make one with 'signet init'", path);
}

/* https://HOST:PORT of a listener; one that listens everywhere is reached here.
 */
static char *url_of(const char *listener)
{
	if (text_has_prefix(listener, "0.0.0.0:"))
		return mem_printf("https://127.0.0.1:%s", listener + 8);
	if (text_has_prefix(listener, "[::]:"))
		return mem_printf("https://[::1]:%s", listener + 5);
	return mem_printf("https://%s", listener);
}

static char *take(const char *given, const char *dir, const char *name)
{
	if (given != NULL)
		return mem_strdup(given);
	return dir == NULL ? NULL : fs_join(dir, name);
}

enum err_code session_open(
    const struct options *options, struct client **client_out, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED_STR(own_url) = NULL;
	const char *url = options_get(options, "url");
	const char *dir = NULL;
	enum err_code code;

	if (url == NULL && config_path(options) == NULL)
		url = from_environment("SIGNET_URL");
	/* What the options say whole needs no configuration. */
	bool whole = url != NULL && options_has(options, "ca") &&
		     options_has(options, "cert") && options_has(options, "key");
	if (!whole && (url == NULL || config_path(options) != NULL)) {
		if ((code = session_config(options, &config, err)) != ERR_OK)
			return code;
		dir = config->dir;
	}
	if (url == NULL) {
		own_url = url_of(config->listen.api);
		url = own_url;
	}
	OWNED_STR(ca) = take(options_get(options, "ca"), dir, "ca.pem");
	OWNED_STR(cert) =
	    take(options_get(options, "cert"), dir, "admin/cert.pem");
	OWNED_STR(key) =
	    take(options_get(options, "key"), dir, "admin/key.pem");
	if (ca == NULL || cert == NULL || key == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "--url needs --ca, --cert and --key beside it");
	struct client_options client = {
	    .url = url, .ca_file = ca, .cert_file = cert, .key_file = key};
	return client_open(&client, client_out, err);
}

bool session_config_exists(const struct options *options)
{
	const char *path = config_path(options);

	return path != NULL && fs_exists(path);
}

bool session_wants_json(const struct options *options)
{
	return options_has(options, "json");
}

int session_end(
    const struct options *options, enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return EXIT_DONE;
	return exit_with(options_program(options), err);
}
