// SPDX-License-Identifier: Apache-2.0
/*
 * Complete CRLs (RFC 5280 5), one per issuer that has a signer, kept fresh by one
 * publisher thread: rebuilt at most a second after a revocation, and before
 * they grow stale.  The number is the stored one plus one, in the same commit.
 */
#ifndef CA_CRL_H
#define CA_CRL_H

#include <stdatomic.h>

#include "ca/ca.h"

struct crl {
	char *issuer;
	uint64_t number;
	int64_t this_update, next_update;	/* seconds */
	uint64_t entries;
	const uint8_t *der;	/* stands inside row */
	size_t der_len;
	char *etag;		/* quoted SHA-256, for HTTP */
	uint64_t revision;	/* of its row in CRLS */

	/* For crl.c alone: */
	struct buf row;		/* the record as stored, with the DER at its end */
	atomic_uint refs;
};
/* Immutable; references are counted: crl_ref adds one, crl_free drops one. */
struct crl *crl_ref(struct crl *crl);
void crl_free(struct crl *crl);
DEFINE_CLEANUP(crl, crl_free)

/*
 * Builds and signs the next CRL of ISSUER (with a signer) from the store's
 * revocations and adds it to BATCH, guarded by the revision of the one before,
 * with an audit entry.  LAST is the one before, or NULL to read it.  A
 * thisUpdate never lies before the last one, whatever the clock says.
 *
 * An entry leaves the list when an earlier CRL, issued an hour or more after its
 * certificate had expired and after it was revoked, has shown it (RFC 5280
 * 3.3: not before it appears on one CRL issued beyond the validity period).
 *
 * The table is read in pages, so a revocation that is committed meanwhile may or
 * may not be listed; whoever publishes asks again after it.  Memory: the CRL
 * once, and once more in BATCH.
 * Errors: ERR_CORRUPT for a malformed row; those of signing and of the store.
 */
MUST_CHECK enum err_code crl_build(struct store *store,
    const struct issuer *issuer, int64_t validity, const struct crl *last,
    struct batch *batch, struct crl **crl_out, struct err *err);
/*
 * Takes the stored CRL of ISSUER out, and has the next one numbered above NUMBER
 * (at most CRL_NUMBER_MAX) and above the one that was stored, and not dated
 * before either.  For a restored store: what was published after the backup is
 * not known, and a list that may lack revocations is no longer given out.
 * Errors: ERR_BAD_FIELD for the number; ERR_STORE, ERR_CORRUPT.
 */
#define CRL_NUMBER_MAX (UINT64_C(1) << 62)
struct crl_floor {
	uint64_t number;
	int64_t this_update;	/* seconds */
};
MUST_CHECK enum err_code crl_lift(struct store *store, const char *issuer,
    const struct crl_floor *floor, struct batch *batch, struct err *err);
/* The number of the stored CRL of ISSUER, or above which the next one will be; 0
 * when there was none.  Errors: ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code crl_number(struct store *store, const char *issuer,
    uint64_t *number_out, struct err *err);
/* Reads the record ROW, which it takes over.  Errors: ERR_CORRUPT, ERR_CRYPTO. */
MUST_CHECK enum err_code crl_read(const char *issuer, struct buf *row,
    struct crl **crl_out, struct err *err);
/* The CRL of ISSUER as stored; NULL when there is none. */
MUST_CHECK enum err_code crl_find(struct store *store, const char *issuer,
    struct crl **crl_out, struct err *err);

struct crl_publisher;
/* Loads the published CRLs, makes all anew as soon as the token signs (a stop
 * may have come between a revocation and its CRL), and starts the thread.  CA
 * is borrowed and outlives the publisher. */
MUST_CHECK enum err_code crl_publisher_open(
    struct ca *ca, struct crl_publisher **publisher_out, struct err *err);
void crl_publisher_close(struct crl_publisher *publisher);
DEFINE_CLEANUP(crl_publisher, crl_publisher_close)
/* The CRL as published, or NULL.  The caller drops the reference.  Never waits:
 * safe on an event thread. */
struct crl *crl_current(struct crl_publisher *publisher, const char *issuer);
/* Builds and publishes now.  Errors: ERR_NOT_FOUND for the issuer; ERR_CONFLICT
 * when its key is not at hand (the root); as signing and the store. */
MUST_CHECK enum err_code crl_publish(struct crl_publisher *publisher,
    const char *issuer, struct crl **crl_out, struct err *err);
/* Waits until every revocation told before is on a published CRL of ISSUER;
 * false when that has not come about after TIMEOUT_MS. */
MUST_CHECK bool crl_settle(struct crl_publisher *publisher, const char *issuer,
    int64_t timeout_ms);
/* False when one is past its next update or was never made.  Those of retired
 * issuers do not count. */
bool crl_all_fresh(struct crl_publisher *publisher, int64_t now);

#endif
