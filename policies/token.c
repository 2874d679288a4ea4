// SPDX-License-Identifier: Apache-2.0
#include "policies/token.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/bearer.h"
#include "policies/record.h"
#include "policies/row.h"
#include "store/key.h"

#define CREATOR_MAX 256		/* octets */

void token_free(struct token *token)
{
	if (token == NULL)
		return;
	record_texts_free(token->profiles, token->profiles_count);
	free(token->ranges);
	free(token->cluster);
	free(token->creator);
	free(token);
}

void token_write(const struct token *token, struct buf *out)
{
	buf_put_u8(out, RECORD_VERSION);
	buf_put(out, token->hash, sizeof(token->hash));
	buf_put_lv_str(out, token->cluster);
	record_put_texts(out, token->profiles, token->profiles_count);
	record_put_ranges(out, token->ranges, token->ranges_count);
	buf_put_u32(out, token->uses);
	buf_put_u32(out, token->spent);
	buf_put_i64(out, token->created);
	buf_put_i64(out, token->expires);
	buf_put_u8(out, token->revoked ? 1 : 0);
	buf_put_lv_str(out, token->creator);
}

/* Is what was read within the bounds that token_create keeps? */
static bool is_sound(const struct token *token)
{
	for (size_t i = 0; i < token->profiles_count; i++) {
		if (!text_is_label(token->profiles[i]))
			return false;
	}
	return text_is_label(token->cluster) && token->uses >= 1 &&
	    token->uses <= TOKEN_USES_MAX && token->spent <= token->uses &&
	    memcmp(token->id, token->hash, TOKEN_ID_SIZE) == 0;
}

bool token_read(const uint8_t id[static TOKEN_ID_SIZE], struct bytes record,
    struct token **token_out)
{
	OWNED(token) token = mem_zalloc(sizeof(*token));
	struct reader reader = reader_over(record);
	uint8_t revoked;

	if (reader_u8(&reader) != RECORD_VERSION)
		return false;
	memcpy(token->id, id, TOKEN_ID_SIZE);
	reader_copy(&reader, token->hash, sizeof(token->hash));
	token->cluster = reader_lv_str(&reader);
	token->profiles = record_read_texts(
	    &reader, TOKEN_PROFILES_MAX, &token->profiles_count);
	token->ranges = record_read_ranges(
	    &reader, TOKEN_RANGES_MAX, &token->ranges_count);
	token->uses = reader_u32(&reader);
	token->spent = reader_u32(&reader);
	token->created = reader_i64(&reader);
	token->expires = reader_i64(&reader);
	revoked = reader_u8(&reader);
	token->revoked = revoked == 1;
	token->creator = reader_lv_str(&reader);
	if (!reader_done(&reader) || revoked > 1 || !is_sound(token))
		return false;
	*token_out = GIVE(token);
	return true;
}

static struct key index_key(
    const char *cluster, const uint8_t id[static TOKEN_ID_SIZE])
{
	struct key key = KEY_INIT;

	key_add_text(&key, cluster);
	key_add_octets(&key, BYTES(id, TOKEN_ID_SIZE));
	return key;
}

static enum err_code check_bounds(
    const struct token_request *request, struct err *err)
{
	if (request->cluster == NULL || !text_is_label(request->cluster))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cluster of a token is missing or malformed");
	if (request->uses < 0 || request->uses > TOKEN_USES_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "uses of a token are from 1 to %d", TOKEN_USES_MAX);
	if (request->ttl < 0 || request->ttl > TOKEN_TTL_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "field \"ttl\": a token lasts from 1 second to %d days",
		    TOKEN_TTL_MAX / 86400);
	if (request->profiles_count > TOKEN_PROFILES_MAX ||
	    request->ranges_count > TOKEN_RANGES_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "a token has at most %d profiles and %d ranges",
		    TOKEN_PROFILES_MAX, TOKEN_RANGES_MAX);
	if (request->creator != NULL && strlen(request->creator) > CREATOR_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "creator of a token is longer than %d octets", CREATOR_MAX);
	return ERR_OK;
}

static enum err_code fill_lists(const struct token_request *request,
    struct token *token, struct err *err)
{
	enum err_code code;

