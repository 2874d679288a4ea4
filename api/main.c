// SPDX-License-Identifier: Apache-2.0
/* signetd: serves until SIGTERM, reloads on SIGHUP. */
#include <argp.h>
#include <errno.h>
#include <gnutls/pkcs11.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include "api/app.h"
#include "api/auditor.h"
#include "api/maintain.h"
#include "api/server.h"
#include "api/teller.h"
#include "api/watchdog.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/modes.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "config.h"
#include "hsm/hsm.h"
#include "hsm/spawner.h"

/* Locked memory for tokens, data keys and answers that hold them. */
#define SECRET_HEAP (4u * 1024 * 1024)

const char *argp_program_version = "signetd " PACKAGE_VERSION;

struct arguments {
	const char *config;
	bool check, json;
};

enum { OPTION_CHECK = 0x100, OPTION_JSON };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration, signet.yaml", 0},
    {"check", OPTION_CHECK, NULL, 0,
	"Check configuration, policies, TLS files and store, and end", 0},
    {"json", OPTION_JSON, NULL, 0, "Tell the outcome of --check as JSON", 0},
    {0},
};

static error_t take_option(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	switch (key) {
	case 'c':
		arguments->config = value;
		return 0;
	case OPTION_CHECK:
		arguments->check = true;
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", value);
		return EINVAL;
	case ARGP_KEY_END:
		if (arguments->config == NULL)
			arguments->config = getenv("SIGNET_CONFIG");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int fail(const struct err *err)
{
	fprintf(stderr, "signetd: %s: %s\n", err_title(err->code),
	    err->detail[0] != '\0' ? err->detail : err->cause);
	/* Of the server's own files, what is absent was never set up. */
	return err->code == ERR_NOT_FOUND ? EXIT_NOT_SET_UP
					  : exit_for(err->code);
}

/* As many descriptors as may be had, up to what the listeners can use. */
static void raise_descriptor_limit(const struct config *config)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)config->limits.connections * 2 + 1024;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		LOG(WARN, "fewer descriptors than limits.connections needs",
		    LOG_NUM("have", limit.rlim_cur),
		    LOG_NUM("wanted", wanted));
}

/* Before any thread is there, so that all inherit it: signals come to the main
 * thread, by sigtimedwait alone. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void reload(struct app *app)
{
	struct err err = {0};
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_us());
	if (app_reload(app, &err) == ERR_OK)
		LOG(INFO, "reloaded");
	else
		log_err(LOG_ERROR, "reload refused, nothing changed", &err);
	sd_notify(0, "READY=1");
}

/* Until told to stop.  Where there is a watchdog, three looks in its period: it
 * is kept quiet only while all is alive. */
static void wait_for_end(
    struct app *app, const struct server *server, const sigset_t *set)
{
	struct watchdog watchdog = {0};
	uint64_t watchdog_us = 0;
	struct timespec period = {3600, 0};
	bool watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
	if (watched) {
		period.tv_sec = (time_t)(watchdog_us / 3 / 1000000);
		period.tv_nsec = (long)(watchdog_us / 3 % 1000000 * 1000);
	}
	for (;;) {
		int got = sigtimedwait(set, NULL, &period);
		if (got == SIGTERM || got == SIGINT)
			return;
		if (got == SIGHUP)
			reload(app);
		if (watched && watchdog_look(&watchdog, app, server))
			sd_notify(0, "WATCHDOG=1");
	}
}

/* What is left of the audit log to sign and tell, once nobody asks any more. */
static void close_auditor(struct app *app)
{
	if (!auditor_close(app->auditor)) {
		LOG(ERROR, "an audit witness hangs");
		_exit(EXIT_FAILED);
	}
	app->auditor = NULL;
}

static enum err_code serve_requests(struct app *app, struct sockets *sockets,
    const sigset_t *set, struct err *err)
{
	OWNED(server) server = NULL;
	struct maintenance *maintenance = NULL;
	enum err_code code = server_open(app, sockets, &server, err);
	if (code == ERR_OK)
		code = maintain_open(app, &maintenance, err);
	if (code != ERR_OK)
		return code;
	sd_notify(0, "READY=1");
	LOG(INFO, "ready", LOG_STR("version", PACKAGE_VERSION));
	wait_for_end(app, server, set);
	sd_notify(0, "STOPPING=1");
	LOG(INFO, "stopping");
	if (!server_drain(server, atomic_load(&app->drain_timeout_ms))) {
		/* Jobs that hang hold their connections.  The store is such
		 * that ending here loses nothing. */
		LOG(ERROR, "jobs still run after limits.drain_timeout");
		_exit(EXIT_FAILED);
	}
	maintain_close(maintenance);
	return ERR_OK;
}

