// SPDX-License-Identifier: Apache-2.0
/*
 * Octets without a known end, sealed chunk by chunk (AES-256-GCM): each is bound to
 * its number and to whether it is the last (the STREAM construction of Hoang,
 * Reyhanitabar, Rogaway and Vizar), so that none can be changed, left out, moved,
 * added, or taken from another stream.  A key is used for one stream.
 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/secret.h"

#define STREAM_KEY_SIZE 32	/* octets */
#define STREAM_CHUNK ((size_t)65536) /* of every chunk but the last */
#define STREAM_TAG 16		/* octets more, sealed */
#define STREAM_SEALED (STREAM_CHUNK + STREAM_TAG)

struct stream;

/* Begins at chunk 0.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code stream_new(
    const struct secret *key, struct stream **stream_out, struct err *err);
void stream_free(struct stream *stream);
DEFINE_CLEANUP(stream, stream_free)

/* Seals the next chunk into OUT, CHUNK.len + STREAM_TAG octets.  CHUNK has
 * STREAM_CHUNK octets, the last one at most so many; aborts otherwise, and after
 * the last.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code stream_seal(struct stream *stream, struct bytes chunk,
    bool last, uint8_t *out, struct err *err);
/*
 * Opens the next chunk into OUT, SEALED.len - STREAM_TAG octets, which tell nothing
 * where it fails.  A failure moves nothing on, so that a caller can try what else
 * it may be.  Errors: ERR_CORRUPT, naming the chunk; ERR_CRYPTO.
 */
MUST_CHECK enum err_code stream_open(struct stream *stream, struct bytes sealed,
    bool last, uint8_t *out, struct err *err);

#endif
