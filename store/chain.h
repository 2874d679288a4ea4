// SPDX-License-Identifier: Apache-2.0
/*
 * The audit chain: how an entry is written, and how one follows another.
 *
 * An entry is: format octet, sequence (u64), time in ms (i64), then each text of
 * struct audit_entry in its order with one zero octet behind it.  Its record is
 * the entry and then head(n), 32 octets.  What a batch carries (its "body") is
 * the texts alone; the writer gives the rest.
 */
#ifndef STORE_CHAIN_H
#define STORE_CHAIN_H

#include "store/audit.h"

struct chain;

/* A chain at its start: sequence 0, head of zeros. */
MUST_CHECK enum err_code chain_new(struct chain **chain_out, struct err *err);
void chain_free(struct chain *chain);
DEFINE_CLEANUP(chain, chain_free)

/* Goes on behind the head record HEAD (empty: from the start).
 * Errors: ERR_CORRUPT. */
MUST_CHECK enum err_code chain_resume(
    struct chain *chain, struct bytes head, struct err *err);
/* The head record as it is now. */
void chain_write_head(const struct chain *chain, struct buf *out);
void chain_head(const struct chain *chain, struct audit_head *head_out);
int64_t chain_time_ms(const struct chain *chain);

/*
 * Adds the entry of BODY and replaces RECORD by its record.  Its time is NOW_MS,
 * or the last entry's where that is later.  Errors: ERR_CRYPTO, after which the
 * chain must be resumed.
 */
MUST_CHECK enum err_code chain_append(struct chain *chain, struct bytes body,
    int64_t now_ms, struct buf *record, struct err *err);
/* Follows RECORD, which must be the next one.  Errors: ERR_CORRUPT, whose cause
 * names the entry; ERR_CRYPTO. */
MUST_CHECK enum err_code chain_follow(
    struct chain *chain, struct bytes record, struct err *err);

/* The texts of ENTRY, appended to OUT. */
void chain_write_body(struct buf *out, const struct audit_entry *entry);
/* Reads a record; texts and *HEAD_OUT (32 octets) are borrowed from it.  False
 * when malformed. */
MUST_CHECK bool chain_parse(struct bytes record, struct audit_entry *entry,
    const uint8_t **head_out);

#endif