static enum err_code serve(struct app *app, struct sockets *sockets,
    const sigset_t *set, struct err *err)
{
	enum err_code code = auditor_open(app, &app->auditor, err);
	if (code == ERR_OK)
		code = serve_requests(app, sockets, set, err);
	close_auditor(app);
	if (code == ERR_OK && atomic_load(&app->unfit))
		code = err_fail(err, ERR_CORRUPT,
		    "an audit witness has what the store lacks, or has it "
		    "otherwise: see the log");
	return code;
}

/* What takes privileges is done: locked memory, limits, ports. */
static enum err_code give_up_privileges(
    const struct config *config, struct err *err)
{
	if (geteuid() == 0 && config->server.user == NULL)
		LOG(WARN, "runs as root: set server.user, or start as a user "
		    "of its own");
	enum err_code code = sandbox_drop(config->server.user, err);
	/* As whom it will read them from now on. */
	if (code == ERR_OK)
		code = modes_check_config(config, err);
	return code;
}

/* The last program that this process starts. */
static enum err_code open_spawner(const struct config *config,
    const struct tellers *tellers, struct spawner **spawner_out,
    struct err *err)
{
	const struct hsm_options worker = hsm_options_from(config);
	unsigned count;
	struct spawn *const *others = tellers_programs(tellers, &count);
	enum err_code code =
	    spawner_open_with(&worker, others, count, spawner_out, err);
	return code == ERR_OK ? sandbox_enter(SANDBOX_INET, err) : code;
}

static enum err_code run(const struct config *config, struct err *err)
{
	OWNED(sockets) sockets = NULL;
	OWNED(spawner) spawner = NULL;
	OWNED(tellers) tellers = tellers_new(config);
	OWNED(app) app = NULL;
	sigset_t set;
	block_signals(&set);
	enum err_code code = secret_heap_open(SECRET_HEAP, err);
	if (code != ERR_OK)
		return code;
	raise_descriptor_limit(config);
	if ((code = sockets_open(config, &sockets, err)) != ERR_OK ||
	    (code = give_up_privileges(config, err)) != ERR_OK ||
	    (code = open_spawner(config, tellers, &spawner, err)) != ERR_OK ||
	    (code = tellers_start(tellers, spawner, err)) != ERR_OK ||
	    (code = app_open(config, spawner, tellers, &app, err)) != ERR_OK)
		return code;
	return serve(app, sockets, &set, err);
}

static int check(const struct config *config, bool json)
{
	struct err err = {0};
	if (secret_heap_open(SECRET_HEAP, &err) != ERR_OK ||
	    app_check(config, &err) != ERR_OK)
		return fail(&err);
	puts(json ? "{\"ok\":true}" : "The configuration is good.");
	return EXIT_DONE;
}

static enum err_code load(
    const char *path, struct config **config_out, struct err *err)
{
	if (path == NULL || path[0] == '\0')
		return err_refuse(err, ERR_CONFIG,
		    "no configuration: name one with --config or in "
		    "SIGNET_CONFIG, or make one with 'signet init'");
	return config_load(path, config_out, err);
}

int main(int argc, char **argv)
{
	static const struct argp parser = {options, take_option, NULL,
	    "The server of Signet, a hardware-backed PKI and key-management "
	    "service.  Serves in the foreground.", NULL, NULL, NULL};
	struct arguments arguments = {0};
	struct err err = {0};
	OWNED(config) config = NULL;
	fs_open_standard();
	/* First of all: or the first such call of GnuTLS would load every
	 * module that the system has registered. */
	if (gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL) < 0)
		return EXIT_FAILED;
	json_wipe_freed();
	argp_err_exit_status = EXIT_WRONG_USE;
	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if (load(arguments.config, &config, &err) != ERR_OK)
		return fail(&err);
	log_open(STDERR_FILENO, "signetd", config->log_level);
	if (arguments.check)
		return check(config, arguments.json);
	if (run(config, &err) != ERR_OK)
		return fail(&err);
	LOG(INFO, "stopped");
	return EXIT_DONE;
}
