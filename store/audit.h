// SPDX-License-Identifier: Apache-2.0
/*
 * The audit log: what was decided, by whom and why, in the same commit as the
 * fact.  Entries are numbered from 1 without a gap; they are the leaves of a
 * Merkle tree (RFC 9162 2.1), whose root commits to each of them and their
 * order.  doc/audit.md tells the octets.
 *
 * A log of an older version cannot be read here until its store was opened for
 * writing once: ERR_CONFIG.
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "store/merkle.h"
#include "store/store.h"

/* All text is borrowed and may be NULL for "none". */
struct audit_entry {
	uint64_t sequence;	/* given by the store at commit */
	int64_t time_ms;	/* given by the store; never falls */
	const char *action;	/* e.g. "certificate.issue" */
	const char *result;	/* "granted", "refused", "failed" */
	const char *actor;	/* e.g. "identity:9f…", "token:4c…", "system" */
	const char *source;	/* address, or "local" */
	const char *cluster;
	const char *object;	/* e.g. "serial:01…", "key:orders" */
	const char *rule;	/* what decided: policy, profile, permission */
	const char *request_id;
	const char *detail;	/* one line for people; never a secret */
};

/* Adds the entry to what the batch writes; what is not UTF-8 in it becomes "?".
 */
void batch_audit(struct batch *batch, const struct audit_entry *entry);
/*
 * Adds an entry that this log once had and a witness has told again, with the
 * time that it had.  Its octets, and so its hash, are those of then where it
 * comes in its place: the caller has checked that it is the next one.
 */
void batch_audit_again(struct batch *batch, const struct audit_entry *entry);

struct audit_head {
	uint64_t sequence;	/* entries in the log */
	uint8_t hash[32];	/* root of the tree */
};
MUST_CHECK enum err_code audit_head(
    struct store *store, struct audit_head *head_out, struct err *err);

/* Calls EACH with entries FROM .. at most COUNT, in order, until it returns
 * false.  LEAF is the entry's leaf hash.  Text is borrowed during the call. */
typedef bool audit_each(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg);
MUST_CHECK enum err_code audit_read(struct store *store, uint64_t from,
    uint64_t count, audit_each *each, void *arg, struct err *err);

/* The first entry not older than TIME_MS; one beyond the last when there is
 * none.  O(log n) reads. */
MUST_CHECK enum err_code audit_find_time(struct store *store, int64_t time_ms,
    uint64_t *sequence_out, struct err *err);

/*
 * Recomputes the tree from the first entry to the head.
 * Errors: ERR_CORRUPT, whose cause names the first entry that is changed,
 * missing, or out of order.  HEAD_OUT is the verified head.
 */
MUST_CHECK enum err_code audit_verify(
    struct store *store, struct audit_head *head_out, struct err *err);

/*
 * The root when the log had SIZE entries, and proofs (merkle.h) from O(log n)
 * records.  Errors: ERR_BAD_FIELD for what the log does not hold (or 0 where
 * there must be an entry), naming the parameter; ERR_CORRUPT.
 */
MUST_CHECK enum err_code audit_root(struct store *store, uint64_t size,
    uint8_t root_out[static 32], struct err *err);
MUST_CHECK enum err_code audit_prove_inclusion(struct store *store,
    uint64_t sequence, uint64_t size, struct merkle_proof *proof_out,
    struct err *err);
MUST_CHECK enum err_code audit_prove_consistency(struct store *store,
    uint64_t from, uint64_t to, struct merkle_proof *proof_out,
    struct err *err);

#endif
