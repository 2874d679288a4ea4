// SPDX-License-Identifier: Apache-2.0
/* What a backup is of, as it may be told to anybody: no secret, no name of a cluster,
 * key or certificate. */
#ifndef CA_MANIFEST_H
#define CA_MANIFEST_H

#include "store/store.h"

#define MANIFEST_KEYS_MAX 8
#define MANIFEST_MAX 8192	/* octets, written */

struct manifest {
	int64_t created;	/* seconds */
	uint32_t store_format;
	char *log;		/* name of the audit log; "": it has none */
	uint64_t entries;	/* of the log, at least */
	uint8_t root[32];	/* of its tree at so many */
	/* URIs of the token's keys by which everything opens: the store's root
	 * KEK, those of the KMS, that of the audit log. */
	char *keys[MANIFEST_KEYS_MAX];
	size_t keys_count;
};
void manifest_end(struct manifest *manifest);
#define OWNED_MANIFEST(name)                                                   \
	__attribute__((cleanup(manifest_end))) struct manifest name = {0}

/* Of STORE, which may be locked, at the time CREATED.  Errors: ERR_STORE,
 * ERR_CORRUPT, ERR_CONFIG for a log of an older version. */
MUST_CHECK enum err_code manifest_of(struct store *store, int64_t created,
    struct manifest *manifest_out, struct err *err);

/* Appends it; and back: false for what manifest_write does not write. */
void manifest_write(const struct manifest *manifest, struct buf *out);
MUST_CHECK bool manifest_read(
    struct bytes record, struct manifest *manifest_out);

#endif
