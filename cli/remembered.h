// SPDX-License-Identifier: Apache-2.0
/* The last checkpoint of an audit log that was verified here. */
#ifndef CLI_REMEMBERED_H
#define CLI_REMEMBERED_H

#include "cli/options.h"

/*
 * --state, else a file below XDG_STATE_HOME or ~/.local/state, one for each
 * authority: named by the digest of its root certificates.  *path_out is
 * malloc'd; NULL when there is no home.  Errors: those of reading the roots.
 */
MUST_CHECK enum err_code remembered_path(
    const struct options *options, char **path_out, struct err *err);
/* *note_out is malloc'd; NULL when nothing is remembered, or PATH is NULL. */
MUST_CHECK enum err_code remembered_read(
    const char *path, char **note_out, struct err *err);
/* Whole and durable or not at all; folders are made. */
MUST_CHECK enum err_code remembered_write(
    const char *path, const char *note, struct err *err);

#endif
