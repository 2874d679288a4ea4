// SPDX-License-Identifier: Apache-2.0
#include "policies/approval.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/record.h"
#include "policies/row.h"

void approval_free(struct approval *approval)
{
	if (approval == NULL)
		return;
	for (size_t i = 0; i < approval->decisions_count; i++) {
		free(approval->decisions[i].name);
		free(approval->decisions[i].reason);
	}
	free(approval->requester_name);
	free(approval->action);
	free(approval->cluster);
	free(approval->method);
	free(approval->path);
	free(approval->body);
	free(approval);
}

enum err_code approval_digest(const struct approval_content *content,
    uint8_t digest[static APPROVAL_DIGEST_SIZE], struct err *err)
{
	OWNED_BUF(all);

	buf_put_lv_str(&all, "signet approval v1");
	buf_put_lv_str(&all, content->action);
	buf_put(&all, content->requester, IDENTITY_ID_SIZE);
	buf_put_lv_str(&all, content->cluster);
	buf_put_lv_str(&all, content->method);
	buf_put_lv_str(&all, content->path);
	buf_put_lv_str(&all, content->body);
	if (EVP_Digest(all.data, all.len, digest, NULL, EVP_sha256(), NULL) !=
	    1)
		return err_fail_crypto(err, "SHA-256");
	return ERR_OK;
}

bool approval_is_open(const struct approval *approval, int64_t now)
{
	return approval->state == APPROVAL_OPEN && now < approval->expires;
}

/* ---- in the store ---- */

DEFINE_ROW_KIND(approval, TABLE_APPROVALS, APPROVAL_ID_SIZE);

enum err_code approval_find_digest(struct store *store,
    const uint8_t digest[static APPROVAL_DIGEST_SIZE],
    struct approval **approval_out, uint64_t *index_out, struct err *err)
{
	bool found = false;
	OWNED_BUF(id);
	enum err_code code;

	*approval_out = NULL;
	code = store_find(store, TABLE_APPROVALS_BY_DIGEST,
	    BYTES(digest, APPROVAL_DIGEST_SIZE), &id, index_out, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (id.len != 1 + APPROVAL_ID_SIZE || id.data[0] != RECORD_VERSION)
		return err_fail(
		    err, ERR_CORRUPT, "index of approvals cannot be read");
	return row_find(store, &approval_row,
	    BYTES(id.data + 1, APPROVAL_ID_SIZE), approval_out, &found, err);
}

enum err_code approval_get(struct store *store,
    const uint8_t id[static APPROVAL_ID_SIZE], struct approval **approval_out,
    struct err *err)
{
	return row_get(store, &approval_row, id, approval_out, err);
}

enum err_code approval_list(struct store *store, const uint8_t *after,
    size_t limit, struct approval **approvals, size_t *count_out,
    struct err *err)
{
	struct row_page page = {
	    .after = BYTES(after, after == NULL ? 0 : APPROVAL_ID_SIZE),
	    .limit = limit,
	    .slots = approvals,
	};
	enum err_code code = row_list(store, &approval_row, &page, err);

	*count_out = page.count;
	return code;
}

static void put(struct batch *batch, const struct approval *approval)
{
	struct bytes key = BYTES_OF(approval->id);
	OWNED_BUF(record);

	approval_write(approval, &record);
	batch_put(batch, TABLE_APPROVALS, key, buf_bytes(&record));
	batch_require_revision(
	    batch, TABLE_APPROVALS, key, approval->revision);
}

static void put_index(
    struct batch *batch, const struct approval *approval, uint64_t index)
{
	struct bytes key = BYTES_OF(approval->digest);
	OWNED_BUF(value);

	buf_put_u8(&value, RECORD_VERSION);
	buf_put(&value, approval->id, sizeof(approval->id));
	batch_put(batch, TABLE_APPROVALS_BY_DIGEST, key, buf_bytes(&value));
	batch_require_revision(batch, TABLE_APPROVALS_BY_DIGEST, key, index);
}

static bool draw_id(struct approval *approval)
{
	uint64_t time = (uint64_t)approval->created;

	for (int i = 7; i >= 0; i--, time >>= 8)
		approval->id[i] = (uint8_t)time;
	return RAND_bytes(approval->id + 8, APPROVAL_ID_SIZE - 8) == 1;
}

enum err_code approval_create(struct batch *batch,
    const struct approval_content *content, const char *requester_name,
    const struct approver_rule *rule, uint64_t index,
    struct approval **approval_out, struct err *err)
{
	OWNED(approval) approval = mem_zalloc(sizeof(*approval));
	enum err_code code = approval_digest(content, approval->digest, err);

