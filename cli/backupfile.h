// SPDX-License-Identifier: Apache-2.0
/* signet backup --show and --verify: a backup that is there already. */
#ifndef CLI_BACKUPFILE_H
#define CLI_BACKUPFILE_H

#include "cli/options.h"

/* What stands in the backup for everybody to read; needs neither key nor token. */
int backupfile_show(const struct options *options);
/* Reads all of it again: every chunk of an encrypted one, the audit log of a plain
 * one, and its sealed rows where the token is in reach. */
int backupfile_verify(const struct options *options);

#endif
