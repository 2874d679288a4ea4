// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "cli/csr.h"
#include "cli/exit.h"

#define PEM_MAX 65536
#define KEY_MAX 8192 /* of the locked heap */

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

void session_place_end(struct session_place *place)
{
	free(place->url);
	free(place->ca);
	free(place->cert);
	free(place->key);
}

enum err_code session_find(const struct options *options,
    struct session_place *place_out, struct err *err)
{
	OWNED(config) config = NULL;
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
	place_out->url =
	    url != NULL ? mem_strdup(url) : url_of(config->listen.api);
	place_out->ca = take(options_get(options, "ca"), dir, "ca.pem");
	place_out->cert =
	    take(options_get(options, "cert"), dir, "admin/cert.pem");
	place_out->key = take(options_get(options, "key"), dir, "admin/key.pem");
	if (place_out->ca == NULL || place_out->cert == NULL ||
	    place_out->key == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "--url needs --ca, --cert and --key beside it");
	return ERR_OK;
}

enum err_code session_settle(
    const struct session_place *place, struct err *err)
{
	OWNED_STR(next) = mem_printf("%s.next", place->key);
	OWNED_STR(dir) = fs_dirname(place->key);
	OWNED(secret) key = NULL;
	OWNED_BUF(cert);
	enum err_code code;

	if (!fs_exists(next) || !fs_exists(place->cert))
		return ERR_OK;
	if ((code = secret_from_file(next, KEY_MAX, &key, err)) != ERR_OK ||
	    (code = fs_read(place->cert, PEM_MAX, &cert, err)) != ERR_OK ||
	    !csr_key_fits(key, buf_bytes(&cert)))
		return code;
	if (rename(next, place->key) != 0)
		return err_fail(
		    err, ERR_IO, "%s: cannot become %s: %m", next, place->key);
	return fs_sync_dir(dir, err);
}

enum err_code session_open(
    const struct options *options, struct client **client_out, struct err *err)
{
	OWNED_PLACE(place);
	enum err_code code;

	if ((code = session_find(options, &place, err)) != ERR_OK ||
	    (code = session_settle(&place, err)) != ERR_OK)
		return code;
	struct client_options client = {.url = place.url,
	    .ca_file = place.ca,
	    .cert_file = place.cert,
	    .key_file = place.key};
	return client_open(&client, client_out, err);
}

bool session_config_exists(const struct options *options)
{
	const char *path = config_path(options);

	return path != NULL && fs_exists(path);
}

enum err_code session_roots(
    const struct options *options, char **path_out, struct err *err)
{
	OWNED(config) config = NULL;
	const char *given = options_get(options, "ca");
	enum err_code code;

	if (given == NULL &&
	    (code = session_config(options, &config, err)) != ERR_OK)
		return code;
	*path_out = take(given, given == NULL ? config->dir : NULL, "ca.pem");
	return ERR_OK;
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
