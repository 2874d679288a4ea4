// SPDX-License-Identifier: Apache-2.0
#include "policies/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/record.h"
#include "policies/row.h"

void identity_free(struct identity *identity)
{
	if (identity == NULL)
		return;
	free(identity->name);
	record_texts_free(identity->roles, identity->roles_count);
	free(identity->cluster);
	free(identity->ranges);
	free(identity->creator);
	free(identity);
}

static bool has_hash(const struct identity *identity)
{
	static const uint8_t none[BEARER_HASH_SIZE];

	return memcmp(identity->hash, none, sizeof(none)) != 0;
}

/* ---- in the store ---- */

DEFINE_ROW_KIND(identity, TABLE_IDENTITIES, IDENTITY_ID_SIZE);

void identity_put(struct batch *batch, const struct identity *identity)
{
	struct bytes key = BYTES_OF(identity->id);
	OWNED_BUF(record);

	identity_write(identity, &record);
	batch_put(batch, TABLE_IDENTITIES, key, buf_bytes(&record));
	if (identity->revision == 0)
		batch_require_absent(batch, TABLE_IDENTITIES, key);
	else
		identity_require(batch, identity);
}

void identity_require(struct batch *batch, const struct identity *identity)
{
	batch_require_revision(batch, TABLE_IDENTITIES, BYTES_OF(identity->id),
	    identity->revision);
}

/* A clock set back must not date it before it was made. */
static int64_t moment(const struct identity *identity)
{
	int64_t now = clock_now();

	return now < identity->created ? identity->created : now;
}

/* That of a later code is later than the enrolment, so that taking it back does
 * not take the enrolment. */
void identity_enroll(struct batch *batch, const struct identity *identity)
{
	struct identity changed = *identity;

	changed.code_used = moment(identity);
	if (changed.enrolled == 0)
		changed.enrolled = changed.code_used;
	else if (changed.code_used <= changed.enrolled)
		changed.code_used = changed.enrolled + 1;
	identity_put(batch, &changed);
}

void identity_unenroll(struct batch *batch, const struct identity *identity)
{
	struct identity changed = *identity;

	if (changed.enrolled == changed.code_used)
		changed.enrolled = 0;
	changed.code_used = 0;
	identity_put(batch, &changed);
}

bool identity_spent(const struct identity *identity,
    const uint8_t code[static BEARER_ID_SIZE])
{
	return identity->code_used != 0 &&
	    memcmp(identity->hash, code, BEARER_ID_SIZE) == 0;
}

void identity_forget_code(struct identity *identity)
{
	if (identity->code_used != 0)
		return;
	memset(identity->hash, 0, sizeof(identity->hash));
	identity->code_expires = 0;
}

void identity_revoke(struct batch *batch, const struct identity *identity)
{
	struct identity changed = *identity;

	changed.revoked = moment(identity);
	identity_put(batch, &changed);
}

enum err_code identity_find(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE], struct identity **identity_out,
    struct err *err)
{
	bool found;

	*identity_out = NULL;
	return row_find(store, &identity_row, BYTES(id, IDENTITY_ID_SIZE),
	    identity_out, &found, err);
}

enum err_code identity_get(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE], struct identity **identity_out,
    struct err *err)
{
	return row_get(store, &identity_row, id, identity_out, err);
}

enum err_code identity_list(struct store *store, const uint8_t *after,
    size_t limit, struct identity **identities, size_t *count_out,
    struct err *err)
{
	struct row_page page = {
	    .after = BYTES(after, after == NULL ? 0 : IDENTITY_ID_SIZE),
	    .limit = limit,
	    .slots = identities,
	};
	enum err_code code = row_list(store, &identity_row, &page, err);

	*count_out = page.count;
	return code;
}

/* ---- being one ---- */

const char *identity_fault(const struct identity *identity, int64_t now)
{
	if (identity->revoked != 0)
		return "identity is revoked";
	if (identity->expires != 0 && now >= identity->expires)
		return "identity has expired";
	return NULL;
}

const char *identity_state(const struct identity *identity, int64_t now)
{
	if (identity->revoked != 0)
		return "revoked";
	if (identity_fault(identity, now) != NULL)
		return "expired";
	if (identity->kind == IDENTITY_TOKEN || identity->enrolled != 0)
		return "active";
	return now >= identity->code_expires ? "expired" : "pending";
}

void identity_act(const struct identity *identity, const struct role_set *set,
    struct caller *caller)
{
	for (size_t i = 0; i < identity->roles_count; i++)
		(void)!role_take(set, identity->roles[i], caller);
	if (identity->cluster != NULL)
		caller->cluster = mem_strdup(identity->cluster);
}

bool identity_is_from(
    const struct identity *identity, const struct ip *source)
{
	for (size_t i = 0; i < identity->ranges_count; i++) {
		if (cidr_contains(&identity->ranges[i], source))
			return true;
	}
	return identity->ranges_count == 0;
}

/* Why a text of KIND does not let its bearer in as IDENTITY; NULL: it does. */
static const char *find_fault(const struct identity *identity,
    enum bearer_kind kind, const struct ip *source)
{
	enum identity_kind wanted = kind == BEARER_KEY_TOKEN
	    ? IDENTITY_TOKEN : IDENTITY_CERTIFICATE;
	int64_t now = clock_now();

	if (identity->kind != wanted)
		return "a code or token of the other kind";
	if (identity_fault(identity, now) != NULL)
		return identity_fault(identity, now);
	if (kind == BEARER_CODE && now >= identity->code_expires)
		return "enrolment code has expired";
	if (!identity_is_from(identity, source))
		return "not for this address";
	return NULL;
}

enum err_code identity_check(struct store *store, enum bearer_kind kind,
    struct bytes text, const struct ip *source,
    struct identity **identity_out, const char **why_out, struct err *err)
{
	OWNED(identity) identity = NULL;
	uint8_t hash[BEARER_HASH_SIZE];
	uint8_t id[IDENTITY_ID_SIZE];
	enum err_code code;

	*why_out = "store fault";
	if ((code = bearer_hash(text, hash, err)) != ERR_OK)
		return code;
	bearer_id(text, hash, id);
	if ((code = identity_find(store, id, &identity, err)) != ERR_OK)
		return code;
	*why_out = "no such code or token";
	if (identity != NULL && has_hash(identity) &&
	    bearer_hash_equal(identity->hash, hash)) {
		*why_out = find_fault(identity, kind, source);
		*identity_out = GIVE(identity);
	}
	if (*why_out != NULL)
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "the credentials are not accepted");
	return ERR_OK;
}
