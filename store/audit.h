// SPDX-License-Identifier: Apache-2.0
/*
 * The audit log: what was decided, by whom and why, in the same commit as the
 * fact.  Entries are numbered from 1 without a gap and chained:
 *   leaf(n) = SHA-256(0x00 || entry n)          (RFC 9162 2.1.1)
 *   head(n) = SHA-256(0x01 || head(n-1) || leaf(n)),  head(0) = 32 zero octets.
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

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

/* Adds the entry to what the batch writes. */
void batch_audit(struct batch *batch, const struct audit_entry *entry);

struct audit_head {
	uint64_t sequence;	/* entries in the log */
	uint8_t hash[32];
};
MUST_CHECK enum err_code audit_head(
    struct store *store, struct audit_head *head_out, struct err *err);

/* Calls EACH with entries FROM .. at most COUNT, in order, until it returns
 * false.  Text is borrowed during the call. */
typedef bool audit_each(const struct audit_entry *entry,
    const uint8_t head[static 32], void *arg);
MUST_CHECK enum err_code audit_read(struct store *store, uint64_t from,
    uint64_t count, audit_each *each, void *arg, struct err *err);

/*
 * Recomputes the chain from the first entry to the head.
 * Errors: ERR_CORRUPT, whose cause names the first entry that is changed,
 * missing, or out of order.  HEAD_OUT is the verified head.
 */
MUST_CHECK enum err_code audit_verify(
    struct store *store, struct audit_head *head_out, struct err *err);

#endif
