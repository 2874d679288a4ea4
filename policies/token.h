// SPDX-License-Identifier: Apache-2.0
/*
 * Bootstrap tokens: 256 random bits that let a node ask for its first
 * certificate.  Text: "sgt_" and 43 characters of base64url.  The store holds a
 * hash alone; the id is the first 16 octets of SHA-256(text).
 */
#ifndef POLICIES_TOKEN_H
#define POLICIES_TOKEN_H

#include "base/net.h"
#include "base/secret.h"
#include "store/store.h"

#define TOKEN_ID_SIZE 16
#define TOKEN_PROFILES_MAX 16
#define TOKEN_RANGES_MAX 16
#define TOKEN_USES_MAX 10000
#define TOKEN_TTL_MAX (30 * 86400)	/* seconds */
#define TOKEN_TTL_DEFAULT 3600

struct token {
	uint8_t id[TOKEN_ID_SIZE];
	uint8_t hash[32];		/* SHA-256 of the text */
	char *cluster;
	char **profiles;		/* empty: every profile of the policy */
	size_t profiles_count;
	struct cidr *ranges;		/* empty: from anywhere */
	size_t ranges_count;
	uint32_t uses;			/* granted */
	uint32_t spent;
	int64_t created, expires;	/* seconds */
	bool revoked;
	char *creator;
	uint64_t revision;
};
void token_free(struct token *token);
DEFINE_CLEANUP(token, token_free)

struct token_request {
	const char *cluster, *creator;
	const char *const *profiles;
	size_t profiles_count;
	const char *const *ranges;
	size_t ranges_count;
	int64_t uses;			/* 0: 1 */
	int64_t ttl;			/* seconds; 0: the default */
};
/* Checks the request, draws the token, and adds the record to BATCH.
 * Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code token_create(struct batch *batch,
    const struct token_request *request, struct token **token_out,
    struct secret **text_out, struct err *err);

/*
 * Finds the token behind TEXT and checks that it is not revoked, not expired
 * and used from an allowed address.  One answer for every failure, whose real
 * reason is in *why_out (static text) for log and audit alone; *token_out is then
 * the one that was shown, where there is such a one.  A token whose uses are all
 * spent is let in: only a repeated request may still be answered with it
 * (token_is_spent).
 * Errors: ERR_UNAUTHENTICATED, ERR_STORE, ERR_CORRUPT, ERR_CRYPTO.
 */
MUST_CHECK enum err_code token_check(struct store *store, struct bytes text,
    const struct ip *source, struct token **token_out, const char **why_out,
    struct err *err);
bool token_is_spent(const struct token *token);
bool token_allows_profile(const struct token *token, const char *profile);

/* Adds one use to BATCH, guarded by the revision read: one use of a token in one
 * batch.  Aborts on a token whose uses are spent. */
void token_spend(struct batch *batch, const struct token *token);
/* Gives one use of the token ID back (its issuance came to nothing); reads and
 * adds to BATCH under its revision, so one use of a token in one batch.  A
 * token that is gone is no error. */
MUST_CHECK enum err_code token_refund(struct store *store, struct batch *batch,
    const uint8_t id[static TOKEN_ID_SIZE], struct err *err);

/* Errors: ERR_NOT_FOUND, also for a token of another cluster. */
MUST_CHECK enum err_code token_get(struct store *store, const char *cluster,
    const uint8_t id[static TOKEN_ID_SIZE], struct token **token_out,
    struct err *err);
void token_revoke(struct batch *batch, const struct token *token);
/* A page of the cluster's tokens after the id AFTER (NULL: from the start). */
MUST_CHECK enum err_code token_list(struct store *store, const char *cluster,
    const uint8_t *after, size_t limit, struct token **tokens,
    size_t *count_out, struct err *err);

#endif
