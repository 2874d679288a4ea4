// SPDX-License-Identifier: Apache-2.0
/* A worker that does one thing and ends, and what it had to say. */
#ifndef HSM_ONCE_H
#define HSM_ONCE_H

#include "hsm/hsm.h"

#define ONCE_TEXT_MAX (64 * 1024)

/*
 * Runs the worker of OPTIONS with ARGUMENTS (NULL at the end), which is killed
 * after PATIENCE_MS.  TEXT receives what it and its driver wrote, at most
 * ONCE_TEXT_MAX octets; *status_out its end as of waitpid(2).
 * Errors: ERR_CONFIG when it cannot be executed, ERR_IO.
 */
MUST_CHECK enum err_code once_run(const struct hsm_options *options,
    const char *const *arguments, int64_t patience_ms, struct buf *text,
    int *status_out, struct err *err);
/* The last line, which is the worker's own; a driver may have chattered
 * first. */
struct bytes once_last_line(struct bytes text);

#endif