	token->profiles = mem_zalloc_array(
	    request->profiles_count, sizeof(*token->profiles));
	for (size_t i = 0; i < request->profiles_count; i++) {
		const char *profile = request->profiles[i];

		if (!text_is_label(profile))
			return err_refuse(err, ERR_BAD_FIELD,
			    "\"%s\" is not the name of a profile",
			    err_quote_str(profile));
		token->profiles[token->profiles_count++] = mem_strdup(profile);
	}
	token->ranges = mem_zalloc_array(
	    request->ranges_count, sizeof(*token->ranges));
	code = record_parse_ranges(
	    request->ranges, request->ranges_count, token->ranges, err);
	if (code != ERR_OK)
		return code;
	token->ranges_count = request->ranges_count;
	return ERR_OK;
}

static void put(struct batch *batch, const struct token *token)
{
	OWNED_BUF(record);

	token_write(token, &record);
	batch_put(batch, TABLE_TOKENS, BYTES_OF(token->id), buf_bytes(&record));
}

static void put_new(struct batch *batch, const struct token *token)
{
	static const uint8_t index_version[] = {RECORD_VERSION};
	struct key key = index_key(token->cluster, token->id);

	batch_require_absent(batch, TABLE_TOKENS, BYTES_OF(token->id));
	put(batch, token);
	batch_put(batch, TABLE_TOKENS_BY_CLUSTER, key_bytes(&key),
	    BYTES_OF(index_version));
}

enum err_code token_create(struct batch *batch,
    const struct token_request *request, struct token **token_out,
    struct secret **text_out, struct err *err)
{
	OWNED(token) token = mem_zalloc(sizeof(*token));
	OWNED(secret) text = NULL;
	enum err_code code;

	if ((code = check_bounds(request, err)) != ERR_OK ||
	    (code = fill_lists(request, token, err)) != ERR_OK ||
	    (code = bearer_draw(BEARER_TOKEN, &text, err)) != ERR_OK ||
	    (code = bearer_hash(secret_bytes(text), token->hash, err)) != ERR_OK)
		return code;
	memcpy(token->id, token->hash, TOKEN_ID_SIZE);
	token->cluster = mem_strdup(request->cluster);
	token->creator = mem_strdup(
	    request->creator == NULL ? "" : request->creator);
	token->uses = request->uses == 0 ? 1 : (uint32_t)request->uses;
	token->created = clock_now();
	token->expires = token->created +
	    (request->ttl == 0 ? TOKEN_TTL_DEFAULT : request->ttl);
	put_new(batch, token);
	*token_out = GIVE(token);
	*text_out = GIVE(text);
	return ERR_OK;
}

DEFINE_ROW_KIND(token, TABLE_TOKENS, TOKEN_ID_SIZE);

/* Reads the token ID; *token_out is NULL when there is none. */
static enum err_code find(struct store *store,
    const uint8_t id[static TOKEN_ID_SIZE], struct token **token_out,
    struct err *err)
{
	bool found;

	*token_out = NULL;
	return row_find(store, &token_row, BYTES(id, TOKEN_ID_SIZE), token_out,
	    &found, err);
}

static bool in_ranges(const struct token *token, const struct ip *source)
{
	for (size_t i = 0; i < token->ranges_count; i++) {
		if (cidr_contains(&token->ranges[i], source))
			return true;
	}
	return token->ranges_count == 0;
}

/* Why TOKEN (NULL: there is none) does not let its bearer in; NULL: it does. */
static const char *find_fault(const struct token *token,
    const uint8_t hash[static 32], const struct ip *source)
{
	if (token == NULL ||
	    !bearer_hash_equal(token->hash, hash))
		return "no such token";
	if (token->revoked)
		return "token is revoked";
	if (clock_now() >= token->expires)
		return "token has expired";
	if (!in_ranges(token, source))
		return "token is not for this address";
	return NULL;
}

enum err_code token_check(struct store *store, struct bytes text,
    const struct ip *source, struct token **token_out, const char **why_out,
    struct err *err)
{
	OWNED(token) token = NULL;
	uint8_t hash[32];
	enum err_code code;

	*why_out = "store fault";
	if ((code = bearer_hash(text, hash, err)) != ERR_OK ||
	    (code = find(store, hash, &token, err)) != ERR_OK)
		return code;
	*why_out = find_fault(token, hash, source);
	if (token != NULL && bearer_hash_equal(token->hash, hash))
		*token_out = GIVE(token);
	if (*why_out != NULL)
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "the credentials are not accepted");
	return ERR_OK;
}

bool token_is_spent(const struct token *token)
{
	return token->spent >= token->uses;
}

bool token_allows_profile(const struct token *token, const char *profile)
{
	for (size_t i = 0; i < token->profiles_count; i++) {
		if (strcmp(token->profiles[i], profile) == 0)
			return true;
	}
	return token->profiles_count == 0;
}

