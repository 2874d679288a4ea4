// SPDX-License-Identifier: Apache-2.0
/*
 * The audit log as octets: how an entry is written, and what stands behind it.
 *
 * An entry is: format octet, sequence (u64), time in ms (i64), then each text of
 * struct audit_entry in its order with one zero octet behind it.  These octets
 * are a leaf of the tree, entry n being leaf n - 1.  Its record is the entry,
 * then the hashes by which it is held: of an odd entry its own leaf hash, of an
 * even one the nodes that it completes, of level 1 and up.  So every complete
 * node is in one record, and verification names the one entry that is changed.
 * What a batch carries (its "body") is the texts alone.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "store/audit.h"

struct ledger;

/* A log at its start.  Errors: ERR_CRYPTO. */
MUST_CHECK enum err_code ledger_new(
    struct ledger **ledger_out, struct err *err);
void ledger_free(struct ledger *ledger);
DEFINE_CLEANUP(ledger, ledger_free)

/* Goes on behind the head record HEAD (empty: from the start).
 * Errors: ERR_CORRUPT. */
MUST_CHECK enum err_code ledger_resume(
    struct ledger *ledger, struct bytes head, struct err *err);
/* As ledger_resume, behind the log of STORE as it is now. */
MUST_CHECK enum err_code ledger_resume_store(
    struct ledger *ledger, struct store *store, struct err *err);
/* The head record as it is now. */
void ledger_write_head(const struct ledger *ledger, struct buf *out);
uint64_t ledger_size(const struct ledger *ledger);
int64_t ledger_time_ms(const struct ledger *ledger);
/* With the root of the tree. */
void ledger_head(const struct ledger *ledger, struct audit_head *head_out);
bool ledger_equal(const struct ledger *a, const struct ledger *b);

/* Adds the entry of BODY and replaces RECORD by its record.  Its time is NOW_MS,
 * or the last entry's where that is later. */
void ledger_append(struct ledger *ledger, struct bytes body, int64_t now_ms,
    struct buf *record);
/* Follows RECORD, which must be the next one.  Errors: ERR_CORRUPT, whose cause
 * names the entry. */
MUST_CHECK enum err_code ledger_follow(
    struct ledger *ledger, struct bytes record, struct err *err);
/*
 * Follows ENTRY, told without its record.  LEAF (may be NULL) is what its teller
 * says its leaf hash is.  Errors: as ledger_follow.
 */
MUST_CHECK enum err_code ledger_follow_entry(struct ledger *ledger,
    const struct audit_entry *entry, const uint8_t *leaf, struct err *err);

/* The texts of ENTRY, appended to OUT. */
void ledger_write_body(struct buf *out, const struct audit_entry *entry);
/* ENTRY as the octets of its leaf, appended to OUT. */
void ledger_write_entry(struct buf *out, const struct audit_entry *entry);

struct ledger_record {
	struct audit_entry entry;	/* texts are borrowed */
	struct bytes octets;		/* the entry alone */
	struct bytes hashes;		/* behind it */
};
/* Reads a record, borrowing from it.  False when malformed. */
MUST_CHECK bool ledger_parse(
    struct bytes record, struct ledger_record *record_out);
/* Node LEVEL (from 1 on) of those that RECORD completes; NULL: not there. */
const uint8_t *ledger_node(const struct ledger_record *record, unsigned level);

/*
 * Reads a record of version 1, whose entries were chained: head(n) =
 * SHA-256(0x01 || head(n-1) || leaf(n)) stood behind each.  HEAD is moved from
 * head(n-1) to head(n); the octets of *record_out are the body.  False when
 * RECORD is not the next entry, or not as it was chained.
 */
MUST_CHECK bool ledger_follow_v1(struct ledger *ledger, struct bytes record,
    uint8_t head[static 32], struct ledger_record *record_out);

#endif
