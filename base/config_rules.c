// SPDX-License-Identifier: Apache-2.0
#include "base/config_rules.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/net.h"
#include "base/text.h"
#include "base/yaml.h"

#define DAY INT64_C(86400)

/* What every check needs. */
struct loading {
	struct bytes text;
	const cyaml_schema_value_t *schema;
	struct config *config;
	const struct config_words *words;
};

PRINTF_LIKE(4, 5)
static enum err_code refuse(const struct loading *loading, const char *key,
    struct err *err, const char *fmt, ...)
{
	unsigned line = yaml_line_of(loading->text, loading->schema, key);
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	if (line == 0)
		return err_refuse(err, ERR_CONFIG, "%s: %s: %s", loading->config->path,
		    key, what);
	return err_refuse(err, ERR_CONFIG, "%s:%u: %s: %s", loading->config->path,
	    line, key, what);
}

static bool is_present(const struct loading *loading, const char *key)
{
	return yaml_line_of(loading->text, loading->schema, key) != 0;
}

static unsigned processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0
	    ? CPU_COUNT(&set) : 1;

	return count < 1 ? 1 : count > 256 ? 256 : (unsigned)count;
}

static void text_default(char **text, const char *value)
{
	if (*text == NULL)
		*text = mem_strdup(value);
}

struct number {
	const char *key;
	unsigned *value;
	unsigned least, most, absent;
};

static enum err_code take_number(const struct loading *loading,
    const struct number *number, struct err *err)
{
	if (!is_present(loading, number->key))
		*number->value = number->absent;
	if (*number->value >= number->least && *number->value <= number->most)
		return ERR_OK;
	return refuse(loading, number->key, err, "%u; want %u to %u",
	    *number->value, number->least, number->most);
}

static enum err_code take_numbers(
    const struct loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const unsigned cores = processors();
	const struct number numbers[] = {
	    {"hsm.workers", &config->hsm.workers, 1, 256, cores},
	    {"limits.event_threads", &config->limits.event_threads, 1, 256,
		cores},
	    {"limits.workers", &config->limits.workers, 1, 256, 64},
	    {"limits.queue", &config->limits.queue, 1, 65536, 512},
	    {"limits.connections", &config->limits.connections, 1, 1000000,
		4096},
	    {"limits.connections_per_ip", &config->limits.connections_per_ip,
		1, 1000000, 1024},
	    {"limits.handshakes", &config->limits.handshakes, 1, 1000000,
		2048},
	    {"ocsp.cache_entries", &config->ocsp.cache_entries, 1, 16777216,
		65536},
	};
	const uint64_t least = 16, most = UINT64_C(16777216);	/* 16 TiB */

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		enum err_code code = take_number(loading, &numbers[i], err);

		if (code != ERR_OK)
			return code;
	}
	if (!is_present(loading, "store.map_size_mib"))
		config->store.map_size_mib = 65536;
	if (config->store.map_size_mib < least ||
	    config->store.map_size_mib > most)
		return refuse(loading, "store.map_size_mib", err,
		    "%" PRIu64 "; want %" PRIu64 " to %" PRIu64,
		    config->store.map_size_mib, least, most);
	return ERR_OK;
}

struct duration {
	const char *key;
	const char *word;	/* NULL: absent */
	int64_t *value;
	int64_t least, most, absent;
};

static enum err_code take_duration(const struct loading *loading,
    const struct duration *duration, struct err *err)
{
	char have[CLOCK_TEXT_SIZE], least[CLOCK_TEXT_SIZE];
	char most[CLOCK_TEXT_SIZE];

	*duration->value = duration->absent;
	if (duration->word == NULL)
		return ERR_OK;
	if (!duration_parse(duration->word, duration->value))
		return refuse(loading, duration->key, err,
		    "\"%s\" is not a duration; want one like 90s, 10m, 24h, "
		    "30d or 1h30m", err_quote_str(duration->word));
	if (*duration->value >= duration->least &&
	    *duration->value <= duration->most)
		return ERR_OK;
	return refuse(loading, duration->key, err, "%s; want %s to %s",
	    duration_format(*duration->value, have),
	    duration_format(duration->least, least),
	    duration_format(duration->most, most));
}

