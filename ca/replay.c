// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/crl.h"
#include "ca/issuer.h"
#include "ca/replay_inside.h"
#include "policies/approval.h"

#define ENTRIES_AT_ONCE 500
#define APPROVAL_PAGE 100
/* CRLs that may have been published after the last entry that is known: twice
 * what one issuer's publisher makes in a second, and some. */
#define CRLS_PER_SECOND 4
#define CRLS_MORE 1000

/* What the batch changes already: it cannot be read back before the commit. */
struct touched {
	UT_hash_handle hh;
	char object[];
};

struct replay *replay_new(struct store *store)
{
	struct replay *replay = mem_zalloc(sizeof(*replay));

	replay->store = store;
	replay->batch = batch_new();
	return replay;
}

static void forget_touched(struct replay *replay)
{
	struct touched *touched, *next;

	HASH_ITER (hh, replay->touched, touched, next) {
		HASH_DEL(replay->touched, touched);
		free(touched);
	}
}

void replay_free(struct replay *replay)
{
	struct told_crl *crl, *next;

	if (replay == NULL)
		return;
	forget_touched(replay);
	HASH_ITER (hh, replay->crls, crl, next) {
		HASH_DEL(replay->crls, crl);
		free(crl);
	}
	batch_free(replay->batch);
	buf_free(&replay->by_hand);
	free(replay);
}

const struct replay_counts *replay_counts(const struct replay *replay)
{
	return &replay->counts;
}

struct bytes replay_by_hand(const struct replay *replay)
{
	return buf_bytes(&replay->by_hand);
}

static enum err_code commit(struct replay *replay, struct err *err)
{
	enum err_code code = store_commit(replay->store, replay->batch, err);

	if (code != ERR_OK)
		return code;
	batch_free(replay->batch);
	replay->batch = batch_new();
	replay->waiting = 0;
	forget_touched(replay);
	return ERR_OK;
}

enum err_code replay_touch(
    struct replay *replay, const char *object, struct err *err)
{
	struct touched *touched;
	size_t len = strlen(object);
	enum err_code code = ERR_OK;

	HASH_FIND_STR(replay->touched, object, touched);
	if (touched != NULL)
		code = commit(replay, err);
	if (code != ERR_OK)
		return code;
	touched = mem_zalloc(sizeof(*touched) + len + 1);
	memcpy(touched->object, object, len);
	HASH_ADD_STR(replay->touched, object, touched);
	return ERR_OK;
}

/* ---- CRLs ---- */

struct told_crl *replay_crl(struct replay *replay, const char *issuer)
{
	struct told_crl *crl;
	size_t len = strlen(issuer);

	HASH_FIND_STR(replay->crls, issuer, crl);
	if (crl != NULL)
		return crl;
	crl = mem_zalloc(sizeof(*crl) + len + 1);
	memcpy(crl->issuer, issuer, len);
	HASH_ADD_STR(replay->crls, issuer, crl);
	return crl;
}

static uint64_t add_bounded(uint64_t a, uint64_t b)
{
	return a > CRL_NUMBER_MAX || b > CRL_NUMBER_MAX - a ? CRL_NUMBER_MAX + 1
							    : a + b;
}

static enum err_code lift_one(struct replay *replay,
    const struct issuer *issuer, uint64_t above, struct err *err)
{
	int64_t now = clock_now();
	int64_t dark = now > replay->last ? now - replay->last : 0;
	uint64_t more = CRLS_MORE + CRLS_PER_SECOND * (uint64_t)dark;
	struct crl_floor floor = {.number = 0};
	struct told_crl *crl;
	enum err_code code =
	    crl_number(replay->store, issuer->id, &floor.number, err);

	if (code != ERR_OK)
		return code;
	HASH_FIND_STR(replay->crls, issuer->id, crl);
	if (crl != NULL && crl->number > floor.number)
		floor.number = crl->number;
	if (crl != NULL)
		floor.this_update = crl->time;
	floor.number = add_bounded(floor.number, more);
	if (above > floor.number)
		floor.number = above;
	return crl_lift(replay->store, issuer->id, &floor, replay->batch, err);
}

