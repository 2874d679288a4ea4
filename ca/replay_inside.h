// SPDX-License-Identifier: Apache-2.0
/* What replay.c and replay_effect.c share, and nobody else. */
#ifndef CA_REPLAY_INSIDE_H
#define CA_REPLAY_INSIDE_H

#include "base/hash.h"
#include "ca/inside.h"
#include "ca/replay.h"

struct touched;

/* The highest CRL of one issuer that was told. */
struct told_crl {
	UT_hash_handle hh;
	uint64_t number;
	int64_t time;	/* seconds */
	char issuer[];
};

struct replay {
	struct store *store;
	struct batch *batch;
	struct touched *touched; /* what the batch changes already */
	size_t waiting;	/* entries in the batch */
	struct told_crl *crls;
	int64_t last;	/* seconds: time of the last entry */
	struct buf by_hand;
	struct replay_counts counts;
};

/* Before OBJECT is read and changed: what changes it already is committed. */
MUST_CHECK enum err_code replay_touch(
    struct replay *replay, const char *object, struct err *err);
/* What was told of the CRLs of ISSUER. */
struct told_crl *replay_crl(struct replay *replay, const char *issuer);
/* Adds to the batch what ENTRY took away; of another, that it is lost. */
MUST_CHECK enum err_code replay_effect(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err);

#endif