static enum err_code take_durations(
    const struct loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const struct config_words *words = loading->words;
	const struct duration durations[] = {
	    {"hsm.timeout", words->hsm_timeout, &config->hsm.timeout, 1, 300,
		10},
	    {"limits.handshake_timeout", words->handshake_timeout,
		&config->limits.handshake_timeout, 1, 600, 10},
	    {"limits.request_timeout", words->request_timeout,
		&config->limits.request_timeout, 1, 600, 30},
	    {"limits.drain_timeout", words->drain_timeout,
		&config->limits.drain_timeout, 0, 600, 20},
	    {"crl.validity", words->crl_validity, &config->crl.validity, 10,
		366 * DAY, DAY},
	    {"crl.refresh", words->crl_refresh, &config->crl.refresh, 1,
		366 * DAY, 8 * 3600},
	    {"ocsp.validity", words->ocsp_validity, &config->ocsp.validity, 10,
		30 * DAY, 8 * 3600},
	    {"repeat_window", words->repeat_window, &config->repeat_window, 0,
		DAY, 600},
	};

	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		enum err_code code = take_duration(loading, &durations[i], err);

		if (code != ERR_OK)
			return code;
	}
	if (config->crl.refresh >= config->crl.validity)
		return refuse(loading, is_present(loading, "crl.refresh")
			? "crl.refresh" : "crl.validity", err,
		    "a CRL must be rebuilt before it ends; want crl.refresh "
		    "(%" PRId64 " s) below crl.validity (%" PRId64 " s)",
		    config->crl.refresh, config->crl.validity);
	return ERR_OK;
}

/* A number from 1 to 9999999 at *AT, which is moved behind it; 0: there is none.
 */
static int64_t read_number(const char **at)
{
	int64_t number = 0;
	size_t len = strspn(*at, "0123456789");

	if (len == 0 || len > 7 || **at == '0')
		return 0;
	for (; len > 0; len--)
		number = number * 10 + *(*at)++ - '0';
	return number;
}

static int64_t unit_us(char unit)
{
	switch (unit) {
	case 's':
		return INT64_C(1000000);
	case 'm':
		return INT64_C(60000000);
	case 'h':
		return INT64_C(3600000000);
	case 'd':
		return INT64_C(86400000000);
	default:
		return 0;
	}
}

/* "50/s", "10/m burst 100" or "off"; an interval is rounded up, so that never
 * more come than said. */
static bool parse_rate(const char *word, struct config_rate *rate_out)
{
	static const char burst[] = " burst ";
	int64_t count, unit;

	*rate_out = (struct config_rate){0};
	if (strcmp(word, "off") == 0)
		return true;
	count = read_number(&word);
	if (count == 0 || *word++ != '/' || (unit = unit_us(*word)) == 0)
		return false;
	word++;
	rate_out->interval_us = (unit + count - 1) / count;
	rate_out->burst = count;
	if (*word == '\0')
		return true;
	if (!text_has_prefix(word, burst))
		return false;
	word += strlen(burst);
	rate_out->burst = read_number(&word);
	return rate_out->burst > 0 && *word == '\0';
}

