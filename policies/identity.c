// SPDX-License-Identifier: Apache-2.0
#include "policies/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/names.h"
#include "policies/record.h"
#include "policies/row.h"

#define CREATOR_MAX 256		/* octets */

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

void identity_enroll(struct batch *batch, const struct identity *identity)
{
	struct identity changed = *identity;

	changed.enrolled = moment(identity);
	identity_put(batch, &changed);
}

void identity_unenroll(struct batch *batch, const struct identity *identity)
{
	struct identity changed = *identity;

	changed.enrolled = 0;
	identity_put(batch, &changed);
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

/* ---- making one ---- */

/* A duration of the request, by the name of its field; 0 stands for none. */
static enum err_code check_span(
    const char *field, int64_t seconds, int64_t most, struct err *err)
{
	if (seconds >= 0 && seconds <= most)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "field \"%s\": wanted is from 1 second to %lld days", field,
	    (long long)(most / 86400));
}

static enum err_code check_bounds(
    const struct identity_request *request, struct err *err)
{
	OWNED(names) names = names_new();
	bool token = request->kind == IDENTITY_TOKEN;
	enum err_code code;

	/* It becomes the CN of its certificates. */
	if ((code = names_set_cn(names, bytes_str(request->name), err)) !=
		ERR_OK ||
	    (code = check_span("ttl", request->ttl, IDENTITY_TTL_MAX, err)) !=
		ERR_OK ||
	    (code = check_span("lifetime", request->lifetime,
		 IDENTITY_LIFETIME_MAX, err)) != ERR_OK ||
	    (code = check_span("code_ttl", request->code_ttl,
		 IDENTITY_CODE_TTL_MAX, err)) != ERR_OK)
		return code;
	if (token && (request->lifetime != 0 || request->code_ttl != 0))
		return err_refuse(err, ERR_BAD_FIELD,
		    "a bearer token ends by \"ttl\" alone and has no code");
	if (request->cluster != NULL && !text_is_label(request->cluster))
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"cluster\": \"%s\" is no name of a cluster",
		    err_quote_str(request->cluster));
	if (request->roles_count < 1 ||
	    request->roles_count > IDENTITY_ROLES_MAX ||
	    request->ranges_count > IDENTITY_RANGES_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "an identity has from 1 to %d roles and at most %d ranges",
		    IDENTITY_ROLES_MAX, IDENTITY_RANGES_MAX);
	if (request->creator != NULL && strlen(request->creator) > CREATOR_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "creator of an identity is longer than %d octets",
		    CREATOR_MAX);
	return ERR_OK;
}

static bool is_repeated(const struct identity_request *request, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(request->roles[i], request->roles[index]) == 0)
			return true;
	}
	return false;
}

static enum err_code check_role(const struct role_set *set,
    const struct identity_request *request, size_t index, struct err *err)
{
	const char *name = request->roles[index];
	struct caller taken = {0};

	if (!role_take(set, name, &taken))
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"roles\": there is no role \"%s\"",
		    err_quote_str(name));
	if (is_repeated(request, index))
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"roles\": \"%s\" is there twice", name);
	if (taken.roles == ROLE_NODE)
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"roles\": a node enrols with a bootstrap token");
	if (request->kind == IDENTITY_TOKEN && taken.roles != ROLE_KMS)
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"roles\": a bearer token has the role kms alone");
	if (request->cluster == NULL &&
	    (taken.roles == ROLE_KMS ||
		(taken.custom & PERMISSION_BIT(PERM_KEY_USE)) != 0))
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"cluster\" is missing: role %s uses the keys of one",
		    name);
	return ERR_OK;
}

static enum err_code fill_lists(const struct role_set *set,
    const struct identity_request *request, struct identity *identity,
    struct err *err)
{
	enum err_code code;

	identity->roles = mem_zalloc_array(
	    request->roles_count, sizeof(*identity->roles));
	for (size_t i = 0; i < request->roles_count; i++) {
		code = check_role(set, request, i, err);
		if (code != ERR_OK)
			return code;
		identity->roles[identity->roles_count++] =
		    mem_strdup(request->roles[i]);
	}
	identity->ranges = mem_zalloc_array(
	    request->ranges_count, sizeof(*identity->ranges));
	code = record_parse_ranges(
	    request->ranges, request->ranges_count, identity->ranges, err);
	if (code == ERR_OK)
		identity->ranges_count = request->ranges_count;
	return code;
}

static int64_t or_default(int64_t seconds, int64_t otherwise)
{
	return seconds == 0 ? otherwise : seconds;
}

static void fill_times(
    const struct identity_request *request, struct identity *identity)
{
	identity->created = clock_now();
	if (request->kind == IDENTITY_TOKEN) {
		identity->expires = identity->created +
		    or_default(request->ttl, IDENTITY_TOKEN_TTL_DEFAULT);
		return;
	}
	identity->ttl = or_default(request->ttl, IDENTITY_TTL_DEFAULT);
	identity->code_expires = identity->created +
	    or_default(request->code_ttl, IDENTITY_CODE_TTL_DEFAULT);
	if (request->lifetime != 0)
		identity->expires = identity->created + request->lifetime;
}

enum err_code identity_create(struct batch *batch, const struct role_set *set,
    const struct identity_request *request, struct identity **identity_out,
    struct secret **text_out, struct err *err)
{
	OWNED(identity) identity = mem_zalloc(sizeof(*identity));
	OWNED(secret) text = NULL;
	enum bearer_kind kind = request->kind == IDENTITY_TOKEN
	    ? BEARER_KEY_TOKEN : BEARER_CODE;
	enum err_code code;

	if ((code = check_bounds(request, err)) != ERR_OK ||
	    (code = fill_lists(set, request, identity, err)) != ERR_OK ||
	    (code = bearer_draw(kind, &text, err)) != ERR_OK ||
	    (code = bearer_hash(secret_bytes(text), identity->hash, err)) !=
		ERR_OK)
		return code;
	memcpy(identity->id, identity->hash, sizeof(identity->id));
	identity->kind = request->kind;
	identity->name = mem_strdup(request->name);
	if (request->cluster != NULL)
		identity->cluster = mem_strdup(request->cluster);
	identity->creator = mem_strdup(
	    request->creator == NULL ? "" : request->creator);
	fill_times(request, identity);
	identity_put(batch, identity);
	*identity_out = GIVE(identity);
	*text_out = GIVE(text);
	return ERR_OK;
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
	enum err_code code;

	*why_out = "store fault";
	if ((code = bearer_hash(text, hash, err)) != ERR_OK ||
	    (code = identity_find(store, hash, &identity, err)) != ERR_OK)
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
