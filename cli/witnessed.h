// SPDX-License-Identifier: Apache-2.0
/* What a witness's file tells that a store lacks: checked, then taken. */
#ifndef CLI_WITNESSED_H
#define CLI_WITNESSED_H

#include "ca/replay.h"

/* What stands in the file beyond the store's log. */
struct witnessed {
	uint64_t before;	/* entries that the store has */
	uint64_t entries;	/* that the file ends with */
	uint64_t covered;	/* by a checkpoint whose signature verifies */
	uint8_t root[32];	/* of all entries that the file ends with */
};

/*
 * Reads the file PATH against STORE: what both have is the same, the entries
 * beyond follow without a gap and hash to what they say, and each checkpoint is
 * signed by STORE's audit key and fits.  Writes nothing.
 * Errors: ERR_CORRUPT, saying what does not fit; ERR_CONFLICT when the file ends
 * before the store does; ERR_NOT_FOUND; ERR_IO.
 */
MUST_CHECK enum err_code witnessed_check(const char *path,
    struct store *store, struct witnessed *found, struct err *err);
/* Replays from the file what FOUND tells; then the log ends as FOUND says.
 * Errors: those of replay_entry; ERR_CORRUPT when the file has changed. */
MUST_CHECK enum err_code witnessed_take(const char *path,
    const struct witnessed *found, struct replay *replay, struct err *err);

#endif
