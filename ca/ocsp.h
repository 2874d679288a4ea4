// SPDX-License-Identifier: Apache-2.0
/*
 * OCSP (RFC 6960; RFC 5019 profile for caches).  The store decides each answer;
 * signed responses are cached and used only while the store still says the
 * same.
 */
#ifndef CA_OCSP_H
#define CA_OCSP_H

#include "ca/ca.h"

#define OCSP_REQUEST_MAX 4096	/* octets of DER */
#define OCSP_ITEMS_MAX 16	/* certificates in one request */

struct ocsp;
MUST_CHECK enum err_code ocsp_open(
    struct ca *ca, struct ocsp **ocsp_out, struct err *err);
void ocsp_close(struct ocsp *ocsp);
DEFINE_CLEANUP(ocsp, ocsp_close)

/* An immutable response; references are counted. */
struct ocsp_response {
	uint8_t *der;
	size_t der_len;
	bool cacheable;		/* one certificate, no nonce, known */
	int64_t this_update, next_update; /* seconds; 0 for an error response */
	char etag[72];		/* quoted; empty when not cacheable */
};
struct ocsp_response *ocsp_response_ref(struct ocsp_response *response);
void ocsp_response_free(struct ocsp_response *response);
DEFINE_CLEANUP(ocsp_response, ocsp_response_free)

/*
 * Answers from the cache, checking the store; NULL when a signature is needed.
 * Takes microseconds and never waits: for event threads.
 */
struct ocsp_response *ocsp_cached(struct ocsp *ocsp, struct bytes request);
/*
 * Answers, signing where needed.  Malformed, unauthorized and internal error
 * are responses too (unsigned, RFC 6960 4.2.1), so this fails never: while the
 * token is out of reach it is tryLater.  Waits.
 */
struct ocsp_response *ocsp_answer(struct ocsp *ocsp, struct bytes request);

/* Makes responder keys and certificates where they are missing or near their
 * end.  Called at start and from time to time; waits. */
MUST_CHECK enum err_code ocsp_renew_responders(
    struct ocsp *ocsp, struct err *err);

struct ocsp_stats {
	uint64_t hits, signed_responses, unknown;
	uint64_t entries;
};
void ocsp_stats(struct ocsp *ocsp, struct ocsp_stats *stats_out);

#endif
