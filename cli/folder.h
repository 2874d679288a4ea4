// SPDX-License-Identifier: Apache-2.0
/* A folder that an option names, and that a command makes. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include <sys/stat.h>
#include "base/err.h"

/* As fs_mkdir().  Errors: also ERR_USAGE when the folder above is not there, saying
 * so of OPTION ("--out"). */
MUST_CHECK enum err_code folder_make(
    const char *option, const char *path, mode_t mode, struct err *err);

#endif
