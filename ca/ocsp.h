// SPDX-License-Identifier: Apache-2.0
/*
 * OCSP (RFC 6960; RFC 5019 profile for caches).  The store decides each answer;
 * signed responses are cached and used only while the store still says the
 * same.
 */
#ifndef CA_OCSP_H
#define CA_OCSP_H

#include <stdatomic.h>

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

	/* For ca/ocsp*.c alone: */
	struct serial serial;	/* when cacheable: of the certificate, */
	uint64_t revision;	/* and its record when this was signed */
	atomic_int_fast64_t claimed_until; /* monotonic ms: until then somebody
					    * signs its successor */
	atomic_uint refs;
};
struct ocsp_response *ocsp_response_ref(struct ocsp_response *response);
void ocsp_response_free(struct ocsp_response *response);
DEFINE_CLEANUP(ocsp_response, ocsp_response_free)

/*
 * Answers from the cache while the certificate's record is the one that was
 * signed about; NULL when a signature is needed.  Past half of its validity one
 * caller is told so, and the others are served while it has a new one signed.
 * Takes microseconds and never waits: for event threads.
 */
struct ocsp_response *ocsp_cached(struct ocsp *ocsp, struct bytes request);
/*
 * Answers, signing where needed.  Malformed, unauthorized and internal error
 * are responses too (unsigned, RFC 6960 4.2.1), so this fails never: while the
 * token is out of reach it is what the cache has that is still valid, or
 * tryLater.  The certificates of one request have one issuer; unauthorized
 * else.  "Unknown" is never cached: the serial may be issued later.  Waits.
 */
struct ocsp_response *ocsp_answer(struct ocsp *ocsp, struct bytes request);

/* Makes responder keys and certificates where they are missing or near their
 * end.  Called at start and from time to time; waits. */
MUST_CHECK enum err_code ocsp_renew_responders(
    struct ocsp *ocsp, struct err *err);

struct ocsp_stats {
	uint64_t hits;			/* answered from the cache */
	uint64_t signed_responses;
	uint64_t unknown;		/* serials never issued; an alarm */
	uint64_t entries;		/* in the cache */
};
void ocsp_stats(struct ocsp *ocsp, struct ocsp_stats *stats_out);

#endif
