// SPDX-License-Identifier: Apache-2.0
#include "base/config_rules.h"

#include <stdlib.h>
#include <string.h>
#include "base/config_amounts.h"
#include "base/config_loading.h"
#include "base/fs.h"
#include "base/net.h"
#include "base/text.h"

static void text_default(char **text, const char *value)
{
	if (*text == NULL)
		*text = mem_strdup(value);
}

static enum err_code take_endpoints(
    const struct config_loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const struct {
		const char *key;
		char **value;
		const char *absent;
	} endpoints[] = {
	    {"listen.api", &config->listen.api, "127.0.0.1:8443"},
	    {"listen.public", &config->listen.public, "127.0.0.1:8080"},
	    {"listen.ops", &config->listen.ops, "127.0.0.1:9090"},
	};
	struct sockaddr_storage sa;
	socklen_t len;

	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		text_default(endpoints[i].value, endpoints[i].absent);
		if (!net_endpoint_parse(*endpoints[i].value, &sa, &len))
			return config_loading_refuse(loading, endpoints[i].key, err,
			    "\"%s\" is not ADDRESS:PORT, numeric, as "
			    "127.0.0.1:8443 or [::]:8443",
			    err_quote_str(*endpoints[i].value));
		for (size_t k = 0; k < i; k++) {
			if (strcmp(*endpoints[i].value,
				*endpoints[k].value) == 0 &&
			    !text_has_suffix(*endpoints[i].value, ":0"))
				return config_loading_refuse(loading, endpoints[i].key, err,
				    "%s is %s too", *endpoints[i].value,
				    endpoints[k].key);
		}
	}
	return ERR_OK;
}

static bool is_url_octet(char c)
{
	return c > ' ' && c < 0x7f && strchr("\"<>\\^`{|}?#", c) == NULL;
}