/* The root's CRL is made where its key is: the backup's is kept. */
static enum err_code lift_all(
    struct replay *replay, uint64_t above, struct err *err)
{
	OWNED(issuer_set) set = NULL;
	enum err_code code = issuer_set_load(replay->store, NULL, &set, err);

	for (size_t i = 0; code == ERR_OK && i < issuer_set_count(set); i++) {
		const struct issuer *issuer = issuer_set_at(set, i);

		if (issuer->kind != ISSUER_ROOT)
			code = lift_one(replay, issuer, above, err);
	}
	return code;
}

static enum err_code end_approval(
    struct replay *replay, const struct approval *listed, struct err *err)
{
	OWNED(approval) approval = NULL;
	enum err_code code;

	if (listed->state != APPROVAL_OPEN)
		return ERR_OK;
	/* As listed it has no revision. */
	code = approval_get(replay->store, listed->id, &approval, err);
	if (code != ERR_OK)
		return code;
	approval_end(replay->batch, approval, APPROVAL_EXPIRED);
	return commit(replay, err);
}

/* What stood open in the backup may have been carried out since, and must not be
 * again: who still wants it asks anew. */
static enum err_code end_approvals(struct replay *replay, struct err *err)
{
	struct approval *page[APPROVAL_PAGE];
	uint8_t after[APPROVAL_ID_SIZE];
	size_t count = APPROVAL_PAGE;
	bool begun = false;
	enum err_code code = ERR_OK;

	while (code == ERR_OK && count == APPROVAL_PAGE) {
		code = approval_list(replay->store, begun ? after : NULL,
		    APPROVAL_PAGE, page, &count, err);
		if (code != ERR_OK)
			return code;
		for (size_t i = 0; i < count; i++) {
			memcpy(after, page[i]->id, sizeof(after));
			begun = true;
			if (code == ERR_OK)
				code = end_approval(replay, page[i], err);
			approval_free(page[i]);
		}
	}
	return code;
}

enum err_code replay_entry(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	enum err_code code = ERR_OK;

	if (entry->time_ms < 1000)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is of before there were any",
		    (unsigned long long)entry->sequence);
	if (entry->action != NULL)
		code = replay_effect(replay, entry, is_signed, err);
	if (code != ERR_OK)
		return code;
	/* Behind what it changes: a commit in between ends before it. */
	batch_audit_again(replay->batch, entry);
	replay->counts.entries++;
	replay->last = entry->time_ms / 1000;
	if (++replay->waiting < ENTRIES_AT_ONCE)
		return ERR_OK;
	return commit(replay, err);
}

static bool keep_time(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	(void)leaf;
	*(int64_t *)arg = entry->time_ms / 1000;
	return true;
}

static enum err_code find_last(struct replay *replay, struct err *err)
{
	struct audit_head head;
	enum err_code code = audit_head(replay->store, &head, err);

	if (code != ERR_OK || head.sequence == 0)
		return code;
	return audit_read(
	    replay->store, head.sequence, 1, keep_time, &replay->last, err);
}

enum err_code replay_finish(
    struct replay *replay, const struct replay_end *end, struct err *err)
{
	enum err_code code = commit(replay, err);

	if (code == ERR_OK)
		code = find_last(replay, err);
	if (code == ERR_OK)
		code = lift_all(replay, end->crl_above, err);
	if (code == ERR_OK)
		code = end_approvals(replay, err);
	if (code != ERR_OK)
		return code;
	batch_audit(
	    replay->batch, &(struct audit_entry){.action = "store.restore",
			       .result = "granted",
			       .actor = "system",
			       .source = "local",
			       .object = end->object,
			       .detail = end->detail});
	return commit(replay, err);
}
