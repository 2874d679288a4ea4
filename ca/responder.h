// SPDX-License-Identifier: Apache-2.0
/*
 * OCSP responders: for each issuer a key in the token (P-256, label
 * signet-ISSUER-ocsp as in the ceremony) and a certificate by that issuer that lets
 * it sign OCSP answers and nothing else (RFC 6960 4.2.2.2: id-kp-OCSPSigning,
 * id-pkix-ocsp-nocheck).
 */
#ifndef CA_RESPONDER_H
#define CA_RESPONDER_H

#include "ca/ca.h"

#define RESPONDER_PROFILE "ocsp-responder"
#define RESPONDER_VALIDITY (90 * 86400)	/* seconds; renewed at 2/3 */

/* ISSUER signs, and has no responder or one whose certificate is past 2/3 of
 * its life. */
bool responder_is_due(const struct issuer *issuer, int64_t now);
/* ISSUER's responder can sign answers that are valid at NOW. */
bool responder_is_usable(const struct issuer *issuer, int64_t now);

/*
 * Gives ISSUER a responder certificate; makes and records the key first when
 * there is none, keeps it otherwise.  The certificate goes through ca_issue as
 * any other, with profile RESPONDER_PROFILE and no cluster.  Reloads the
 * issuers at the end.
 * Errors: ERR_NOT_FOUND; ERR_CONFLICT when another thread changed the issuer;
 * those of ca_issue and hsm_generate_pair.  Waits.
 */
MUST_CHECK enum err_code responder_renew(
    struct ca *ca, const char *issuer, struct err *err);

#endif