	if (code != ERR_OK)
		return code;
	approval->state = APPROVAL_OPEN;
	approval->created = clock_now();
	approval->expires = approval->created + rule->expires;
	if (!draw_id(approval))
		return err_fail_crypto(err, "RAND_bytes");
	memcpy(approval->requester, content->requester, IDENTITY_ID_SIZE);
	approval->requester_name = mem_strdup(requester_name);
	approval->action = mem_strdup(content->action);
	if (content->cluster != NULL)
		approval->cluster = mem_strdup(content->cluster);
	approval->method = mem_strdup(content->method);
	approval->path = mem_strdup(content->path);
	approval->body = mem_strdup(content->body);
	put(batch, approval);
	put_index(batch, approval, index);
	*approval_out = GIVE(approval);
	return ERR_OK;
}

/* ---- deciding ---- */

/* Two identities of one name are taken for one person. */
static bool is_requester(const struct approval *approval,
    const uint8_t id[static IDENTITY_ID_SIZE], const char *name)
{
	return memcmp(approval->requester, id, IDENTITY_ID_SIZE) == 0 ||
	    strcmp(approval->requester_name, name) == 0;
}

static enum err_code check_open(
    const struct approval *approval, struct err *err)
{
	static const char *const ends[] = {
		[APPROVAL_OPEN] = "has expired",
		[APPROVAL_REJECTED] = "was rejected",
		[APPROVAL_EXECUTED] = "was executed",
		[APPROVAL_EXPIRED] = "has expired",
	};

	if (approval_is_open(approval, clock_now()))
		return ERR_OK;
	return err_refuse(err, ERR_POLICY, "this request %s already",
	    ends[approval->state]);
}

static enum err_code check_judge(
    const struct approval_judge *judge, struct err *err)
{
	const char *why = approver_fault(
	    judge->rule, judge->roles, judge->identity, clock_now());

	if (why == NULL)
		return ERR_OK;
	return err_refuse(err, ERR_FORBIDDEN, "the identity %s", why);
}

static bool has_decided(
    const struct approval *approval, const struct identity *identity)
{
	for (size_t i = 0; i < approval->decisions_count; i++) {
		if (memcmp(approval->decisions[i].identity, identity->id,
			IDENTITY_ID_SIZE) == 0)
			return true;
	}
	return false;
}

static enum err_code add_decision(struct approval *approval,
    const struct identity *identity, const char *reason, struct err *err)
{
	struct approval_decision *decision;

	if (approval->decisions_count == APPROVAL_DECISIONS_MAX)
		return err_refuse(err, ERR_POLICY,
		    "this request has %d decisions, and takes no more",
		    APPROVAL_DECISIONS_MAX);
	decision = &approval->decisions[approval->decisions_count++];
	memcpy(decision->identity, identity->id, IDENTITY_ID_SIZE);
	decision->name = mem_strdup(identity->name);
	decision->consents = reason == NULL;
	decision->reason = mem_strdup(reason == NULL ? "" : reason);
	decision->time = clock_now();
	return ERR_OK;
}

enum err_code approval_consent(struct batch *batch, struct approval *approval,
    const struct approval_judge *judge,
    const uint8_t digest[static APPROVAL_DIGEST_SIZE], struct err *err)
{
	const struct identity *identity = judge->identity;
	enum err_code code;

	if ((code = check_open(approval, err)) != ERR_OK ||
	    (code = check_judge(judge, err)) != ERR_OK)
		return code;
	if (is_requester(approval, identity->id, identity->name))
		return err_refuse(err, ERR_POLICY,
		    "nobody approves what they have asked for themselves");
	if (memcmp(approval->digest, digest, APPROVAL_DIGEST_SIZE) != 0)
		return err_refuse(err, ERR_POLICY,
		    "the digest is not that of this request: look at it again");
	if (has_decided(approval, identity))
		return ERR_OK;
	code = add_decision(approval, identity, NULL, err);
	if (code != ERR_OK)
		return code;
	put(batch, approval);
	return ERR_OK;
}

enum err_code approval_reject(struct batch *batch, struct approval *approval,
    const struct approval_judge *judge, const char *reason, struct err *err)
{
	enum err_code code;

	if ((code = check_open(approval, err)) != ERR_OK ||
	    (code = check_judge(judge, err)) != ERR_OK ||
	    (code = add_decision(approval, judge->identity, reason, err)) !=
		ERR_OK)
		return code;
	approval_end(batch, approval, APPROVAL_REJECTED);
	return ERR_OK;
}

/* ---- counting ---- */

static bool is_counted(struct identity *const *counted, size_t count,
    const struct identity *identity)
{
	for (size_t i = 0; i < count; i++) {
		if (memcmp(counted[i]->id, identity->id, IDENTITY_ID_SIZE) ==
			0 ||
		    strcmp(counted[i]->name, identity->name) == 0)
			return true;
	}
	return false;
}

/* Those whose consent counts; to be freed by the caller. */
struct counting {
	struct identity *identities[APPROVAL_DECISIONS_MAX];
	size_t count;
};

static void counting_end(struct counting *counting)
{
	while (counting->count > 0)
		identity_free(counting->identities[--counting->count]);
}

enum err_code approval_count(struct store *store,
    const struct approval *approval, const struct approver_rule *rule,
    const struct role_set *roles, struct batch *batch, unsigned *count_out,
    struct err *err)
{
	__attribute__((cleanup(counting_end))) struct counting counting = {0};
	int64_t now = clock_now();

