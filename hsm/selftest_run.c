// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <stdio.h>
#include <sys/wait.h>

#include "hsm/once.h"
#include "hsm/selftest.h"
#include "hsm/spawn.h"
#include "hsm/wire.h"

#define PATIENCE_MS 120000

/* Why a worker that wrote no findings at all ended. */
static enum err_code no_start(int status, struct bytes text, struct err *err)
{
	int len = text.len < 280 ? (int)text.len : 280;
	const char *said = text.len > 0 ? (const char *)text.data : "";
	char ended[32];

	if (WIFEXITED(status) && (WEXITSTATUS(status) == WIRE_CONFIG ||
				     WEXITSTATUS(status) == WIRE_PIN))
		return err_refuse(err, ERR_CONFIG, "%.*s", len, said);
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "worker could not test the token: %s: %.*s",
	    spawn_status_text(status, ended), len, said);
}

/* What lies behind the attack at which the driver ended was never tried. */
static void fill_up(struct selftest *selftest, int status)
{
	char ended[32];

	spawn_status_text(status, ended);
	for (enum attack_id id = 0; id < ATTACK_COUNT; id++) {
		struct selftest_finding *finding = &selftest->findings[id];

		if (finding->result != 0 && finding->result != SELFTEST_UNKNOWN)
			continue;
		(void)snprintf(finding->detail, sizeof(finding->detail),
		    "%s (%s)",
		    finding->result == 0 ? "the worker did not come so far"
					 : "the driver ended here",
		    ended);
		finding->result = SELFTEST_UNKNOWN;
		finding->own = SELFTEST_OWN_UNKNOWN;
	}
}

enum err_code selftest_run(const struct hsm_options *options,
    struct selftest *selftest_out, struct err *err)
{
	const char *const arguments[] = {"--selftest", "--module",
	    options->module, "--token", options->token, "--pin-file",
	    options->pin_file, NULL};
	OWNED_BUF(text);
	bool ended = false;
	int status = 0;
	enum err_code code =
	    once_run(options, arguments, PATIENCE_MS, &text, &status, err);

	if (code != ERR_OK)
		return code;
	if (!selftest_parse(buf_bytes(&text), selftest_out, &ended))
		return err_fail(err, ERR_HSM_UNAVAILABLE,
		    "the worker's self-test is not understood");
	if (selftest_out->token[0] == '\0')
		return no_start(status, once_last_line(buf_bytes(&text)), err);
	if (!ended)
		fill_up(selftest_out, status);
	return ERR_OK;
}
