// SPDX-License-Identifier: Apache-2.0
/* The folder that holds an embedded store, closed to everyone else. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "store/store.h"

#define FOLDER_DATA "data.mdb"
#define FOLDER_LOCK "lock.mdb"
#define FOLDER_WRITER "writer.lock"

/*
 * Makes the folder where OPTIONS ask for it, and refuses one whose folder or
 * files group or others can reach.  *FRESH_OUT tells that it has no data yet.
 * Errors: ERR_NOT_FOUND, ERR_CONFIG, ERR_IO.
 */
MUST_CHECK enum err_code folder_prepare(const struct store_options *options,
    bool *fresh_out, struct err *err);

/*
 * Claims the folder PATH for the one process that writes; the claim ends when the
 * descriptor *CLAIM_OUT is closed, or with the process.
 * Errors: ERR_CONFIG when another has it, ERR_IO.
 */
MUST_CHECK enum err_code folder_claim(
    const char *path, int *claim_out, struct err *err);
/* Nobody has claimed PATH; leaves nothing there.  Errors: as folder_claim. */
MUST_CHECK enum err_code folder_check_unclaimed(
    const char *path, struct err *err);

#endif
