// SPDX-License-Identifier: Apache-2.0
/*
 * The certificate authority of one running instance: issuing, renewing and
 * revoking, with the CRLs and OCSP answers that tell the world.
 */
#ifndef CA_CA_H
#define CA_CA_H

#include "base/config.h"
#include "ca/certificate.h"
#include "ca/issuer.h"
#include "ca/request.h"
#include "policies/policy.h"

struct ca;

/*
 * Loads the issuers, checks their keys in the token, and settles what a crash left:
 * each intent without a result becomes an unresolved certificate that counts as
 * revoked, and the token use or code it spent is given back.
 * STORE, HSM and CONFIG are borrowed and outlive the CA.  A token that is out
 * of reach is no error: signing waits until it is back.
 */
MUST_CHECK enum err_code ca_open(struct store *store, struct hsm *hsm,
    const struct config *config, struct ca **ca_out, struct err *err);
void ca_close(struct ca *ca);
DEFINE_CLEANUP(ca, ca_close)

/* The issuers now; the caller frees its reference. */
struct issuer_set *ca_issuers(struct ca *ca);
/* Loads the issuers again after a change committed by the caller. */
MUST_CHECK enum err_code ca_reload(struct ca *ca, struct err *err);

/* For the other files of ca/: what the CA was opened with, borrowed. */
struct store *ca_store(const struct ca *ca);
struct hsm *ca_hsm(const struct ca *ca);
const struct config *ca_config(const struct ca *ca);
/* The node that serials drawn here begin with. */
uint8_t ca_node(const struct ca *ca);

/*
 * Calls WATCH with the issuer of each revocation once it is committed, on the
 * thread that committed it, until ca_unwatch is called with the same ARG.  WATCH
 * must not wait, nor call back into these two.
 */
typedef void ca_watcher(const char *issuer, void *arg);
void ca_watch(struct ca *ca, ca_watcher *watch, void *arg);
void ca_unwatch(struct ca *ca, void *arg);

struct issue_order {
	const struct cluster *cluster;	/* NULL: a service certificate */
	const char *issuer;		/* issuer id */
	const char *profile;
	const char *policy;		/* NULL: Signet's own rule */
	const struct request *request;
	/* EKU_OCSP_SIGNING brings id-pkix-ocsp-nocheck with it. */
	const struct decision *decision;
	const char *requester;		/* caller id */
	const char *source;		/* address, for the audit log */
	const char *request_id;
	uint32_t roles;			/* ROLE_* of the certificate */
	const uint8_t *token_id;	/* token spent with the intent, or NULL; with
					 * IDENTITY the head of its code's hash */
	const uint8_t *identity;	/* that the certificate is of, or NULL */
};

/*
 * Looks for the certificate that the same request (cluster, profile, public
 * key, names as decided) got within the repeat window; *found_out is NULL when
 * there is none, or it is revoked or no longer valid.  While another thread is
 * issuing it, this waits for the outcome, so that a caller may loop: find, else
 * issue, and on ERR_CONFLICT find again.
 * Errors: ERR_DEADLINE when the outcome does not come; those of the store.
 */
MUST_CHECK enum err_code ca_find_repeat(struct ca *ca,
    const struct issue_order *order, struct certificate **found_out,
    struct err *err);

/*
 * Issues, in the order: TBS, intent committed, signature, verified, certificate
 * committed.  INTENT holds what the caller wants in the commit of the intent
 * (a token's use, the audit entry of its decision); it is empty from its commit
 * on, whatever comes of the signature, and as it was given or more before.
 * When signing fails the intent is closed, and the token's use or the code given
 * back, in one commit before the error is returned.  Where the token may have signed all the
 * same (ERR_DEADLINE, ERR_CORRUPT) the serial is kept as unresolved and revoked.
 * Errors: ERR_CONFLICT (the same request has been issued or is being issued, or a
 * precondition of INTENT failed: read again), ERR_NOT_FOUND for the issuer,
 * those of signing and of the store.  Safe from any thread; waits.
 */
MUST_CHECK enum err_code ca_issue(struct ca *ca, const struct issue_order *order,
    struct batch *intent, struct certificate **certificate_out,
    struct err *err);

/*
 * Deletes what no repeated request can ask for any more: looks at a page of the
 * table behind CURSOR (empty: from the start) and moves it on, to empty at the
 * end.  Called from time to time; waits.
 * Errors: ERR_CONFLICT when a request came again meanwhile; of the store.
 */
MUST_CHECK enum err_code ca_prune(
    struct ca *ca, struct buf *cursor, struct err *err);
/* In the same way what an identity's list of certificates holds of those that
 * ended more than a day ago. */
MUST_CHECK enum err_code ca_prune_identities(
    struct ca *ca, struct buf *cursor, struct err *err);

/* RFC 5280 5.3.1 by name ("keyCompromise", …); false: unknown or not to be
 * used ("removeFromCRL", "certificateHold" until it is supported). */
MUST_CHECK bool reason_parse(const char *name, uint8_t *reason_out);
const char *reason_name(uint8_t reason);

/*
 * Adds to BATCH the revocation of RECORD as read (guarded by its revision), so
 * that a caller can join several.  After the commit it calls ca_revoked().
 * Errors: ERR_CONFLICT when already revoked (the detail tells when); ERR_POLICY
 * when the issuer's key is not at hand, so that no CRL could tell (the root).
 */
MUST_CHECK enum err_code ca_revoke(struct ca *ca, struct batch *batch,
    const struct certificate *record, uint8_t reason, struct err *err);
/* A revocation of ISSUER has been committed: OCSP tells it from now on, the
 * CRL within a second. */
void ca_revoked(struct ca *ca, const char *issuer);

#endif
