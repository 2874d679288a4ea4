// SPDX-License-Identifier: Apache-2.0
/* Asking by OCSP as a relying party does: requests and answers by OpenSSL. */
#ifndef TESTS_UNIT_CA_ASK_H
#define TESTS_UNIT_CA_ASK_H

#include "tests/unit/ca/authority.h"

/* What is asked, beyond the serial. */
struct question {
	const char *issuer;
	bool sha256;		/* hash of the CertID; else SHA-1 */
	struct bytes nonce;	/* empty: none; as extnValue's OCTET STRING */
	const uint32_t *serials; /* by authority_serial */
	size_t count;
};
/* Appends the request for COUNT certificates. */
void ask(struct authority *authority, const struct question *question,
    struct buf *der);
/* Appends the request for one certificate by SHA-1, without a nonce. */
void ask_write(struct authority *authority, const char *issuer,
    struct bytes serial, struct buf *der);

/* An answer about the first certificate, its signature verified by the chain. */
struct answer {
	int result;		/* OCSPResponseStatus; the rest only when 0 */
	int status;		/* V_OCSP_CERTSTATUS_* */
	int reason;		/* -1: none */
	int64_t revoked, this_update, next_update; /* seconds */
	size_t count;		/* certificates answered about */
};
/* Asserts that DER is one response, whole, and when it is signed, that OpenSSL
 * verifies it for REQUEST up to the root (nonce included). */
struct answer answer_read(struct authority *authority, struct bytes request,
    struct bytes der);

#endif
