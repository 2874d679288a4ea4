// SPDX-License-Identifier: Apache-2.0
/* Writing OCSP responses (RFC 6960 4.2.1). */
#ifndef CA_OCSP_REPLY_H
#define CA_OCSP_REPLY_H

#include "ca/issuer.h"
#include "ca/ocsp_request.h"

/* OCSPResponseStatus */
enum ocsp_result {
	OCSP_SUCCESSFUL = 0,
	OCSP_MALFORMED_REQUEST = 1,
	OCSP_INTERNAL_ERROR = 2,
	OCSP_TRY_LATER = 3,
	OCSP_UNAUTHORIZED = 6,
};

/* What the store says of one certificate. */
struct ocsp_status {
	enum { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN } kind;
	int64_t revoked;	/* seconds */
	uint8_t reason;
	uint64_t revision;	/* of its record; 0: there is none */
};

struct ocsp_reply {
	const struct ocsp_request *request;
	const struct ocsp_status *statuses; /* one for each item */
	const struct issuer *issuer;	/* with a usable responder */
	int64_t this_update, next_update; /* seconds */
};

/* Appends an unsigned response that tells RESULT alone. */
void ocsp_reply_write_error(enum ocsp_result result, struct buf *out);
/* Appends the response signed by the issuer's responder, whose certificate goes
 * along.  Errors: as signer_sign. */
MUST_CHECK enum err_code ocsp_reply_sign(
    const struct ocsp_reply *reply, struct buf *out, struct err *err);

#endif
