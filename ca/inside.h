// SPDX-License-Identifier: Apache-2.0
/* What ca.c, issue.c, reconcile.c and ceremony.c share, and nobody else. */
#ifndef CA_INSIDE_H
#define CA_INSIDE_H

#include "ca/ca.h"

/* Format of the rows of CERTS_BY_REQUEST: this octet, and a serial. */
#define REPEAT_VERSION 1

/* How many issuances of this process have ended, either way. */
uint64_t ca_outcomes(struct ca *ca);
/* Sleeps until one more than SEEN has ended, or MS have passed. */
void ca_wait_for_outcome(struct ca *ca, uint64_t seen, int64_t ms);
/* An issuance has ended, either way. */
void ca_tell_outcome(struct ca *ca);

/*
 * Adds to BATCH that INTENT has come to nothing: its end, what it spent given
 * back and an audit entry with REASON; with KEEP also the serial, unresolved and
 * revoked, since a signature may exist.
 */
MUST_CHECK enum err_code settle_intent(struct store *store,
    struct batch *batch, const struct certificate *intent, bool keep,
    const char *reason, struct err *err);

/* Settles every intent of NODE; *settled_out counts them.  Needs no token. */
MUST_CHECK enum err_code reconcile(struct store *store, uint8_t node,
    uint64_t *settled_out, struct err *err);

/* Signs TBS for RECORD and fills its DER. */
MUST_CHECK enum err_code issue_sign(struct signer *signer, struct bytes tbs,
    struct certificate *record, struct err *err);
/* When to renew: 2/3 of the life that is left at CREATED, moved by up to 3 % of
 * it by the serial, so that what was issued together is not renewed together.
 * Time that the certificate is dated back is no life. */
int64_t issue_renew_after(const struct serial *serial, int64_t created,
    int64_t not_after);
/* What the audit log tells of a certificate, malloc'd: ca/replay.c reads it. */
char *issue_terms(const struct certificate *record);
/* Adds the audit entry of an issued certificate. */
void issue_audit(struct batch *batch, const struct certificate *record,
    const char *source, const char *rule, const char *request_id);

#endif
