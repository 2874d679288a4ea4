// SPDX-License-Identifier: Apache-2.0
/* signet-hsm: the one program that loads a token's driver and knows the PIN.
 * doc/hsm.md tells how it fits in; hsm/wire.h has its command lines. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "base/text.h"
#include "hsm/examine.h"
#include "hsm/mechanism.h"
#include "hsm/worker.h"

#define SECRET_HEAP_SIZE (64 * 1024)
#define EXIT_USAGE 64 /* none of wire_status */

struct arguments {
	bool init_token;
	bool selftest;
	bool mechanisms;
	const char *label;
	const char *so_pin_file;
	const char *sandbox;
	struct worker_options worker;
};

static const char usage[] =
    "Usage: signet-hsm --module PATH --token URI --pin-file PATH\n"
    "       signet-hsm --init-token --module PATH --label LABEL\n"
    "                  --so-pin-file PATH --pin-file PATH\n"
    "       signet-hsm --selftest --module PATH --token URI --pin-file PATH\n"
    "       signet-hsm --mechanisms --module PATH --token URI\n"
    "                  --pin-file PATH\n"
    "Each with [--sandbox strict|network|off]\n"
    "\n"
    "Holds a PKCS#11 token for signetd, which starts it with a socket on\n"
    "descriptor 3; makes a token; or tries the known attacks on one.\n"
    "\n"
    "  --module PATH       PKCS#11 module, absolute\n"
    "  --token URI         the token (RFC 7512), by label, serial, "
    "manufacturer\n"
    "                      or model\n"
    "  --pin-file PATH     file with the user PIN\n"
    "  --sandbox S         what the module may do: strict (the default): no\n"
    "                      network, no programs; network: the network, too;\n"
    "                      off: anything\n"
    "  --init-token        make a token in the first free slot and end\n"
    "  --label LABEL       its label, at most 32 octets\n"
    "  --so-pin-file PATH  file with its security officer's PIN\n"
    "  --selftest          try attacks in throwaway objects and end\n"
    "  --mechanisms        list what the token lacks and end\n"
    "  --help, --version\n";

