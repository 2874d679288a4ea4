// SPDX-License-Identifier: Apache-2.0
/*
 * Sealing at rest: values as they lie in the engine, under the store's key.
 *
 * A stored value is: form octet 1, salt (12), counter (u32), ciphertext, tag (16).
 * The cipher is AES-256-GCM under HKDF-SHA-256(store key, salt, "signet rows 1")
 * (RFC 5869) with the IV 0^64 || counter.  A salt is drawn anew when a process
 * first writes and after 2^32 - 1 values, and a counter is never taken back, also
 * not by a transaction that is given up: so no pair of key and IV comes twice,
 * whatever becomes of the store, its copies and their restoring.  (Two of 2^20
 * openings draw the same salt with a chance of 2^-57.)
 *
 * Associated data: form octet, the table's name with one zero octet, revision
 * (u64), length (u32) and octets of the key, and what else the row names.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "base/secret.h"
#include "store/store.h"

#define SEAL_OVERHEAD 33	/* octets that a value grows by */

struct seal;

/* A place in the store, and which of its records is meant. */
struct row {
	enum table table;
	struct bytes key;
	uint64_t revision;
	struct bytes bound;	/* what else the seal binds; mostly nothing */
};

/* KEY (STORE_KEY_SIZE octets) is copied.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code seal_new(
    const struct secret *key, struct seal **seal_out, struct err *err);
void seal_free(struct seal *seal);
DEFINE_CLEANUP(seal, seal_free)

/* Replaces OUT by the stored form of VALUE.  One thread at a time.
 * Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code seal_close(struct seal *seal, const struct row *row,
    struct bytes value, struct buf *out, struct err *err);

/*
 * Replaces OUT by the value whose stored form is STORED; OUT is empty on failure.
 * A value that was changed, or stands where it was not put, is an alarm in the
 * log.  Safe from any thread.
 * Errors: ERR_CORRUPT, whose cause names table and key; ERR_CRYPTO.
 */
MUST_CHECK enum err_code seal_open(struct seal *seal, const struct row *row,
    struct bytes stored, struct buf *out, struct err *err);

/* How many rows were found not to be what was written, by seal_open() or by who
 * counts them.  Safe from any thread. */
uint64_t seal_amiss(const struct seal *seal);
void seal_count_amiss(struct seal *seal);

/* The key of the tally (store/tally.h); borrowed. */
const struct secret *seal_tally_key(const struct seal *seal);

/* The key of aliases (store/alias.h); borrowed. */
const struct secret *seal_alias_key(const struct seal *seal);

/* The octets in STORED that no two values share: head and tag; all of it where
 * it is too short to have them. */
struct bytes seal_head(struct bytes stored);
struct bytes seal_tag(struct bytes stored);

#endif