	for (size_t i = 0; i < approval->decisions_count; i++) {
		OWNED(identity) identity = NULL;
		enum err_code code = identity_find(
		    store, approval->decisions[i].identity, &identity, err);

		if (code != ERR_OK)
			return code;
		if (!approval->decisions[i].consents || identity == NULL ||
		    approver_fault(rule, roles, identity, now) != NULL ||
		    is_requester(approval, identity->id, identity->name) ||
		    is_counted(counting.identities, counting.count, identity))
			continue;
		if (batch != NULL)
			identity_require(batch, identity);
		counting.identities[counting.count++] = GIVE(identity);
	}
	*count_out = (unsigned)counting.count;
	return ERR_OK;
}

/* ---- ending ---- */

void approval_end(struct batch *batch, struct approval *approval,
    enum approval_state state)
{
	approval->state = state;
	approval->ended = clock_now();
	put(batch, approval);
}

void approval_reopen(struct batch *batch, struct approval *approval)
{
	approval->state = APPROVAL_OPEN;
	approval->ended = 0;
	put(batch, approval);
}

bool approval_is_old(const struct approval *approval, int64_t now)
{
	return approval->state != APPROVAL_OPEN &&
	    now - approval->ended > APPROVAL_KEPT;
}

enum err_code approval_forget(struct store *store, struct batch *batch,
    const struct approval *approval, struct err *err)
{
	struct bytes digest = BYTES_OF(approval->digest);
	struct bytes id = BYTES_OF(approval->id);
	uint64_t index = 0;
	bool found = false;
	OWNED_BUF(value);
	enum err_code code = store_find(store, TABLE_APPROVALS_BY_DIGEST,
	    digest, &value, &index, &found, err);

	if (code != ERR_OK)
		return code;
	batch_delete(batch, TABLE_APPROVALS, id);
	batch_require_revision(batch, TABLE_APPROVALS, id, approval->revision);
	/* The same may have been asked again since. */
	if (!found || value.len != 1 + id.len ||
	    memcmp(value.data + 1, id.data, id.len) != 0)
		return ERR_OK;
	batch_delete(batch, TABLE_APPROVALS_BY_DIGEST, digest);
	batch_require_revision(
	    batch, TABLE_APPROVALS_BY_DIGEST, digest, index);
	return ERR_OK;
}
