// SPDX-License-Identifier: Apache-2.0
/* signet-agent: keeps a node's certificate. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/rand.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/exit.h"
#include "cli/node.h"
#include "cli/options.h"
#include "cli/outdir.h"
#include "cli/output.h"
#include "cli/reload.h"

#define SECRET_HEAP ((size_t)64 * 1024)
#define RETRY_FIRST 5 /* seconds */
#define RETRY_MOST 900
#define PAUSE_MOST 3600 /* that a server may ask for */
#define SPREAD_MOST 3600
#define STILL_VALID "not renewed yet; the certificate held is still valid"
#define SLEEP_MOST 3600 /* a clock that jumps is noticed within this */
#define LOOK_EVERY 3600 /* whether the server still takes the certificate */

static const struct option_spec globals[] = {
    {"json", NULL, "print JSON", false, false},
    {0},
};

static const struct column details[] = {
    {"cluster", "cluster"},
    {"profile", "profile"},
    {"serial", "serial"},
    {"valid until", "not_after"},
    {"renewed from", "renew_after"},
    {"changed", "changed"},
    {0},
};

static int report(const struct options *options, json_t *state, bool changed)
{
	json_object_set_new(state, "changed", json_boolean(changed));
	output_object(state, details, options_has(options, "json"));
	return EXIT_DONE;
}

static int fail(const struct options *options, const struct err *err)
{
	return exit_with(options_program(options), err);
}

static const struct option_spec enroll_options[] = {
    {"url", "URL", "API of the server, https://HOST:PORT", false, true},
    {"fingerprint", "sha256:HEX", "of the root, as 'signet init' gave it",
	false, true},
    {"token-file", "FILE", "bootstrap token ('signet token create')", false,
	true},
    {"profile", "P", "profile of the cluster's policy", false, true},
    {"out", "DIR", "folder for key and certificates", false, true},
    {"cn", "NAME", "common name", false, false},
    {"dns", "NAME", "DNS name of this node", true, false},
    {"ip", "ADDRESS", "address of this node", true, false},
    {"uri", "URI", "URI of this node", true, false},
    {"key-type", "TYPE",
	"ec-p256, ec-p384, rsa-2048, rsa-3072 or "
	"rsa-4096 [ec-p256]",
	false, false},
    {"reload", "CMD", "run when the files have changed", false, false},
    {0},
};

static void add_sans(json_t *sans, const struct options *options,
    const char *option, const char *kind)
{
	const char *value;

	for (size_t i = 0; options_each(options, option, i, &value); i++) {
		OWNED_STR(san) = mem_printf("%s:%s", kind, value);
		json_array_append_new(sans, json_string(san));
	}
}

/*
 * Runs the reload command, if any.  Whether it is still owed stands in the
 * state, so that a command that failed runs again at the next occasion.
 */
static enum err_code reload(
    const struct options *options, json_t *state, struct err *err)
{
	const char *command = options_get(options, "reload");
	enum err_code code;

	if (command == NULL || !json_is_true(json_object_get(state, "reload")))
		return ERR_OK;
	if ((code = reload_run(command, RELOAD_TIMEOUT, err)) != ERR_OK) {
		fprintf(stderr,
		    "%s: the files are in place; the reload will be tried "
		    "again\n",
		    options_program(options));
		return code;
	}
	json_object_del(state, "reload");
	return outdir_write_state(options_get(options, "out"), state, err);
}

static int enroll_run(const struct options *options)
{
	OWNED_JSON(sans) = json_array();
	OWNED_JSON(state) = NULL;
	bool fresh = false;
	struct err err = {0};
	const char *key_type = options_get(options, "key-type");
	struct node_order order = {
	    .url = options_get(options, "url"),
	    .fingerprint = options_get(options, "fingerprint"),
	    .token_file = options_get(options, "token-file"),
	    .profile = options_get(options, "profile"),
	    .dir = options_get(options, "out"),
	    .key_type = key_type == NULL ? "ec-p256" : key_type,
	    .cn = options_get(options, "cn"),
	    .sans = sans,
	};

	add_sans(sans, options, "dns", "DNS");
	add_sans(sans, options, "ip", "IP");
	add_sans(sans, options, "uri", "URI");
	if (node_enroll(&order, &state, &fresh, &err) != ERR_OK ||
	    reload(options, state, &err) != ERR_OK)
		return fail(options, &err);
	return report(options, state, fresh);
}

