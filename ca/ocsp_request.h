// SPDX-License-Identifier: Apache-2.0
/* An OCSP request (RFC 6960 4.1.1), taken apart without a copy. */
#ifndef CA_OCSP_REQUEST_H
#define CA_OCSP_REQUEST_H

#include "ca/certificate.h"
#include "ca/ocsp.h"

#define OCSP_NONCE_MAX 32	/* octets, RFC 8954 2.1 */

enum ocsp_hash { OCSP_HASH_SHA1, OCSP_HASH_SHA256, OCSP_HASH_OTHER };

/* One certificate asked for.  Views borrow from the request. */
struct ocsp_item {
	struct bytes cert_id;	/* DER CertID, to be repeated in the answer */
	enum ocsp_hash hash;
	struct bytes issuer_name_hash, issuer_key_hash;
	struct serial serial;
};

struct ocsp_request {
	struct ocsp_item items[OCSP_ITEMS_MAX];
	size_t count;		/* at least 1 */
	struct bytes nonce;	/* empty: none was sent */
};

/*
 * Reads one request of at most OCSP_REQUEST_MAX octets, strict DER, nothing
 * behind it.  A requestor's name and signature are not looked at.  False (to be
 * answered malformedRequest) also for a version other than v1, more than
 * OCSP_ITEMS_MAX items, a serial longer than RFC 5280 4.1.2.2 allows, a critical
 * extension that is not known, and a nonce that is not of 1 to 32 octets.
 */
MUST_CHECK bool ocsp_request_read(
    struct bytes der, struct ocsp_request *request_out);

#endif
