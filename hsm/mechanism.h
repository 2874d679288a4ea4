// SPDX-License-Identifier: Apache-2.0
/* The mechanisms that Signet needs of a token (doc/hsm.md). */
#ifndef HSM_MECHANISM_H
#define HSM_MECHANISM_H

#include "hsm/module.h"

/*
 * Writes to FD a line "missing NAME USE" with tabs between for each mechanism
 * that the token URI lacks, then "checked COUNT".  Logs in nowhere.
 * Errors: those of module_find_token; DEVICE_GONE.
 */
MUST_CHECK enum wire_status mechanism_check(
    struct module *module, const char *uri, int fd, struct fault *fault);

#endif
