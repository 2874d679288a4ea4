// SPDX-License-Identifier: Apache-2.0
/* The inside of a store, for the files of this folder. */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "store/engine.h"
#include "store/writer.h"

struct store {
	struct engine *engine;
	struct writer *writer;	/* NULL: opened for reading */
	int claim;		/* on the folder; -1: opened for reading */
};

/*
 * Opens one file that an engine's copy() made, for reading.  Closed by
 * store_close.  Errors: as store_open.
 */
MUST_CHECK enum err_code store_open_copy(
    const char *path, struct store **store_out, struct err *err);

#endif
