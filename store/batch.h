// SPDX-License-Identifier: Apache-2.0
/* The inside of a batch, for the writer. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/store.h"

/* Octets of the batch, by place: the memory behind them moves as it grows. */
struct span {
	size_t at;
	size_t len;
};

struct change {
	enum table table;
	bool is_put;		/* else a deletion */
	struct span key;
	struct span value;
};

struct requirement {
	enum table table;
	struct span key;
	uint64_t revision;	/* 0: absent */
};

struct audit_body {
	struct span texts;	/* see ledger.h */
	int64_t time_ms;	/* 0: when it is committed */
};

struct batch {
	struct buf octets;	/* every key, value and audit body */
	struct change *changes;
	size_t change_count, change_cap;
	struct requirement *requirements;
	size_t requirement_count, requirement_cap;
	struct audit_body *audits;
	size_t audit_count, audit_cap;
};

struct bytes batch_octets(const struct batch *batch, struct span span);
/* Adds an audit body, whose texts were appended to batch->octets from place AT
 * on.  TIME_MS 0: it gets the time of its commit. */
void batch_add_audit(struct batch *batch, size_t at, int64_t time_ms);
/* Sorts the changes by key, leaving the last of each: what is near in the
 * tree is touched together. */
void batch_settle(struct batch *batch);
/* Empties it and keeps its memory. */
void batch_reset(struct batch *batch);

/* Names in META that are the store's own. */
#define STORE_META_FORMAT "format"
#define STORE_META_AUDIT "audit_head"
#define STORE_META_SEAL "seal"	/* how to get the key, as its keeper wrote it */
#define STORE_META_TALLY "tally" /* see sealer.h */
#define STORE_META_SCRUB "scrub" /* see scrub.h */

#endif
