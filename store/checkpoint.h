// SPDX-License-Identifier: Apache-2.0
/*
 * A checkpoint: the size and the root of the audit log at a moment, signed.  Its
 * text is a note in the manner of C2SP signed-note and tlog-checkpoint, signed
 * with ECDSA; doc/audit.md tells its octets and how openssl verifies it.
 */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "store/audit.h"

#define CHECKPOINT_TEXT_MAX 2048	/* octets of a note */
#define CHECKPOINT_ORIGIN_MAX 63
#define CHECKPOINTS_KEPT 1024		/* in the store */

struct checkpoint {
	char origin[CHECKPOINT_ORIGIN_MAX + 1];	/* names the log */
	uint64_t size;
	uint8_t root[32];
	int64_t time_ms;
	unsigned node;		/* that signed it */
};

/* The text that is signed, appended to OUT. */
void checkpoint_put_text(struct buf *out, const struct checkpoint *checkpoint);
/* Appends the signature line for the key SPKI (DER SubjectPublicKeyInfo) and
 * SIGNATURE (DER Ecdsa-Sig-Value) to a text. */
MUST_CHECK enum err_code checkpoint_put_signature(struct buf *out,
    const char *origin, struct bytes spki, struct bytes signature,
    struct err *err);

/* Reads a note without believing it.  TEXT_OUT (may be NULL) is borrowed: what
 * is signed.  False when malformed. */
MUST_CHECK bool checkpoint_parse(struct bytes note,
    struct checkpoint *checkpoint_out, struct bytes *text_out);
/*
 * Reads a note and verifies its signature by the key SPKI, which must be EC
 * P-256.  Errors: ERR_CORRUPT: malformed, by another key, or a signature that
 * does not verify.
 */
MUST_CHECK enum err_code checkpoint_check(struct bytes note, struct bytes spki,
    struct checkpoint *checkpoint_out, struct err *err);

/* Adds NOTE of a log of SIZE entries, and takes out the oldest beyond those
 * that are kept.  Errors: ERR_STORE. */
MUST_CHECK enum err_code checkpoint_put(struct store *store,
    struct batch *batch, uint64_t size, struct bytes note, struct err *err);
/* Finds the first kept checkpoint that covers SIZE entries or more (0: the first
 * of all), or the last of all.  NOTE is replaced. */
MUST_CHECK enum err_code checkpoint_find(struct store *store, uint64_t size,
    struct buf *note, bool *found_out, struct err *err);
MUST_CHECK enum err_code checkpoint_last(struct store *store, struct buf *note,
    bool *found_out, struct err *err);

#endif
