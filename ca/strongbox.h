// SPDX-License-Identifier: Apache-2.0
/*
 * A backup that is encrypted to recipients, who keep their keys elsewhere:
 *
 *	"signet backup 1\n"
 *	u32 length, manifest (ca/manifest.h)
 *	u8 count; for each recipient u32 length, its certificate in DER
 *	u32 length, the file key sealed to all of them (ca/recipient.h)
 *	the copy of the store as a stream (base/stream.h)
 *
 * The stream's key is HMAC-SHA-256 of "signet backup stream 1", a zero octet, and
 * the SHA-256 of all that stands before it, under the file key: with another header
 * nothing opens.  The manifest is for everybody, and is proven to who has a key.
 * doc/backup.md says what this does and does not protect.
 */
#ifndef CA_STRONGBOX_H
#define CA_STRONGBOX_H

#include "ca/manifest.h"
#include "ca/recipient.h"
#include "store/backup.h"

#define STRONGBOX_HEADER_MAX ((size_t)256 << 10)	/* octets */

/*
 * Writes STORE's encrypted backup to the new file PATH in constant memory; none of
 * its octets are on a disk in the clear.  Then the file is read again, each chunk is
 * opened with the key that is still there, and what comes out is compared with what
 * went in by its SHA-256.  On failure nothing is left.  The caller has verified
 * STORE.  MANIFEST is of it.
 * Errors: ERR_EXISTS, ERR_IO, ERR_STORE, ERR_CORRUPT, ERR_CRYPTO.
 */
struct strongbox_order {
	const struct recipients *to;
	const struct manifest *manifest;
	const struct store_progress *progress; /* of the copy; or NULL */
	const struct store_progress *checking; /* of the file; or NULL */
};
MUST_CHECK enum err_code strongbox_write(struct store *store, const char *path,
    const struct strongbox_order *order, struct err *err);

/* Whether the file begins as one, of this or a later version.  Errors: ERR_IO,
 * ERR_NOT_FOUND. */
MUST_CHECK enum err_code strongbox_is(
    const char *path, bool *is_out, struct err *err);

struct strongbox;
/* Reads what is in the clear.  Errors: ERR_NOT_FOUND, ERR_IO; ERR_CONFIG for a
 * later version; ERR_CORRUPT. */
MUST_CHECK enum err_code strongbox_open(
    const char *path, struct strongbox **box_out, struct err *err);
/* As strongbox_open, of a file that is open, and is the box's from then on, also
 * on failure.  PATH is what it is called in errors. */
MUST_CHECK enum err_code strongbox_open_fd(int fd, const char *path,
    struct strongbox **box_out, struct err *err);
void strongbox_free(struct strongbox *box);
DEFINE_CLEANUP(strongbox, strongbox_free)

/* As the file says; proven only once strongbox_pour has opened it.  Borrowed. */
const struct manifest *strongbox_manifest(const struct strongbox *box);
const struct recipients *strongbox_recipients(const struct strongbox *box);
uint64_t strongbox_size(const struct strongbox *box); /* octets of the file */

/* Errors: those of recipients_open. */
MUST_CHECK enum err_code strongbox_unlock(
    struct strongbox *box, EVP_PKEY *key, struct err *err);
/*
 * Opens the stream, once, of a box that is unlocked, and gives its octets to SINK
 * (NULL: nobody) as they are found true; that they are all is known at the end.
 * PROGRESS is told of octets of the file.
 * Errors: ERR_CORRUPT, telling truncation and what follows the end from what was
 * changed; ERR_IO; those of SINK.
 */
MUST_CHECK enum err_code strongbox_pour(struct strongbox *box,
    const struct store_sink *sink, const struct store_progress *progress,
    struct err *err);

#endif
