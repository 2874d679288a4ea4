// SPDX-License-Identifier: Apache-2.0
/* How a command of both programs ends that failed. */
#ifndef CLI_EXIT_H
#define CLI_EXIT_H

#include "base/exit.h"

/* Writes "PROGRAM: what is wrong" on standard error, the cause too when there
 * is one, and returns exit_for() of it. */
enum exit_code exit_with(const char *program, const struct err *err);

#endif
