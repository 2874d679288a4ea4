// SPDX-License-Identifier: Apache-2.0
/* Making identities, changing them, and what replaces a code. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/identity.h"
#include "policies/names.h"
#include "policies/record.h"

#define CREATOR_MAX 256		/* octets */

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

/* ---- changing one ---- */

static char **copy_roles(const char *const *texts, size_t count)
{
	char **copy = mem_zalloc_array(count + 1, sizeof(*copy));

	for (size_t i = 0; i < count; i++)
		copy[i] = mem_strdup(texts[i]);
	return copy;
}

/* The lists of IDENTITY are its own, also where an error is left behind. */
static enum err_code change_roles(const struct role_set *set,
    const struct identity_request *request, struct identity *identity,
    struct err *err)
{
	enum err_code code = ERR_OK;

	if (request->roles == NULL)
		return ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < request->roles_count; i++)
		code = check_role(set, request, i, err);
	if (code != ERR_OK)
		return code;
	record_texts_free(identity->roles, identity->roles_count);
	identity->roles = copy_roles(request->roles, request->roles_count);
	identity->roles_count = request->roles_count;
	return ERR_OK;
}

static enum err_code change_ranges(const struct identity_request *request,
    struct identity *identity, struct err *err)
{
	struct cidr *ranges;
	enum err_code code;

	if (request->ranges == NULL)
		return ERR_OK;
	ranges = mem_zalloc_array(request->ranges_count + 1, sizeof(*ranges));
	code = record_parse_ranges(
	    request->ranges, request->ranges_count, ranges, err);
	if (code != ERR_OK) {
		free(ranges);
		return code;
	}
	free(identity->ranges);
	identity->ranges = ranges;
	identity->ranges_count = request->ranges_count;
	return ERR_OK;
}

static struct identity *copy_identity(const struct identity *identity)
{
	struct identity *copy = mem_zalloc(sizeof(*copy));

	*copy = *identity;
	copy->name = mem_strdup(identity->name);
	copy->roles = copy_roles(
	    (const char *const *)identity->roles, identity->roles_count);
	if (identity->cluster != NULL)
		copy->cluster = mem_strdup(identity->cluster);
	copy->ranges = mem_zalloc_array(
	    identity->ranges_count + 1, sizeof(*copy->ranges));
	if (identity->ranges_count > 0)
		memcpy(copy->ranges, identity->ranges,
		    identity->ranges_count * sizeof(*copy->ranges));
	copy->creator = mem_strdup(identity->creator);
	return copy;
}

/* What is not to change stands in WHOLE as it is. */
static enum err_code check_change(const struct identity *identity,
    const struct identity_request *change, struct identity_request *whole,
    struct err *err)
{
	*whole = *change;
	whole->kind = identity->kind;
	whole->cluster = identity->cluster;
	if (change->name == NULL)
		whole->name = identity->name;
	if (change->roles == NULL)
		whole->roles_count = identity->roles_count;
	if (identity->kind == IDENTITY_TOKEN && change->ttl != 0)
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"ttl\": the end of a bearer token stands; make "
		    "another");
	return check_bounds(whole, err);
}

enum err_code identity_change(const struct role_set *set,
    const struct identity *identity, const struct identity_request *change,
    struct identity **changed_out, struct err *err)
{
	OWNED(identity) changed = copy_identity(identity);
	struct identity_request whole;
	int64_t now = clock_now();
	enum err_code code;

	if ((code = check_change(identity, change, &whole, err)) != ERR_OK ||
	    (code = change_roles(set, &whole, changed, err)) != ERR_OK ||
	    (code = change_ranges(&whole, changed, err)) != ERR_OK)
		return code;
	free(changed->name);
	changed->name = mem_strdup(whole.name);
	if (change->ttl != 0)
		changed->ttl = change->ttl;
	if (change->lifetime != 0)
		changed->expires = now + change->lifetime;
	*changed_out = GIVE(changed);
	return ERR_OK;
}

enum err_code identity_new_code(struct batch *batch,
    const struct identity *identity, int64_t code_ttl,
    struct identity **changed_out, struct secret **text_out, struct err *err)
{
	OWNED(identity) changed = copy_identity(identity);
	OWNED(secret) text = NULL;
	enum err_code code;

	if (identity->kind != IDENTITY_CERTIFICATE)
		return err_refuse(err, ERR_POLICY,
		    "a bearer token has no code; make another identity");
	if ((code = check_span("code_ttl", code_ttl, IDENTITY_CODE_TTL_MAX,
		 err)) != ERR_OK ||
	    (code = bearer_draw_for(
		 BEARER_CODE, identity->id, &text, err)) != ERR_OK ||
	    (code = bearer_hash(secret_bytes(text), changed->hash, err)) !=
		ERR_OK)
		return code;
	changed->code_expires =
	    clock_now() + or_default(code_ttl, IDENTITY_CODE_TTL_DEFAULT);
	changed->code_used = 0;
	identity_put(batch, changed);
	*changed_out = GIVE(changed);
	*text_out = GIVE(text);
	return ERR_OK;
}
