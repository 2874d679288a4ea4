// SPDX-License-Identifier: Apache-2.0
/*
 * Identities: people and programs that use Signet, by a certificate that they
 * enrol for with a code shown once, or (programs that use keys and cannot speak
 * mTLS) by a bearer token.  The record says what they may; each request reads it
 * again, so that a revocation is effective at once.
 */
#ifndef POLICIES_IDENTITY_H
#define POLICIES_IDENTITY_H

#include "base/secret.h"
#include "policies/bearer.h"
#include "policies/roles.h"
#include "store/store.h"

#define IDENTITY_ID_SIZE BEARER_ID_SIZE
#define SERIAL_MAX 20			/* octets, RFC 5280 4.1.2.2 */
#define IDENTITY_ROLES_MAX 8
#define IDENTITY_RANGES_MAX 16
/* All in seconds. */
#define IDENTITY_TTL_MAX (365 * INT64_C(86400))
#define IDENTITY_TTL_DEFAULT (90 * INT64_C(86400)) /* of a certificate */
#define IDENTITY_TOKEN_TTL_DEFAULT (30 * INT64_C(86400))
#define IDENTITY_LIFETIME_MAX (10 * 365 * INT64_C(86400))
#define IDENTITY_CODE_TTL_MAX (7 * INT64_C(86400))
#define IDENTITY_CODE_TTL_DEFAULT INT64_C(86400)

enum identity_kind { IDENTITY_CERTIFICATE = 1, IDENTITY_TOKEN = 2 };

struct identity {
	uint8_t id[IDENTITY_ID_SIZE];	/* random, or the head of the hash */
	enum identity_kind kind;
	char *name;			/* CN of its certificates */
	char **roles;			/* by name */
	size_t roles_count;
	char *cluster;			/* or NULL */
	struct cidr *ranges;		/* empty: from anywhere */
	size_t ranges_count;
	uint8_t hash[BEARER_HASH_SIZE];	/* of code or token; zero: none */
	int64_t ttl;			/* seconds that a certificate lasts */
	int64_t code_expires;		/* seconds; 0: no code */
	int64_t created;		/* seconds */
	int64_t expires;		/* seconds; 0: does not */
	int64_t code_used;		/* seconds; 0: not yet, or a token */
	int64_t enrolled;		/* seconds, the first time; 0: not yet */
	int64_t revoked;		/* seconds; 0: not */
	uint8_t serial[SERIAL_MAX];	/* of the first admin's certificate of an
					 * early version */
	size_t serial_len;
	char *creator;
	uint64_t revision;
};
void identity_free(struct identity *identity);
DEFINE_CLEANUP(identity, identity_free)

struct identity_request {
	const char *name, *cluster, *creator;
	enum identity_kind kind;
	const char *const *roles;
	size_t roles_count;
	const char *const *ranges;
	size_t ranges_count;
	int64_t ttl, lifetime, code_ttl; /* seconds; 0: default, none, default */
};
/*
 * Checks the request, draws code or token, and adds the record to BATCH.  The
 * roles are built-in or of SET; the one of programs, and whatever uses keys by a
 * file, need a cluster.  Errors: ERR_BAD_FIELD.
 */
MUST_CHECK enum err_code identity_create(struct batch *batch,
    const struct role_set *set, const struct identity_request *request,
    struct identity **identity_out, struct secret **text_out, struct err *err);

/*
 * IDENTITY with what CHANGE says otherwise: its name, roles, ranges (NULL: as they
 * are), ttl, and lifetime from now on (0: as it is).  Kind, cluster, creator and
 * code stay.  The caller puts it into a batch.  Errors: ERR_BAD_FIELD.
 */
MUST_CHECK enum err_code identity_change(const struct role_set *set,
    const struct identity *identity, const struct identity_request *change,
    struct identity **changed_out, struct err *err);
/*
 * Draws a code that takes the place of the one before, used or not, and adds the
 * record to BATCH; certificates stay as they are.  CODE_TTL in seconds, 0: the
 * default.  Errors: ERR_POLICY for a bearer token; ERR_BAD_FIELD, ERR_CRYPTO.
 */
MUST_CHECK enum err_code identity_new_code(struct batch *batch,
    const struct identity *identity, int64_t code_ttl,
    struct identity **changed_out, struct secret **text_out, struct err *err);

/* Adds the record: a new one (revision 0) required absent, else a replacement
 * guarded by its revision. */
void identity_put(struct batch *batch, const struct identity *identity);
/* As identity_put, with the moment of now: its code used; revoked.  An enrolment
 * that came to nothing is taken back, so that the code is good again. */
void identity_enroll(struct batch *batch, const struct identity *identity);
void identity_unenroll(struct batch *batch, const struct identity *identity);
void identity_revoke(struct batch *batch, const struct identity *identity);
/* Is the code with this head of its hash the latest, and used? */
MUST_CHECK bool identity_spent(const struct identity *identity,
    const uint8_t code[static BEARER_ID_SIZE]);
/* A code that was not used is none any more.  Not yet in the store. */
void identity_forget_code(struct identity *identity);
/* Makes BATCH depend on the record's being as it was read. */
void identity_require(struct batch *batch, const struct identity *identity);

/* *identity_out is NULL when there is none.  Errors: ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code identity_find(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE], struct identity **identity_out,
    struct err *err);
/* Errors: ERR_NOT_FOUND, ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code identity_get(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE], struct identity **identity_out,
    struct err *err);

/* Why IDENTITY may do nothing now (static text); NULL: it may. */
const char *identity_fault(const struct identity *identity, int64_t now);
MUST_CHECK bool identity_is_from(
    const struct identity *identity, const struct ip *source);
/* "pending", "active", "expired" or "revoked". */
const char *identity_state(const struct identity *identity, int64_t now);
/* Gives CALLER its roles and its cluster; one that nobody knows any more gives
 * nothing. */
void identity_act(const struct identity *identity, const struct role_set *set,
    struct caller *caller);

/*
 * Finds the identity behind TEXT, an enrolment code or a bearer token as KIND
 * says, and checks that it is good now and used from an allowed address.  One
 * answer for every failure, whose real reason is in *why_out (static text) for
 * log and audit alone; *identity_out is then whose it was, where it was
 * somebody's.  A code that was used is returned: only a repeated request may
 * still be answered with it (identity->code_used).
 * Errors: ERR_UNAUTHENTICATED, ERR_STORE, ERR_CORRUPT, ERR_CRYPTO.
 */
MUST_CHECK enum err_code identity_check(struct store *store,
    enum bearer_kind kind, struct bytes text, const struct ip *source,
    struct identity **identity_out, const char **why_out, struct err *err);

/* A page of the identities after the id AFTER (NULL: from the start). */
MUST_CHECK enum err_code identity_list(struct store *store,
    const uint8_t *after, size_t limit, struct identity **identities,
    size_t *count_out, struct err *err);

#endif
