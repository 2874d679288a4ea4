// SPDX-License-Identifier: Apache-2.0
/* The record of a certificate, and of the intent to sign one. */
#ifndef CA_CERTIFICATE_H
#define CA_CERTIFICATE_H

#include "policies/identity.h"
#include "policies/names.h"
#include "policies/token.h"
#include "store/store.h"

struct serial {
	uint8_t octets[SERIAL_MAX];
	size_t len;
};
/*
 * 18 octets: NODE (0x01-0x7f), five octets of seconds, twelve random ones: always
 * positive, unpredictable (96 bits), and near each other when made near each
 * other.
 */
MUST_CHECK enum err_code serial_draw(
    uint8_t node, int64_t now, struct serial *serial_out, struct err *err);
struct bytes serial_bytes(const struct serial *serial);
/* The second at which it was drawn; false unless it is of that form. */
MUST_CHECK bool serial_time(const struct serial *serial, int64_t *seconds_out);
/* Lower-case hex, malloc'd; parse accepts colons and either case. */
char *serial_format(const struct serial *serial);
MUST_CHECK bool serial_parse(const char *text, struct serial *serial_out);
/* False unless there are 1 to 20 octets. */
MUST_CHECK bool serial_read(struct bytes octets, struct serial *serial_out);

enum certificate_state {
	CERTIFICATE_VALID = 1,
	CERTIFICATE_REVOKED = 2,
	CERTIFICATE_UNRESOLVED = 3,	/* intent whose result never came; counts
					 * as revoked; no DER */
};

struct certificate {
	struct serial serial;
	enum certificate_state state;
	char *issuer;			/* issuer id */
	char *cluster;			/* NULL: not a cluster's */
	char *profile;
	char *policy;			/* NULL: decided by Signet itself */
	char *requester;		/* caller id, "token:…", "serial:…" */
	uint32_t roles;			/* ROLE_*: what it authenticates as */
	int64_t not_before, not_after, created; /* seconds */
	int64_t renew_after;		/* seconds; about 2/3 of its life */
	int64_t revoked;		/* seconds; 0: not */
	uint8_t reason;			/* RFC 5280 5.3.1 */
	uint8_t spki_hash[32];
	uint8_t tbs_hash[32];		/* SHA-256 of what was signed */
	uint8_t token_id[TOKEN_ID_SIZE]; /* zero: no token was spent; with an
					 * identity the head of its code's hash */
	uint8_t identity[IDENTITY_ID_SIZE]; /* that it is of; zero: of none, or of
					 * one from before they were recorded */
	struct names *names;
	uint8_t *der;			/* NULL: no signature known */
	size_t der_len;
	uint64_t revision;
};
void certificate_free(struct certificate *certificate);
DEFINE_CLEANUP(certificate, certificate_free)

/* *certificate_out is NULL when there is none.  Errors: ERR_STORE,
 * ERR_CORRUPT. */
MUST_CHECK enum err_code certificate_find(struct store *store,
    const struct serial *serial, struct certificate **certificate_out,
    struct err *err);
/* Errors: ERR_NOT_FOUND, ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code certificate_get(struct store *store,
    const struct serial *serial, struct certificate **certificate_out,
    struct err *err);

/*
 * Finds by the exact octets of a presented certificate; valid now, not revoked,
 * with a role: those of CAs, servers and responders are nobody's identity.
 * The one way in which a TLS peer becomes somebody.
 * Errors: ERR_UNAUTHENTICATED with one text for every reason; *why_out (static)
 * is for log and audit.
 */
MUST_CHECK enum err_code certificate_authenticate(struct store *store,
    struct bytes der, int64_t now, struct certificate **certificate_out,
    const char **why_out, struct err *err);

/* The same of a RECORD that was found before, for as long as its row stands; NULL
 * is accepted by nobody.  Errors: ERR_UNAUTHENTICATED, as there. */
MUST_CHECK enum err_code certificate_check(const struct certificate *record,
    struct bytes der, int64_t now, const char **why_out, struct err *err);

