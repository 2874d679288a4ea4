// SPDX-License-Identifier: Apache-2.0
/* What strongbox.c and strongbox_write.c share, and nobody else. */
#ifndef CA_STRONGBOX_INSIDE_H
#define CA_STRONGBOX_INSIDE_H

#include "ca/strongbox.h"

#define MAGIC "signet backup 1\n"
#define MAGIC_SIZE 16
#define MAGIC_BEGINS 14		/* octets that every version has */

struct strongbox {
	int fd;
	char *path;
	uint64_t size;		/* of the file */
	uint64_t stream_at;	/* where the header ends */
	struct manifest manifest;
	struct recipients *recipients;
	struct buf sealed_key;
	uint8_t header_hash[32];
	struct secret *stream_key; /* NULL: locked */
};

/* SHA-256 of all that stands before the stream. */
MUST_CHECK enum err_code strongbox_hash(
    struct bytes header, uint8_t hash[static 32], struct err *err);
/* The stream's key, behind a header of HEADER_HASH. */
MUST_CHECK enum err_code strongbox_derive(const struct secret *file_key,
    const uint8_t header_hash[static 32], struct secret **key_out,
    struct err *err);

#endif
