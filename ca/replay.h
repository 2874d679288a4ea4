// SPDX-License-Identifier: Apache-2.0
/*
 * Replays, into the store that a backup was restored to, what its audit log told a
 * witness after the backup: each entry becomes an entry of the log again, with
 * what it took away in the same commit.  What was revoked stays revoked and what
 * was used up stays used up; doc/backup.md tells what is not in the log and so
 * cannot come back.
 */
#ifndef CA_REPLAY_H
#define CA_REPLAY_H

#include "store/audit.h"

/* Lines that a caller shows; what is beyond is counted. */
#define REPLAY_BY_HAND_MAX 1000

struct replay_counts {
	uint64_t entries;
	uint64_t issued;	/* known by their serial from now on */
	uint64_t unresolved;	/* of these: counted as revoked */
	uint64_t revoked;	/* certificates */
	uint64_t tokens, identities, clusters; /* that were ended */
	uint64_t by_hand;	/* changes that are lost: to be made again */
};

struct replay;

/* STORE is unlocked, open for writing, and nobody else's meanwhile. */
struct replay *replay_new(struct store *store);
void replay_free(struct replay *replay);
DEFINE_CLEANUP(replay, replay_free)

/*
 * Takes the next entry of the log, whose hash the caller has checked.  IS_SIGNED:
 * a checkpoint covers it; one that is not is believed where it takes away, and a
 * certificate that it tells of counts as revoked.  It is durable after
 * replay_finish at the latest.
 * Errors: ERR_CORRUPT for an entry that does not tell what it must; ERR_STORE.
 */
MUST_CHECK enum err_code replay_entry(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err);

struct replay_end {
	uint64_t crl_above;	/* 0: by what is known alone */
	const char *object;	/* of the audit entry: what was restored */
	const char *detail;
};
/*
 * Lifts the number of each CRL that can be made anew above all that were told, and
 * by what may have been published untold until now, and adds the audit entry
 * "store.restore".  Errors: ERR_BAD_FIELD for crl_above; ERR_CORRUPT, ERR_STORE.
 */
MUST_CHECK enum err_code replay_finish(struct replay *replay,
    const struct replay_end *end, struct err *err);

const struct replay_counts *replay_counts(const struct replay *replay);
/* One line each, "ACTION OBJECT": borrowed. */
struct bytes replay_by_hand(const struct replay *replay);

#endif
