// SPDX-License-Identifier: Apache-2.0
/* The embedded engine: LMDB in a folder of its own. */
#ifndef STORE_LMDB_H
#define STORE_LMDB_H

#include "store/engine.h"

/*
 * Opens the folder that OPTIONS name, with every table.
 * Errors: ERR_NOT_FOUND, ERR_CONFIG, ERR_IO, ERR_STORE, ERR_CORRUPT.
 */
MUST_CHECK enum err_code lmdb_open(const struct store_options *options,
    struct engine **engine_out, struct err *err);

/* Opens one file that copy() made, for reading; nobody may write to it. */
MUST_CHECK enum err_code lmdb_open_copy(
    const char *path, struct engine **engine_out, struct err *err);

#endif
