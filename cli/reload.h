// SPDX-License-Identifier: Apache-2.0
/* The command by which a database learns of its new certificate. */
#ifndef CLI_RELOAD_H
#define CLI_RELOAD_H

#include "base/err.h"

#define RELOAD_TIMEOUT 120 /* seconds */

/*
 * Runs COMMAND by sh, its standard output led to standard error, with the
 * signals that it would have without us; after SECONDS it and its children are
 * killed.  Errors: ERR_COMMAND for any end but status 0.
 */
MUST_CHECK enum err_code reload_run(const char *command, int seconds, struct err *err);

#endif
