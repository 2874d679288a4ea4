// SPDX-License-Identifier: Apache-2.0
/* Whether files are closed to those who have no business with them. */
#ifndef BASE_MODES_H
#define BASE_MODES_H

#include <sys/stat.h>
#include "base/config.h"

/* What each allows beside the owner. */
enum modes_rule {
	MODES_STABLE,	/* everybody may read: configuration, policies, code */
	MODES_SECRET,	/* the group may read: PIN, keys */
	MODES_PRIVATE,	/* nobody: the store */
	MODES_TOKEN,	/* the group: objects that a PIN protects, shared */
};

/*
 * Holds ST, of PATH, to RULE.  Errors: ERR_CONFIG with path, mode, and the
 * command that mends it.
 */
MUST_CHECK enum err_code modes_check(const char *path, const struct stat *st,
    enum modes_rule rule, struct err *err);

/*
 * The same of an absolute path, symbolic links followed.  It must belong to root
 * or to the user of this process, and in no folder on the way to it, links
 * included, may others put something else in its place: each must belong to root
 * or to that user; writable by others only where sticky, by a group only when that
 * is root's or ours.  Errors: ERR_NOT_FOUND, ERR_CONFIG, ERR_IO.
 */
MUST_CHECK enum err_code modes_check_path(
    const char *path, enum modes_rule rule, struct err *err);

/*
 * All files that CONFIG names, and a SoftHSM's folder of tokens where its
 * environment names one.  What does not exist is not judged: who opens it says
 * so better.  Errors: ERR_CONFIG.
 */
MUST_CHECK enum err_code modes_check_config(
    const struct config *config, struct err *err);

#endif