/*
 * RECORD is known by the audit log alone: it was issued after the backup from
 * which the store was restored.  It has its status and can be revoked, and there
 * is no DER, so that it authenticates nobody and is not renewed.
 */
MUST_CHECK bool certificate_is_told(const struct certificate *record);

/* The identity that RECORD is a certificate of; false: of none. */
MUST_CHECK bool certificate_identity(const struct certificate *record,
    uint8_t id_out[static IDENTITY_ID_SIZE]);
/* What RECORD is to authorize(). */
struct object certificate_object(const struct certificate *record);

/*
 * As certificate_get, among those of CLUSTER alone: what is another's takes the
 * same path as what does not exist.
 */
MUST_CHECK enum err_code certificate_get_of(struct store *store,
    const char *cluster, const struct serial *serial,
    struct certificate **certificate_out, struct err *err);

/* When the certificate of an index row ends; false: ROW is none. */
MUST_CHECK bool certificate_index_end(
    struct bytes row, int64_t *not_after_out);

#define IDENTITY_CERTIFICATES_MAX 32
/* The certificates of an identity that are valid now, oldest first, at most MAX
 * and IDENTITY_CERTIFICATES_MAX; those of before they were recorded excepted.
 * Errors: ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code certificate_list_identity(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE],
    struct certificate **certificates, size_t max, size_t *count_out,
    struct err *err);

struct certificate_query {
	const char *cluster;		/* NULL: all */
	const char *name;		/* exact CN or SAN; NULL: any */
	int state;			/* enum certificate_state; 0: any */
	bool expired;			/* state means "expired" */
	int64_t expires_before;		/* seconds; 0: any */
	struct bytes after;		/* cursor; empty: from the start */
	size_t limit;			/* at most 1,000 */
};
/* A page; *cursor receives where the next begins, empty at the end.  Looks at
 * no more than 10,000 records a call, so a page may be short. */
MUST_CHECK enum err_code certificate_list(struct store *store,
    const struct certificate_query *query, struct certificate **certificates,
    size_t *count_out, struct buf *cursor, struct err *err);

/*
 * Adds the record and its indexes: a new one (revision 0) required absent, else
 * a replacement guarded by its revision.  A record that is not valid also gets
 * its row in REVOKED, so a revocation is a change of the record and this call.
 */
void certificate_put(struct batch *batch, const struct certificate *record);

/* Makes BATCH depend on RECORD's being as it was read: not revoked since. */
void certificate_require(
    struct batch *batch, const struct certificate *record);

/* A row of REVOKED: what a CRL entry and an OCSP answer need.  Key: issuer
 * id|serial; ISSUER is a text part. */
struct revocation {
	struct serial serial;
	int64_t revoked, not_after;	/* seconds */
	uint8_t reason;			/* RFC 5280 5.3.1 */
};
/* False for a row that is malformed.  ISSUER_LEN is the length of the text part
 * with its zero octet. */
MUST_CHECK bool revocation_read(struct bytes key, size_t issuer_len,
    struct bytes value, struct revocation *row_out);
/*
 * Intents.  intent_put requires the serial absent among intents and
 * certificates; intent_delete requires the intent still there, so that of two
 * that settle it (its issuer, a start after a crash) one is refused.
 */
void intent_put(struct batch *batch, const struct certificate *intent);
void intent_delete(struct batch *batch, const struct serial *serial);
MUST_CHECK enum err_code intent_find(struct store *store,
    const struct serial *serial, struct certificate **intent_out,
    struct err *err);

/*
 * The record of SERIAL as it is stored, format version first, and back.
 * certificate_read is total: ERR_CORRUPT for any octets that certificate_write
 * does not write.  Version 2 is version 1 with an identity.
 */
void certificate_write(const struct certificate *record, struct buf *out);
MUST_CHECK enum err_code certificate_read(const struct serial *serial,
    struct bytes value, struct certificate **record_out, struct err *err);

#endif
