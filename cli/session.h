// SPDX-License-Identifier: Apache-2.0
/* A command's connection to the server, as the common options say. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "base/config.h"
#include "cli/client.h"
#include "cli/options.h"

/* The options that every command of signet takes. */
extern const struct option_spec session_options[];

/*
 * Connects by --url, --ca, --cert and --key, or with what stands in the folder
 * of the configuration (--config, SIGNET_CONFIG): its API listener, its root,
 * and its first admin.  Errors: ERR_CONFIG, saying which option is missing.
 */
MUST_CHECK enum err_code session_open(
    const struct options *options, struct client **client_out, struct err *err);

/* The configuration that --config or SIGNET_CONFIG names.
 * Errors: ERR_CONFIG. */
MUST_CHECK enum err_code session_config(
    const struct options *options, struct config **config_out, struct err *err);

/* Whether there is a file where the configuration is looked for. */
bool session_config_exists(const struct options *options);

bool session_wants_json(const struct options *options);

/* The end of a command: says what failed, if anything, and gives the exit
 * code. */
int session_end(
    const struct options *options, enum err_code code, const struct err *err);

#endif
