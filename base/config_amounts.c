// SPDX-License-Identifier: Apache-2.0
#include "base/config_amounts.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include "base/clock.h"
#include "base/net.h"
#include "base/text.h"

#define DAY INT64_C(86400)

static unsigned processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0
	    ? CPU_COUNT(&set) : 1;

	return count < 1 ? 1 : count > 256 ? 256 : (unsigned)count;
}

struct number {
	const char *key;
	unsigned *value;
	unsigned least, most, absent;
};

static enum err_code take_number(const struct config_loading *loading,
    const struct number *number, struct err *err)
{
	if (!config_loading_has(loading, number->key))
		*number->value = number->absent;
	if (*number->value >= number->least && *number->value <= number->most)
		return ERR_OK;
	return config_loading_refuse(loading, number->key, err, "%u; want %u to %u",
	    *number->value, number->least, number->most);
}

enum err_code config_amounts_numbers(
    const struct config_loading *loading, struct err *err)
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
	if (!config_loading_has(loading, "store.map_size_mib"))
		config->store.map_size_mib = 65536;
	if (config->store.map_size_mib < least ||
	    config->store.map_size_mib > most)
		return config_loading_refuse(loading, "store.map_size_mib", err,
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

static enum err_code take_duration(const struct config_loading *loading,
    const struct duration *duration, struct err *err)
{
	char have[CLOCK_TEXT_SIZE], least[CLOCK_TEXT_SIZE];
	char most[CLOCK_TEXT_SIZE];

	*duration->value = duration->absent;
	if (duration->word == NULL)
		return ERR_OK;
	if (!duration_parse(duration->word, duration->value))
		return config_loading_refuse(loading, duration->key, err,
		    "\"%s\" is not a duration; want one like 90s, 10m, 24h, "
		    "30d or 1h30m", err_quote_str(duration->word));
	if (*duration->value >= duration->least &&
	    *duration->value <= duration->most)
		return ERR_OK;
	return config_loading_refuse(loading, duration->key, err, "%s; want %s to %s",
	    duration_format(*duration->value, have),
	    duration_format(duration->least, least),
	    duration_format(duration->most, most));
}

enum err_code config_amounts_durations(
    const struct config_loading *loading, struct err *err)
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
	    {"store.scrub_period", words->scrub_period,
		&config->store.scrub_period, 10, 30 * DAY, DAY},
	    {"repeat_window", words->repeat_window, &config->repeat_window, 0,
		DAY, 600},
	};

	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		enum err_code code = take_duration(loading, &durations[i], err);

		if (code != ERR_OK)
			return code;
	}
	if (config->crl.refresh >= config->crl.validity)
		return config_loading_refuse(loading, config_loading_has(loading, "crl.refresh")
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

enum err_code config_amounts_rates(
    const struct config_loading *loading, struct err *err)
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
			return config_loading_refuse(loading, rates[i].key, err,
			    "\"%s\" is no rate; want one like 50/s, "
			    "\"10/m burst 100\" (of s, m, h, d) or off",
			    err_quote_str(word));
	}
	return ERR_OK;
}

static enum err_code take_ranges(const struct config_loading *loading,
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
			return config_loading_refuse(loading, item, err,
			    "\"%s\": %s; want one like 10.1.0.0/16 or "
			    "2001:db8::/32", err_quote_str(list->items[i]),
			    why);
	}
	return ERR_OK;
}

enum err_code config_amounts_access(
    const struct config_loading *loading, struct err *err)
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
