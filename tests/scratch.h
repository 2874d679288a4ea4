// SPDX-License-Identifier: Apache-2.0
/* Folders that tests work in: removed with all that is in them, whatever the
 * code under test has put there. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>

#include "base/own.h"

UNUSED static inline int scratch_remove_one(const char *path,
    const struct stat *st UNUSED, int type UNUSED, struct FTW *where UNUSED)
{
	return remove(path);
}

UNUSED static inline void scratch_remove(const char *dir)
{
	if (nftw(dir, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		perror(dir);
}

#endif
