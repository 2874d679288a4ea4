// SPDX-License-Identifier: Apache-2.0
/* One restore of a backup: what its command and its making share. */
#ifndef CLI_RESTORE_H
#define CLI_RESTORE_H

#include "base/config.h"
#include "ca/replay.h"
#include "cli/unbox.h"
#include "cli/witnessed.h"
#include "hsm/hsm.h"
#include "store/audit.h"

/* One restore, from its options to what is told of it. */
struct restore {
	const char *file, *dir, *witness;
	uint64_t crl_above;
	struct config *config; /* NULL: the folder has none */
	char *path; /* of the store */
	char *staging; /* NULL: nothing there to remove */
	struct strongbox *box; /* NULL: the backup is plain */
	struct hsm *hsm;
	const char *seal;
	struct audit_head backup;
	struct witnessed witnessed;
	uint64_t entries;
	struct replay_counts counts;
};


/* A store that the instance's token does not open, or for whose issuers it has
 * no keys, would serve nobody; so there is no way around this.  FILE: the backup,
 * or what came out of it.  Errors: those of store_verify and tokencheck. */
MUST_CHECK enum err_code restore_check_token(
    struct restore *restore, const char *file, struct err *err);

/* The store in its staging folder, verified, with what the witness has replayed
 * into it; without a configuration the records alone, to be looked at. */
MUST_CHECK enum err_code restore_make(
    struct restore *restore, struct err *err);

#endif
