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

/* Where the server is, and the files that a command uses to reach it. */
struct session_place {
	char *url, *ca, *cert, *key;
};
void session_place_end(struct session_place *place);
#define OWNED_PLACE(name)                                                      \
	__attribute__((cleanup(session_place_end))) struct session_place name = \
	    {0}
/* As session_open finds them.  Errors: ERR_CONFIG. */
MUST_CHECK enum err_code session_find(const struct options *options,
    struct session_place *place_out, struct err *err);

/*
 * The key of a certificate that is asked for stands in KEY.next until both are
 * written.  Where a stop in between left it so, and it fits the certificate, it
 * becomes the key.  Errors: ERR_IO, ERR_CONFIG.
 */
MUST_CHECK enum err_code session_settle(
    const struct session_place *place, struct err *err);

/* The configuration that --config or SIGNET_CONFIG names.
 * Errors: ERR_CONFIG. */
MUST_CHECK enum err_code session_config(
    const struct options *options, struct config **config_out, struct err *err);

/* Whether there is a file where the configuration is looked for. */
bool session_config_exists(const struct options *options);

/* The file of the roots that session_open trusts; malloc'd.
 * Errors: ERR_CONFIG. */
MUST_CHECK enum err_code session_roots(
    const struct options *options, char **path_out, struct err *err);

bool session_wants_json(const struct options *options);

/* The end of a command: says what failed, if anything, and gives the exit
 * code. */
int session_end(
    const struct options *options, enum err_code code, const struct err *err);

#endif
