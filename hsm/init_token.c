// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <sys/wait.h>

#include "hsm/once.h"
#include "hsm/spawn.h"
#include "hsm/wire.h"

#define INIT_MS 60000

static enum err_code init_error(int status, struct bytes text, struct err *err)
{
	int len = text.len < 280 ? (int)text.len : 280;
	const char *said = text.len > 0 ? (const char *)text.data : "";
	char ended[32];

	if (!WIFEXITED(status) || WEXITSTATUS(status) > WIRE_CONFIG)
		return err_fail(err, ERR_HSM_UNAVAILABLE,
		    "worker could not make the token: %s: %.*s",
		    spawn_status_text(status, ended), len, said);
	switch ((enum wire_status)WEXITSTATUS(status)) {
	case WIRE_OK:
		return ERR_OK;
	case WIRE_EXISTS:
		return err_refuse(err, ERR_EXISTS,
		    len > 0 ? "%.*s" : "A token of that label exists%.*s",
		    len, said);
	case WIRE_PIN:
	case WIRE_CONFIG:
		return err_refuse(err, ERR_CONFIG,
		    len > 0 ? "%.*s"
			    : "The token cannot be made: check module and "
			      "PIN files%.*s",
		    len, said);
	case WIRE_BAD_REQUEST:
	case WIRE_REFUSED:
	case WIRE_NO_KEY:
	case WIRE_UNSAFE:
	case WIRE_UNWRAP:
		return err_fail(err, ERR_HSM_REFUSED,
		    "worker could not make the token: %.*s", len, said);
	case WIRE_DEVICE_GONE:
		break;
	}
	return err_fail(err, ERR_HSM_UNAVAILABLE,
	    "worker could not make the token: %.*s", len, said);
}

enum err_code hsm_init_token(const struct hsm_options *options,
    const char *label, const char *so_pin_file, const char *pin_file,
    struct err *err)
{
	const char *const arguments[] = {"--init-token", "--module",
	    options->module, "--label", label, "--so-pin-file", so_pin_file,
	    "--pin-file", pin_file, NULL};
	OWNED_BUF(text);
	enum err_code code;
	int status = 0;

	code = once_run(options, arguments, INIT_MS, &text, &status, err);
	if (code != ERR_OK)
		return code;
	return init_error(status, once_last_line(buf_bytes(&text)), err);
}
