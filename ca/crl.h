// SPDX-License-Identifier: Apache-2.0
/*
 * Complete CRLs (RFC 5280 5), one per issuer that has a signer, kept fresh by one
 * publisher thread: rebuilt at most a second after a revocation, and before
 * they grow stale.  The number is the stored one plus one, in the same commit.
 */
#ifndef CA_CRL_H
#define CA_CRL_H

#include "ca/ca.h"

struct crl {
	char *issuer;
	uint64_t number;
	int64_t this_update, next_update;	/* seconds */
	uint64_t entries;
	uint8_t *der;
	size_t der_len;
	char *etag;		/* quoted SHA-256, for HTTP */
	uint64_t revision;
};
/* References are counted: crl_ref adds one, crl_free drops one. */
struct crl *crl_ref(struct crl *crl);
void crl_free(struct crl *crl);
DEFINE_CLEANUP(crl, crl_free)

struct crl_publisher;
/* Loads the published CRLs, makes those that are missing or stale as soon as the
 * token signs, and starts the thread.  CA is borrowed. */
MUST_CHECK enum err_code crl_publisher_open(
    struct ca *ca, struct crl_publisher **publisher_out, struct err *err);
void crl_publisher_close(struct crl_publisher *publisher);
DEFINE_CLEANUP(crl_publisher, crl_publisher_close)
/* The CRL as published, or NULL.  The caller drops the reference.  Never waits:
 * safe on an event thread. */
struct crl *crl_current(struct crl_publisher *publisher, const char *issuer);
/* Builds and publishes now.  Errors: as signing and the store. */
MUST_CHECK enum err_code crl_publish(struct crl_publisher *publisher,
    const char *issuer, struct crl **crl_out, struct err *err);
/* False when one is past its next update or was never made. */
bool crl_all_fresh(struct crl_publisher *publisher, int64_t now);

/* Used by the ceremony: builds and signs the first CRL of ISSUER from the
 * store's revocations and adds it to BATCH. */
MUST_CHECK enum err_code crl_build(struct store *store,
    const struct issuer *issuer, int64_t validity, struct batch *batch,
    struct crl **crl_out, struct err *err);

#endif
