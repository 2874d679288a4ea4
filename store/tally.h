// SPDX-License-Identifier: Apache-2.0
/*
 * A tally of the rows of a sealed store: for each table how many there are, and
 * the sum modulo 2^256 of a mark of each, so that rows come and go in any order
 * at the cost of one mark, and a walk over all of them gives the same sum.
 *
 * A row's mark is HMAC-SHA-256 under the tally's key over the table's name with
 * one zero octet, revision (u64), length (u32) and octets of the key, and the
 * value: of a sealed one its head and tag, which no other has.
 */
#ifndef STORE_TALLY_H
#define STORE_TALLY_H

#include "store/seal.h"

struct tally;

/* Nothing counted.  SEAL gives the key.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code tally_new(
    const struct seal *seal, struct tally **tally_out, struct err *err);
void tally_free(struct tally *tally);
DEFINE_CLEANUP(tally, tally_free)

/* Counts a row of a table that is sealed or counted; STORED as it lies in the
 * engine.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code tally_add(struct tally *tally, const struct row *row,
    struct bytes stored, struct err *err);
MUST_CHECK enum err_code tally_drop(struct tally *tally, const struct row *row,
    struct bytes stored, struct err *err);

/* INTO counts, or drops, the row that FROM was given last: without another mark. */
void tally_again(struct tally *into, const struct tally *from);

/* INTO counts what FROM does. */
void tally_copy(struct tally *into, const struct tally *from);
/* Nothing counted of TABLE. */
void tally_clear(struct tally *tally, enum table table);

struct tally_count {
	uint64_t rows;
	uint8_t sum[32]; /* little-endian */
};
struct tally_count tally_of(const struct tally *tally, enum table table);

/* Are the rows of TABLE that were FOUND those RECORDED?  Errors: ERR_CORRUPT. */
MUST_CHECK enum err_code tally_compare(const struct tally *found,
    const struct tally *recorded, enum table table, struct err *err);

/* As octets: format, then for each table that was ever counted name, rows and sum. */
void tally_write(const struct tally *tally, struct buf *out);
/* False for what is malformed or counts a table that is unknown. */
MUST_CHECK bool tally_read(struct tally *tally, struct bytes octets);

#endif
