// SPDX-License-Identifier: Apache-2.0
/* A file of any length that is written piece by piece and gets its name once it is
 * whole, never over what is there. */
#ifndef BASE_DRAFT_H
#define BASE_DRAFT_H

#include "base/buf.h"
#include "base/err.h"

struct draft {
	char *path;	/* of the file under way; NULL: nothing to remove */
	int fd;
};
void draft_discard(struct draft *draft);
/* What has not been published is removed with its scope. */
#define OWNED_DRAFT(name)                                                      \
	__attribute__((cleanup(draft_discard))) struct draft name = {NULL, -1}

/* Makes a new file beside PATH, of mode 0600 whatever the umask, for reading and
 * writing.  Errors: ERR_EXISTS when PATH is there already; ERR_IO. */
MUST_CHECK enum err_code draft_open(
    struct draft *draft, const char *path, struct err *err);
/* Errors: ERR_IO; a disk that is full is told with what to do. */
MUST_CHECK enum err_code draft_write(
    struct draft *draft, struct bytes octets, struct err *err);
/* Begins anew: what was written is gone.  Errors: ERR_IO. */
MUST_CHECK enum err_code draft_restart(struct draft *draft, struct err *err);
/* Errors: ERR_IO. */
MUST_CHECK enum err_code draft_sync(struct draft *draft, struct err *err);
/*
 * Gives the file, which has been synced, the name PATH, durably.
 * Errors: ERR_EXISTS when something has that name by now; ERR_IO.
 */
MUST_CHECK enum err_code draft_publish(
    struct draft *draft, const char *path, struct err *err);

#endif