static enum err_code take_rates(const struct loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const struct config_words *words = loading->words;
	const struct {
		const char *key, *word;
		struct config_rate *value;
		const char *absent;
	} rates[] = {
	    {"limits.rate.source", words->rate.source,
		&config->limits.rate.source, "200/s burst 20000"},
	    {"limits.rate.failures", words->rate.failures,
		&config->limits.rate.failures, "1/s burst 100"},
	    {"limits.rate.identity", words->rate.identity,
		&config->limits.rate.identity, "500/s burst 20000"},
	    {"limits.rate.cluster", words->rate.cluster,
		&config->limits.rate.cluster, "50/s burst 10000"},
	    {"limits.rate.names", words->rate.names,
		&config->limits.rate.names, "1/m burst 100"},
	    {"limits.rate.public", words->rate.public,
		&config->limits.rate.public, "1000/s burst 20000"},
	    {"limits.rate.ocsp_signed", words->rate.ocsp_signed,
		&config->limits.rate.ocsp_signed, "100/s burst 5000"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		const char *word =
		    rates[i].word == NULL ? rates[i].absent : rates[i].word;

		if (!parse_rate(word, rates[i].value))
			return refuse(loading, rates[i].key, err,
			    "\"%s\" is no rate; want one like 50/s, "
			    "\"10/m burst 100\" (of s, m, h, d) or off",
			    err_quote_str(word));
	}
	return ERR_OK;
}

static enum err_code take_ranges(const struct loading *loading,
    const char *key, const struct config_list *list,
    struct config_ranges *ranges, struct err *err)
{
	ranges->items = mem_zalloc_array(list->items_count,
	    sizeof(*ranges->items));
	ranges->count = list->items_count;
	for (unsigned i = 0; i < list->items_count; i++) {
		OWNED_STR(item) = mem_printf("%s[%u]", key, i + 1);
		const char *why = "";

		if (!cidr_parse(list->items[i], &ranges->items[i], &why))
			return refuse(loading, item, err,
			    "\"%s\": %s; want one like 10.1.0.0/16 or "
			    "2001:db8::/32", err_quote_str(list->items[i]),
			    why);
	}
	return ERR_OK;
}

static enum err_code take_access(
    const struct loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const struct config_words *words = loading->words;
	const struct {
		const char *key;
		const struct config_list *list;
		struct config_ranges *ranges;
	} all[] = {
	    {"access.api", &words->access.api, &config->access.api},
	    {"access.public", &words->access.public, &config->access.public},
	    {"access.ops", &words->access.ops, &config->access.ops},
	    {"access.roles.admin", &words->access.admin,
		&config->access.roles.admin},
	    {"access.roles.operator", &words->access.operator,
		&config->access.roles.operator},
	    {"access.roles.key-officer", &words->access.key_officer,
		&config->access.roles.key_officer},
	    {"access.roles.auditor", &words->access.auditor,
		&config->access.roles.auditor},
	    {"access.roles.node", &words->access.node,
		&config->access.roles.node},
	    {"access.roles.kms", &words->access.kms,
		&config->access.roles.kms},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		enum err_code code = take_ranges(
		    loading, all[i].key, all[i].list, all[i].ranges, err);

		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code take_endpoints(
    const struct loading *loading, struct err *err)
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
			return refuse(loading, endpoints[i].key, err,
			    "\"%s\" is not ADDRESS:PORT, numeric, as "
			    "127.0.0.1:8443 or [::]:8443",
			    err_quote_str(*endpoints[i].value));
		for (size_t k = 0; k < i; k++) {
			if (strcmp(*endpoints[i].value,
				*endpoints[k].value) == 0 &&
			    !text_has_suffix(*endpoints[i].value, ":0"))
				return refuse(loading, endpoints[i].key, err,
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
    const struct loading *loading, struct err *err)
{
	char *url = loading->config->public_url;
	const char *host;

	if (url == NULL)
		return refuse(loading, "public_url", err,
		    "required; certificates name it, e.g. "
		    "http://pki.example.net");
	host = url + strlen("http://");
	if (!text_has_prefix(url, "http://") || *host == '\0' || *host == '/')
		return refuse(loading, "public_url", err,
		    "\"%s\" is not http://HOST[:PORT][/PATH]; plain HTTP, for "
		    "a client must not need this CA to ask about it",
		    err_quote_str(url));
	for (size_t i = 0; url[i] != '\0'; i++) {
		if (!is_url_octet(url[i]))
			return refuse(loading, "public_url", err,
			    "\"%s\" holds what a URL's path may not",
			    err_quote_str(url));
	}
	for (size_t len = strlen(url); url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return ERR_OK;
}

static enum err_code take_names(const struct loading *loading, struct err *err)
{
	const struct config *config = loading->config;
	struct ip ip;

	for (unsigned i = 0; i < config->tls.names_count; i++) {
		const char *name = config->tls.names[i];
		OWNED_STR(key) = mem_printf("tls.names[%u]", i + 1);

		if (!ip_parse(name, &ip) && !text_is_host_name(name))
			return refuse(loading, key, err,
			    "\"%s\" is neither a DNS name nor an address",
			    err_quote_str(name));
	}
	return ERR_OK;
}

static enum err_code take_token(const struct loading *loading, const char *key,
    const char *uri, struct err *err)
{
	if (uri == NULL)
		return refuse(loading, key, err,
		    "required; the token as a PKCS#11 URI, e.g. "
		    "pkcs11:token=signet");
	if (!text_has_prefix(uri, "pkcs11:"))
		return refuse(loading, key, err,
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
    const struct loading *loading, struct err *err)
{
	const struct config *config = loading->config;

	for (unsigned i = 0; i < config->hsm.environment_count; i++) {
		OWNED_STR(key) = mem_printf("hsm.environment[%u]", i + 1);

		/* Not echoed: a module's variable may hold a credential. */
		if (!is_assignment(config->hsm.environment[i]))
			return refuse(loading, key, err, "want NAME=VALUE");
	}
	return ERR_OK;
}

static enum err_code take_hsm(const struct loading *loading, struct err *err)
{
	static const char *const words[] = {"strict", "network", "off", NULL};
	struct config *config = loading->config;
	enum err_code code;

	if (config->hsm.module == NULL)
		return refuse(loading, "hsm.module", err,
		    "required; the path of the token's PKCS#11 module");
	if (config->hsm.module[0] != '/')
		return refuse(loading, "hsm.module", err,
		    "\"%s\" is not an absolute path",
		    err_quote_str(config->hsm.module));
	if (config->hsm.pin_file == NULL)
		return refuse(loading, "hsm.pin_file", err,
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
		code = refuse(loading, "hsm.sandbox", err,
		    "\"%s\"; want strict, network or off",
		    err_quote_str(config->hsm.sandbox));
	return code;
}

#define WITNESSES_MAX 8

/* file:PATH or syslog[:SOCKET]; paths become absolute. */
static enum err_code take_witness(
    const struct loading *loading, unsigned index, struct err *err)
{
	const struct config *config = loading->config;
	char **witness = &config->audit.witness[index];
	const char *path = strchr(*witness, ':');
	bool is_file = text_has_prefix(*witness, "file:");
	OWNED_STR(key) = mem_printf("audit.witness[%u]", index + 1);

	if ((!is_file && strcmp(*witness, "syslog") != 0 &&
		!text_has_prefix(*witness, "syslog:")) ||
	    (path != NULL && path[1] == '\0'))
		return refuse(loading, key, err,
		    "\"%s\" is not file:PATH, syslog or syslog:SOCKET",
		    err_quote_str(*witness));
	if (path != NULL) {
		OWNED_STR(given) = GIVE(*witness);
		OWNED_STR(whole) = fs_join(config->dir, strchr(given, ':') + 1);

		*witness =
		    mem_printf("%s:%s", is_file ? "file" : "syslog", whole);
	}
	for (unsigned i = 0; i < index; i++)
		if (strcmp(config->audit.witness[i], *witness) == 0)
			return refuse(loading, key, err, "%s is there twice",
			    err_quote_str(*witness));
	return ERR_OK;
}

static enum err_code take_audit(const struct loading *loading, struct err *err)
{
	unsigned count = loading->config->audit.witness_count;

	if (count > WITNESSES_MAX)
		return refuse(loading, "audit.witness", err,
		    "%u witnesses; at most %d", count, WITNESSES_MAX);
	for (unsigned i = 0; i < count; i++) {
		enum err_code code = take_witness(loading, i, err);

		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code take_log(const struct loading *loading, struct err *err)
{
	struct config *config = loading->config;
	const char *word = loading->words->log_level;

	config->log_level = LOG_INFO;
	if (word == NULL || log_level_parse(word, &config->log_level))
		return ERR_OK;
	return refuse(loading, "log.level", err,
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

	settle_path(config, &config->tls.certificate, "tls/server.pem");
	settle_path(config, &config->tls.key, "tls/server-key.pem");
	settle_path(config, &config->store.path, "store");
	settle_path(config, &config->policies, "policies");
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
	const struct loading loading = {text, schema, config, words};
	enum err_code (*const takes[])(
	    const struct loading *, struct err *) = {
	    take_endpoints, take_public_url, take_names, take_hsm,
	    take_numbers, take_durations, take_rates, take_access, take_audit,
	    take_log};

	for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
		enum err_code code = takes[i](&loading, err);

		if (code != ERR_OK)
			return code;
	}
	settle_paths(config);
	return ERR_OK;
}
