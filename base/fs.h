// SPDX-License-Identifier: Apache-2.0
/* Files: read within a bound, written whole and durable or not at all. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* Appends a regular file of at most MAX octets to OUT.  Errors: ERR_IO, ERR_TOO_LARGE;
 * ERR_NOT_FOUND when there is none. */
MUST_CHECK enum err_code fs_read(
    const char *path, size_t max, struct buf *out, struct err *err);

/* Writes a temporary file beside PATH with MODE, syncs it, renames it over PATH
 * and syncs the directory.  On failure PATH is as before and nothing is left,
 * unless that last sync failed: then PATH is new, but may not outlast a crash. */
MUST_CHECK enum err_code fs_write(
    const char *path, mode_t mode, struct bytes data, struct err *err);

/* Creates the directory when absent (parents must exist). */
MUST_CHECK enum err_code fs_mkdir(
    const char *path, mode_t mode, struct err *err);
MUST_CHECK enum err_code fs_sync_dir(const char *path, struct err *err);
MUST_CHECK enum err_code fs_copy(const char *from, const char *to, mode_t mode,
    size_t max, struct err *err);
bool fs_exists(const char *path);
/* DIR/NAME, or NAME alone when it is absolute; malloc'd. */
char *fs_join(const char *dir, const char *name);
char *fs_dirname(const char *path);	/* malloc'd */

/* Opens /dev/null for each of standard input, output and error that is closed, or
 * the next file or socket would have its number, and be written to as if it were it.
 * First of all in a program. */
void fs_open_standard(void);

#endif
