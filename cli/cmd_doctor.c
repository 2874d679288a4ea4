// SPDX-License-Identifier: Apache-2.0
/* signet doctor: what is wrong with this instance, or soon will be. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/storekey.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"

const struct option_spec doctor_options[] = {{0}};

static const struct {
	const char *word; /* in JSON */
	const char *mark; /* for people */
} healths[] = {
    [HEALTH_OK] = {"ok", "ok  "},
    [HEALTH_WARN] = {"warn", "warn"},
    [HEALTH_FAIL] = {"fail", "FAIL"},
    [HEALTH_UNKNOWN] = {"unknown", "?   "},
};

const char *doctor_why(const struct err *err)
{
	return err->detail[0] != '\0' ? err->detail : err->cause;
}

void doctor_say(struct doctor *doctor, const char *check, enum health health,
    const char *next, const char *fmt, ...)
{
	json_t *json = json_object();
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	json_object_set_new(json, "check", json_string(check));
	json_object_set_new(json, "state", json_string(healths[health].word));
	json_object_set_new(json, "detail", json_string(text));
	if (next != NULL)
		json_object_set_new(json, "next", json_string(next));
	json_array_append_new(doctor->checks, json);
	doctor->counts[health]++;
	free(text);
}

static const char *text_of(const json_t *check, const char *field)
{
	return json_string_value(json_object_get(check, field));
}

static const char *mark_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(healths); i++)
		if (strcmp(healths[i].word, word) == 0)
			return healths[i].mark;
	return "?   ";
}

static void print_check(const json_t *check)
{
	const char *next = text_of(check, "next");
	OWNED_BUF(line);

	output_escape(&line, text_of(check, "detail"));
	printf("%s  %-14s %.*s\n", mark_of(text_of(check, "state")),
	    text_of(check, "check"), (int)line.len, (const char *)line.data);
	if (next == NULL)
		return;
	buf_reset(&line);
	output_escape(&line, next);
	printf("      %-14s -> %.*s\n", "", (int)line.len,
	    (const char *)line.data);
}

static int report(const struct doctor *doctor)
{
	const unsigned *counts = doctor->counts;
	OWNED_JSON(json) = json_object();
	size_t i;
	json_t *check;

	if (session_wants_json(doctor->options)) {
		json_object_set_new(json, "ok",
		    json_boolean(counts[HEALTH_FAIL] == 0 &&
				 counts[HEALTH_UNKNOWN] == 0));
		json_object_set_new(
		    json, "warned", json_integer(counts[HEALTH_WARN]));
		json_object_set_new(
		    json, "failed", json_integer(counts[HEALTH_FAIL]));
		json_object_set_new(
		    json, "unknown", json_integer(counts[HEALTH_UNKNOWN]));
		json_object_set(json, "checks", doctor->checks);
		output_object(json, NULL, true);
	} else {
		json_array_foreach(doctor->checks, i, check) print_check(check);
		printf("\n%u ok, %u to be looked at, %u failed, %u could not "
		       "be judged\n",
		    counts[HEALTH_OK], counts[HEALTH_WARN], counts[HEALTH_FAIL],
		    counts[HEALTH_UNKNOWN]);
	}
	if (counts[HEALTH_FAIL] > 0)
		return EXIT_FAILED;
	return counts[HEALTH_UNKNOWN] > 0 ? EXIT_TEMPORARY : EXIT_DONE;
}

static void open_token(struct doctor *doctor)
{
	struct hsm_options options = hsm_options_from(doctor->config);

	options.workers = 1;
	if (hsm_open(&options, true, &doctor->hsm, &doctor->hsm_err) != ERR_OK)
		doctor->hsm = NULL;
}

/* Beside a server that runs, which goes on writing. */
static void open_store(struct doctor *doctor)
{
	const struct store_options options = {
	    .path = doctor->config->store.path,
	    .map_size = doctor->config->store.map_size_mib << 20,
	    .read_only = true,
	};
	struct err err = {0};

	enum err_code code = store_open(&options, &doctor->store, &err);

	if (code == ERR_OK && doctor->hsm == NULL) {
		doctor_say(doctor, "store", HEALTH_UNKNOWN,
		    "see what is said of the token",
		    "the store opens by the token, which does not");
		return;
	}
	if (code == ERR_OK &&
	    storekey_unseal(doctor->store, doctor->hsm, &err) == ERR_OK &&
	    issuer_set_load(doctor->store, NULL, &doctor->issuers, &err) ==
		ERR_OK)
		return;
	doctor_say(doctor, "store", HEALTH_FAIL,
	    "restore a backup: signet restore FILE --dir DIR", "%s",
	    doctor_why(&err));
}

static void examine(struct doctor *doctor)
{
	doctor_say(doctor, "config", HEALTH_OK, NULL, "%s is well-formed",
	    doctor->config->path);
	doctor_check_host(doctor);
	open_token(doctor);
	open_store(doctor);
	doctor_check_clock(doctor);
	doctor_check_token(doctor);
	doctor_check_certificates(doctor);
	doctor_check_public(doctor);
	doctor_check_server(doctor);
	issuer_set_free(doctor->issuers);
	store_close(doctor->store);
	hsm_close(doctor->hsm);
}

int doctor_run(const struct options *options)
{
	OWNED(config) config = NULL;
	OWNED_JSON(checks) = json_array();
	struct doctor doctor = {.options = options, .checks = checks};
	struct err err = {0};
	enum err_code code = session_config(options, &config, &err);

	/* Each failure is a line of the report. */
	log_set_level(LOG_SILENT);
	doctor.config = config;
	if (code == ERR_OK)
		examine(&doctor);
	else if (session_config_exists(options))
		doctor_say(&doctor, "config", HEALTH_FAIL,
		    "mend it (signet.yaml(5)), then signetd --check", "%s",
		    doctor_why(&err));
	else
		return session_end(options, code, &err);
	return report(&doctor);
}