#define OUT                                                                    \
	{                                                                      \
		"out", "DIR", "folder that was enrolled", false, true          \
	}
#define RELOAD                                                                 \
	{                                                                      \
		"reload", "CMD", "run when the files have changed", false,     \
		    false                                                      \
	}

static const struct option_spec ensure_options[] = {
    OUT, RELOAD, {"force", NULL, "renew now, due or not", false, false}, {0}};

/*
 * When to renew.  SPREAD moves it by a part that follows from the serial: nodes
 * enrolled at one moment do not all come at one moment, and none changes its
 * mind with each look.
 */
static int64_t due_time(const json_t *state, bool spread)
{
	int64_t due = node_time(state, "renew_after");
	int64_t most = (node_time(state, "not_after") - due) / 10;
	const char *c =
	    json_string_value(json_object_get(state, "serial"));
	uint32_t hash = 2166136261; /* FNV-1a */

	if (!spread || most <= 0 || c == NULL)
		return due;
	for (; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619;
	return due + hash % ((most < SPREAD_MOST ? most : SPREAD_MOST) + 1);
}

/* While the certificate held is still good, a server out of reach is worth a
 * warning and no more: the next occasion comes. */
static bool can_wait(const json_t *state, enum err_code code)
{
	return exit_for(code) == EXIT_TEMPORARY &&
	       clock_now() < node_time(state, "not_after");
}

/* How ensure is called: by a timer, or again and again by ourselves. */
enum way { ONCE, STAYING };

/* What came of one look. */
struct outcome {
	bool changed;
	int64_t pause; /* seconds that the server asked for; 0: none */
};

static enum err_code renew(const struct options *options, json_t *state,
    enum way way, struct outcome *outcome, struct err *err)
{
	enum err_code code = node_renew(
	    options_get(options, "out"), state, &outcome->pause, err);

	outcome->changed = code == ERR_OK;
	if (options_has(options, "force") || !can_wait(state, code))
		return code;
	if (way == STAYING)
		log_err(LOG_WARN, STILL_VALID, err);
	else {
		(void)exit_with(options_program(options), err);
		fprintf(stderr, "%s: " STILL_VALID "\n",
		    options_program(options));
	}
	err_clear(err);
	return ERR_OK;
}

/* A revocation is worth knowing before the next renewal; whatever else keeps the
 * server from answering is not worth a word, for nothing is due. */
static enum err_code look(
    const struct options *options, json_t *state, struct err *err)
{
	int64_t since = clock_now() - node_time(state, "looked");
	enum err_code code;

	if (since >= 0 && since < LOOK_EVERY)
		return ERR_OK;
	code = node_look(options_get(options, "out"), state, err);
	if (code == ERR_OK || code == ERR_UNAUTHENTICATED)
		return code;
	err_clear(err);
	return ERR_OK;
}

/* What helps where trying again does not. */
static void advise(
    const struct options *options, const json_t *state, enum err_code code)
{
	const char *name = options_program(options);

	if (exit_for(code) == EXIT_REFUSED &&
	    clock_now() >= node_time(state, "not_after"))
		fprintf(stderr,
		    "%s: the certificate held has expired: run "
		    "'signet-agent enroll' with a new token\n",
		    name);
	else if (code == ERR_UNAUTHENTICATED)
		fprintf(stderr,
		    "%s: if the certificate held was revoked, remove %s and run "
		    "'signet-agent enroll' with a new token\n",
		    name, options_get(options, "out"));
}

/* Renews when due, else looks now and then, and runs what is owed. */
static enum err_code ensure(const struct options *options, enum way way,
    json_t **state_out, struct outcome *outcome, struct err *err)
{
	OWNED_JSON(state) = NULL;
	enum err_code code;

	*outcome = (struct outcome){0};
	if ((code = outdir_read_state(
		 options_get(options, "out"), &state, err)) != ERR_OK)
		return code;
	if (clock_now() >= due_time(state, way == STAYING) ||
	    options_has(options, "force"))
		code = renew(options, state, way, outcome, err);
	else
		code = look(options, state, err);
	if (code == ERR_OK)
		code = reload(options, state, err);
	if (code == ERR_OK)
		*state_out = GIVE(state);
	else
		advise(options, state, code);
	return code;
}

static int ensure_run(const struct options *options)
{
	OWNED_JSON(state) = NULL;
	struct err err = {0};
	struct outcome outcome;

	if (ensure(options, ONCE, &state, &outcome, &err) != ERR_OK)
		return fail(options, &err);
	return report(options, state, outcome.changed);
}

static const struct option_spec run_options[] = {OUT, RELOAD, {0}};

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

/* Sleeps SECONDS or until a signal to stop. */
static void sleep_for(int64_t seconds, const sigset_t *while_asleep)
{
	struct timespec length = {.tv_sec = (time_t)seconds};

	/* pselect opens the mask and sleeps in one step: no signal is missed.
	 */
	(void)pselect(0, NULL, NULL, NULL, &length, while_asleep);
}

/* Nodes whose server was away do not all come back at one moment. */
static int64_t jitter(int64_t most)
{
	uint32_t drawn = 0;

	if (most <= 0 || RAND_bytes((void *)&drawn, sizeof(drawn)) != 1)
		return 0;
	return (int64_t)(drawn % (uint32_t)(most + 1));
}

/* Seconds until the next try: never sooner than the server asked, within bounds,
 * and not at one moment with all whom it asked the same. */
static int64_t until_retry(int64_t retry, int64_t pause)
{
	if (pause > PAUSE_MOST)
		pause = PAUSE_MOST;
	if (retry < pause)
		retry = pause;
	return retry + jitter(retry / 2);
}

/* Seconds until the next look. */
static int64_t until_due(const json_t *state)
{
	int64_t wait = due_time(state, true) - clock_now();

	if (wait < RETRY_FIRST)
		wait = RETRY_FIRST;
	return wait < SLEEP_MOST ? wait : SLEEP_MOST;
}

static int loop(const struct options *options, const sigset_t *while_asleep)
{
	int64_t retry = RETRY_FIRST;

	while (!stopping) {
		OWNED_JSON(state) = NULL;
		struct err err = {0};
		struct outcome outcome;
		enum err_code code =
		    ensure(options, STAYING, &state, &outcome, &err);
		if (code == ERR_CONFIG)
			return fail(options, &err);
		/* Nothing that this program can do brings it back. */
		if (code == ERR_UNAUTHENTICATED) {
			log_err(LOG_ERROR, "certificate refused, ending", &err);
			return exit_for(code);
		}
		if (code == ERR_OK && outcome.changed)
			LOG(INFO, "certificate renewed",
			    LOG_STR("serial", json_string_value(json_object_get(
						  state, "serial"))));
		bool late = code == ERR_OK &&
			    due_time(state, true) <= clock_now();
		if (code == ERR_OK && !late) {
			retry = RETRY_FIRST;
			sleep_for(until_due(state), while_asleep);
			continue;
		}
		if (code != ERR_OK)
			log_err(LOG_ERROR, "not renewed, trying again", &err);
		int64_t wait = until_retry(retry, outcome.pause);
		LOG(INFO, "waiting", LOG_NUM("seconds", wait));
		sleep_for(wait, while_asleep);
		retry = retry * 2 < RETRY_MOST ? retry * 2 : RETRY_MOST;
	}
	sd_notify(0, "STOPPING=1");
	return EXIT_DONE;
}

static int run_run(const struct options *options)
{
	struct sigaction action = {.sa_handler = stop};
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	log_set_level(LOG_INFO);
	sd_notify(0, "READY=1");
	return loop(options, &before);
}

static const struct command commands[] = {
    {"enroll", "", "get the node's first certificate with a token",
	enroll_options, enroll_run},
    {"ensure", "", "renew when due, else do nothing: for a timer",
	ensure_options, ensure_run},
    {"run", "", "stay, and renew when due", run_options, run_run},
    {0},
};

static const struct program program = {
    .name = "signet-agent",
    .help = "Gets and renews the certificate of a database node.",
    .globals = globals,
    .commands = commands,
};

int main(int argc, char **argv)
{
	struct err err = {0};

	fs_open_standard();
	log_open(2, "signet-agent", LOG_WARN);
	if (secret_heap_open(SECRET_HEAP, &err) != ERR_OK)
		return exit_with("signet-agent", &err);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int code = options_run(&program, argc, argv);
	curl_global_cleanup();
	return code;
}