/* Writes TOKEN with SPENT uses gone, unless it changed since it was read. */
static void put_spent(
    struct batch *batch, const struct token *token, uint32_t spent)
{
	struct token changed = *token;

	changed.spent = spent;
	batch_require_revision(
	    batch, TABLE_TOKENS, BYTES_OF(token->id), token->revision);
	put(batch, &changed);
}

void token_spend(struct batch *batch, const struct token *token)
{
	if (token_is_spent(token))
		abort(); /* the caller did not ask token_is_spent */
	put_spent(batch, token, token->spent + 1);
}

enum err_code token_refund(struct store *store, struct batch *batch,
    const uint8_t id[static TOKEN_ID_SIZE], struct err *err)
{
	OWNED(token) token = NULL;
	enum err_code code = find(store, id, &token, err);

	if (code != ERR_OK || token == NULL || token->spent == 0)
		return code;
	put_spent(batch, token, token->spent - 1);
	return ERR_OK;
}

enum err_code token_get(struct store *store, const char *cluster,
    const uint8_t id[static TOKEN_ID_SIZE], struct token **token_out,
    struct err *err)
{
	OWNED(token) token = NULL;
	enum err_code code = find(store, id, &token, err);

	if (code != ERR_OK)
		return code;
	if (token == NULL || strcmp(token->cluster, cluster) != 0) {
		OWNED_STR(hex) = hex_new(id, TOKEN_ID_SIZE);

		return err_refuse(err, ERR_NOT_FOUND,
		    "cluster \"%s\" has no token %s", err_quote_str(cluster), hex);
	}
	*token_out = GIVE(token);
	return ERR_OK;
}

void token_revoke(struct batch *batch, const struct token *token)
{
	struct token revoked = *token;

	revoked.revoked = true;
	batch_require_revision(
	    batch, TABLE_TOKENS, BYTES_OF(token->id), token->revision);
	put(batch, &revoked);
}

/* The ids of a page of the index, one behind the other. */
static enum err_code read_ids(
    struct scan *scan, size_t limit, struct buf *ids, struct err *err)
{
	while (ids->len < limit * TOKEN_ID_SIZE) {
		struct bytes key, value;
		enum err_code code;
		bool more;

		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		if (key.len < TOKEN_ID_SIZE)
			return err_fail(err, ERR_CORRUPT,
			    "index of tokens has a short key");
		buf_put(ids, key.data + key.len - TOKEN_ID_SIZE, TOKEN_ID_SIZE);
	}
	return ERR_OK;
}

static enum err_code open_index(struct store *store, const char *cluster,
    const uint8_t *after, struct scan **scan_out, struct err *err)
{
	struct key prefix = KEY_INIT, from = KEY_INIT;

	key_add_text(&prefix, cluster);
	if (after != NULL)
		from = index_key(cluster, after);
	return scan_open(store, TABLE_TOKENS_BY_CLUSTER, key_bytes(&prefix),
	    key_bytes(&from), scan_out, err);
}

/* The scan is closed before any record is read: one snapshot at a time. */
static enum err_code read_tokens(struct store *store, struct bytes ids,
    struct token **tokens, size_t *count, struct err *err)
{
	for (size_t at = 0; at < ids.len; at += TOKEN_ID_SIZE) {
		enum err_code code =
		    find(store, ids.data + at, &tokens[*count], err);

		if (code != ERR_OK)
			return code;
		if (tokens[*count] == NULL)
			return err_fail(err, ERR_CORRUPT,
			    "index of tokens names one that is gone");
		(*count)++;
	}
	return ERR_OK;
}

enum err_code token_list(struct store *store, const char *cluster,
    const uint8_t *after, size_t limit, struct token **tokens,
    size_t *count_out, struct err *err)
{
	struct scan *scan = NULL;
	OWNED_BUF(ids);
	enum err_code code;

	*count_out = 0;
	if (!text_is_label(cluster))
		return ERR_OK; /* what is no cluster has no tokens */
	code = open_index(store, cluster, after, &scan, err);
	if (code == ERR_OK)
		code = read_ids(scan, limit, &ids, err);
	scan_close(scan);
	if (code == ERR_OK)
		code = read_tokens(
		    store, buf_bytes(&ids), tokens, count_out, err);
	while (code != ERR_OK && *count_out > 0)
		token_free(tokens[--*count_out]);
	return code;
}