enum option_id {
	OPT_MODULE = 256,
	OPT_TOKEN,
	OPT_PIN_FILE,
	OPT_INIT_TOKEN,
	OPT_LABEL,
	OPT_SO_PIN_FILE,
	OPT_SELFTEST,
	OPT_MECHANISMS,
	OPT_SANDBOX,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option options[] = {
    {"module", required_argument, NULL, OPT_MODULE},
    {"token", required_argument, NULL, OPT_TOKEN},
    {"pin-file", required_argument, NULL, OPT_PIN_FILE},
    {"init-token", no_argument, NULL, OPT_INIT_TOKEN},
    {"label", required_argument, NULL, OPT_LABEL},
    {"so-pin-file", required_argument, NULL, OPT_SO_PIN_FILE},
    {"selftest", no_argument, NULL, OPT_SELFTEST},
    {"mechanisms", no_argument, NULL, OPT_MECHANISMS},
    {"sandbox", required_argument, NULL, OPT_SANDBOX},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static void take_option(struct arguments *arguments, int option)
{
	switch (option) {
	case OPT_MODULE:
		arguments->worker.module = optarg;
		break;
	case OPT_TOKEN:
		arguments->worker.token = optarg;
		break;
	case OPT_PIN_FILE:
		arguments->worker.pin_file = optarg;
		break;
	case OPT_INIT_TOKEN:
		arguments->init_token = true;
		break;
	case OPT_LABEL:
		arguments->label = optarg;
		break;
	case OPT_SO_PIN_FILE:
		arguments->so_pin_file = optarg;
		break;
	case OPT_SELFTEST:
		arguments->selftest = true;
		break;
	case OPT_MECHANISMS:
		arguments->mechanisms = true;
		break;
	case OPT_SANDBOX:
		arguments->sandbox = optarg;
		break;
	case OPT_HELP:
		(void)fputs(usage, stdout);
		exit(0);
	case OPT_VERSION:
		(void)puts("signet-hsm " PACKAGE_VERSION);
		exit(0);
	default:
		exit(EXIT_USAGE); /* getopt has said why */
	}
}

static const char *const sandboxes[] = {"strict", "network", "off", NULL};

static void parse(int argc, char **argv, struct arguments *arguments)
{
	int modes, option;
	bool complete;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(arguments, option);
	modes = arguments->init_token + arguments->selftest +
		arguments->mechanisms;
	complete = optind == argc && modes <= 1 &&
		   arguments->worker.module != NULL &&
		   arguments->worker.pin_file != NULL &&
		   text_is_one_of(arguments->sandbox, sandboxes);
	if (arguments->init_token)
		complete = complete && arguments->label != NULL &&
			   arguments->so_pin_file != NULL &&
			   arguments->worker.token == NULL;
	else
		complete = complete && arguments->worker.token != NULL &&
			   arguments->label == NULL &&
			   arguments->so_pin_file == NULL;
	if (!complete) {
		(void)fputs(usage, stderr);
		exit(EXIT_USAGE);
	}
}

/* A stop of the service reaches every process of its group; the server still
 * needs the token then.  The worker ends when its socket does, and with its
 * parent even from inside a driver that hangs. */
static void set_up_signals(void)
{
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* Before the module is loaded: its code is the driver's maker's. */
static enum err_code give_up(const char *sandbox, struct err *err)
{
	enum err_code code = sandbox_drop(NULL, err);

	if (code != ERR_OK || strcmp(sandbox, "off") == 0)
		return code;
	return sandbox_enter(strcmp(sandbox, "network") == 0 ? SANDBOX_INET
							     : SANDBOX_LOCAL, err);
}

static enum wire_status init_token(const struct arguments *arguments)
{
	const struct module_init init = {arguments->label,
	    arguments->so_pin_file, arguments->worker.pin_file};
	struct fault fault = {.status = WIRE_OK};
	OWNED(module) module = NULL;
	enum wire_status status =
	    module_open(arguments->worker.module, &module, &fault);

	if (status == WIRE_OK)
		status = module_init_token(module, &init, &fault);
	if (status != WIRE_OK)
		(void)fprintf(stderr, "%s\n", fault.text);
	return status;
}

static enum wire_status selftest(const struct worker_options *worker)
{
	const struct token_options selected = {
	    worker->token, worker->pin_file};
	struct fault fault = {.status = WIRE_OK};
	OWNED(module) module = NULL;
	OWNED(token) token = NULL;
	enum wire_status status = module_open(worker->module, &module, &fault);

	if (status == WIRE_OK)
		status = token_open(module, &selected, &token, &fault);
	if (status == WIRE_OK)
		status = examine_run(token, STDOUT_FILENO, &fault);
	if (status != WIRE_OK)
		(void)fprintf(stderr, "%s\n", fault.text);
	return status;
}

static enum wire_status mechanisms(const struct worker_options *worker)
{
	struct fault fault = {.status = WIRE_OK};
	OWNED(module) module = NULL;
	enum wire_status status = module_open(worker->module, &module, &fault);

	if (status == WIRE_OK)
		status = mechanism_check(
		    module, worker->token, STDOUT_FILENO, &fault);
	if (status != WIRE_OK)
		(void)fprintf(stderr, "%s\n", fault.text);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.sandbox = "strict"};
	struct err err = {0};
	enum wire_status status;

	fs_open_standard();
	parse(argc, argv, &arguments);
	log_open(STDERR_FILENO, "signet-hsm", LOG_INFO);
	if (secret_heap_open(SECRET_HEAP_SIZE, &err) != ERR_OK) {
		log_err(LOG_ERROR, "no memory for secrets", &err);
		return WIRE_CONFIG;
	}
	set_up_signals();
	if (give_up(arguments.sandbox, &err) != ERR_OK) {
		log_err(LOG_ERROR, "no sandbox", &err);
		return WIRE_CONFIG;
	}
	if (arguments.init_token)
		status = init_token(&arguments);
	else if (arguments.mechanisms)
		status = mechanisms(&arguments.worker);
	else if (arguments.selftest)
		status = selftest(&arguments.worker);
	else
		status = worker_run(&arguments.worker, WIRE_FD);
	/* Past the destructors of the driver, which have been seen to crash. */
	(void)fflush(stderr);
	_exit((int)status);
}