/* RFC 5280 section 8: a status that is fetched over TLS may need itself. */
static enum err_code take_public_url(
    const struct config_loading *loading, struct err *err)
{
	char *url = loading->config->public_url;
	const char *host;

	if (url == NULL)
		return config_loading_refuse(loading, "public_url", err,
		    "required; certificates name it, e.g. "
		    "http://pki.example.net");
	host = url + strlen("http://");
	if (!text_has_prefix(url, "http://") || *host == '\0' || *host == '/')
		return config_loading_refuse(loading, "public_url", err,
		    "\"%s\" is not http://HOST[:PORT][/PATH]; plain HTTP, for "
		    "a client must not need this CA to ask about it",
		    err_quote_str(url));
	for (size_t i = 0; url[i] != '\0'; i++) {
		if (!is_url_octet(url[i]))
			return config_loading_refuse(loading, "public_url", err,
			    "\"%s\" holds what a URL's path may not",
			    err_quote_str(url));
	}
	for (size_t len = strlen(url); url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return ERR_OK;
}

static enum err_code take_names(const struct config_loading *loading, struct err *err)
{
	const struct config *config = loading->config;
	struct ip ip;

	for (unsigned i = 0; i < config->tls.names_count; i++) {
		const char *name = config->tls.names[i];
		OWNED_STR(key) = mem_printf("tls.names[%u]", i + 1);

		if (!ip_parse(name, &ip) && !text_is_host_name(name))
			return config_loading_refuse(loading, key, err,
			    "\"%s\" is neither a DNS name nor an address",
			    err_quote_str(name));
	}
	return ERR_OK;
}

static enum err_code take_token(const struct config_loading *loading, const char *key,
    const char *uri, struct err *err)
{
	if (uri == NULL)
		return config_loading_refuse(loading, key, err,
		    "required; the token as a PKCS#11 URI, e.g. "
		    "pkcs11:token=signet");
	if (!text_has_prefix(uri, "pkcs11:"))
		return config_loading_refuse(loading, key, err,
		    "\"%s\" is not a PKCS#11 URI (RFC 7512), e.g. "
		    "pkcs11:token=signet", err_quote_str(uri));
	return ERR_OK;
}

/* A name that a shell could export, then anything. */
static bool is_assignment(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz_0123456789");

	return len > 0 && (text[0] < '0' || text[0] > '9') && text[len] == '=';
}

static enum err_code take_environment(
    const struct config_loading *loading, struct err *err)
{
	const struct config *config = loading->config;

	for (unsigned i = 0; i < config->hsm.environment_count; i++) {
		OWNED_STR(key) = mem_printf("hsm.environment[%u]", i + 1);

		/* Not echoed: a module's variable may hold a credential. */
		if (!is_assignment(config->hsm.environment[i]))
			return config_loading_refuse(loading, key, err, "want NAME=VALUE");
	}
	return ERR_OK;
}

static enum err_code take_hsm(const struct config_loading *loading, struct err *err)
{
	static const char *const words[] = {"strict", "network", "off", NULL};
	struct config *config = loading->config;
	enum err_code code;

	if (config->hsm.module == NULL)
		return config_loading_refuse(loading, "hsm.module", err,
		    "required; the path of the token's PKCS#11 module");
	if (config->hsm.module[0] != '/')
		return config_loading_refuse(loading, "hsm.module", err,
		    "\"%s\" is not an absolute path",
		    err_quote_str(config->hsm.module));
	if (config->hsm.pin_file == NULL)
		return config_loading_refuse(loading, "hsm.pin_file", err,
		    "required; a file that holds the user PIN and nothing "
		    "else, mode 0600");
	code = take_token(loading, "hsm.token", config->hsm.token, err);
	if (code != ERR_OK)
		return code;
	text_default(&config->hsm.root_token, config->hsm.token);
	code = take_token(
	    loading, "hsm.root_token", config->hsm.root_token, err);
	if (code == ERR_OK)
		code = take_environment(loading, err);
	text_default(&config->hsm.sandbox, words[0]);
	if (code == ERR_OK && !text_is_one_of(config->hsm.sandbox, words))
		code = config_loading_refuse(loading, "hsm.sandbox", err,
		    "\"%s\"; want strict, network or off",
		    err_quote_str(config->hsm.sandbox));
	return code;
}

#define WITNESSES_MAX 8

static bool is_endpoint(const char *witness)
{
	return text_has_prefix(witness, "https://") ||
	    text_has_prefix(witness, "http://");
}

/* Loopback, as an address: a name could be another host tomorrow. */
static bool is_loopback(const char *url)
{
	return text_has_prefix(url, "http://127.0.0.1:") ||
	    text_has_prefix(url, "http://127.0.0.1/") ||
	    text_has_prefix(url, "http://[::1]:") ||
	    text_has_prefix(url, "http://[::1]/");
}

static enum err_code take_endpoint(const struct config_loading *loading,
    const char *key, const char *url, struct err *err)
{
	const char *host = strstr(url, "://") + 3;
	size_t len = strcspn(host, "/");
	bool good = len > 0 && host[0] != ':' &&
	    memchr(host, '@', len) == NULL && strpbrk(url, " #\"\\") == NULL;

	for (const char *at = url; *at != '\0'; at++)
		good = good && *at > ' ' && *at < 0x7f;
	if (!good)
		return config_loading_refuse(loading, key, err,
		    "\"%s\" is not https://HOST[:PORT]/PATH",
		    err_quote_str(url));
	if (text_has_prefix(url, "http://") && !is_loopback(url))
		return config_loading_refuse(loading, key, err,
		    "%s is neither https:// nor to 127.0.0.1 or [::1]",
		    err_quote_str(url));
	if (text_has_prefix(url, "https://") &&
	    loading->config->audit.witness_ca == NULL)
		return config_loading_refuse(loading, "audit.witness_ca", err,
		    "required for %s; the certificates by which it is known",
		    err_quote_str(url));
	return ERR_OK;
}

/* file:PATH or syslog[:SOCKET]; paths become absolute. */
static enum err_code take_path(const struct config_loading *loading,
    const char *key, char **witness, struct err *err)
{
	const char *path = strchr(*witness, ':');
	bool is_file = text_has_prefix(*witness, "file:");

	if ((!is_file && strcmp(*witness, "syslog") != 0 &&
		!text_has_prefix(*witness, "syslog:")) ||
	    (path != NULL && path[1] == '\0'))
		return config_loading_refuse(loading, key, err,
		    "\"%s\" is not file:PATH, syslog, syslog:SOCKET or "
		    "https://HOST/PATH", err_quote_str(*witness));
	if (path != NULL) {
		OWNED_STR(given) = GIVE(*witness);
		OWNED_STR(whole) =
		    fs_join(loading->config->dir, strchr(given, ':') + 1);

		*witness =
		    mem_printf("%s:%s", is_file ? "file" : "syslog", whole);
	}
	return ERR_OK;
}

static enum err_code take_witness(
    const struct config_loading *loading, unsigned index, struct err *err)
{
	const struct config *config = loading->config;
	char **witness = &config->audit.witness[index];
	OWNED_STR(key) = mem_printf("audit.witness[%u]", index + 1);
	enum err_code code = is_endpoint(*witness)
	    ? take_endpoint(loading, key, *witness, err)
	    : take_path(loading, key, witness, err);

	if (code != ERR_OK)
		return code;
	for (unsigned i = 0; i < index; i++)
		if (strcmp(config->audit.witness[i], *witness) == 0)
			return config_loading_refuse(loading, key, err, "%s is there twice",
			    err_quote_str(*witness));
	return ERR_OK;
}

static enum err_code take_audit(const struct config_loading *loading, struct err *err)
{
	unsigned count = loading->config->audit.witness_count;

	if (count > WITNESSES_MAX)
		return config_loading_refuse(loading, "audit.witness", err,
		    "%u witnesses; at most %d", count, WITNESSES_MAX);
	if ((loading->config->audit.witness_certificate == NULL) !=
	    (loading->config->audit.witness_key == NULL))
		return config_loading_refuse(loading,
		    "audit.witness_certificate", err,
		    "goes with audit.witness_key; want both or neither");
	for (unsigned i = 0; i < count; i++) {
		enum err_code code = take_witness(loading, i, err);

		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code take_log(const struct config_loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const char *word = loading->words->log_level;

	config->log_level = LOG_INFO;
	if (word == NULL || log_level_parse(word, &config->log_level))
		return ERR_OK;
	return config_loading_refuse(loading, "log.level", err,
	    "\"%s\" is no level; want debug, info, warn or error",
	    err_quote_str(word));
}

/* PATH, or else the default, made absolute. */
static void settle_path(
    const struct config *config, char **path, const char *absent)
{
	OWNED_STR(given) = GIVE(*path);

	*path = fs_join(config->dir, given == NULL ? absent : given);
}

static void settle_paths(struct config *config)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char **const optional[] = {&config->audit.witness_ca,
	    &config->audit.witness_certificate, &config->audit.witness_key};

	settle_path(config, &config->tls.certificate, "tls/server.pem");
	settle_path(config, &config->tls.key, "tls/server-key.pem");
	settle_path(config, &config->store.path, "store");
	settle_path(config, &config->policies, "policies");
	for (size_t i = 0; i < ARRAY_LEN(optional); i++)
		if (*optional[i] != NULL)
			settle_path(config, optional[i], NULL);
	if (credentials != NULL && credentials[0] == '/' &&
	    strchr(config->hsm.pin_file, '/') == NULL) {
		OWNED_STR(name) = GIVE(config->hsm.pin_file);

		config->hsm.pin_file = fs_join(credentials, name);
	}
	settle_path(config, &config->hsm.pin_file, NULL);
}

enum err_code config_rules_apply(struct config *config,
    const struct config_words *words, struct bytes text,
    const cyaml_schema_value_t *schema, struct err *err)
{
	const struct config_loading loading = {text, schema, config, words};
	enum err_code (*const takes[])(
	    const struct config_loading *, struct err *) = {
	    take_endpoints, take_public_url, take_names, take_hsm,
	    config_amounts_numbers, config_amounts_durations,
	    config_amounts_rates, config_amounts_access, take_audit,
	    take_log};

	for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
		enum err_code code = takes[i](&loading, err);

		if (code != ERR_OK)
			return code;
	}
	settle_paths(config);
	return ERR_OK;
}
