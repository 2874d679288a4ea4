// SPDX-License-Identifier: Apache-2.0
/* The worker's side of the self-test (hsm/selftest.h). */
#ifndef HSM_EXAMINE_H
#define HSM_EXAMINE_H

#include "hsm/token.h"

/*
 * Tries every attack of hsm/attack.def on TOKEN and writes what was found to FD,
 * line by line, so that a driver that crashes does so at a known place.
 * Errors: those of the token.
 */
MUST_CHECK enum wire_status examine_run(
    struct token *token, int fd, struct fault *fault);

#endif
