// SPDX-License-Identifier: Apache-2.0
/* The to-be-signed part of a certificate (RFC 5280 4.1), built once. */
#ifndef CA_TBS_H
#define CA_TBS_H

#include "ca/certificate.h"
#include "ca/issuer.h"
#include "policies/policy.h"

struct tbs_spec {
	struct bytes serial;
	struct bytes algorithm;		/* of the signature, DER */
	struct bytes issuer_name;	/* DER Name */
	struct bytes issuer_key_id;	/* AKI; empty for a self-signed root */
	struct bytes subject_spki;	/* DER */
	const char *organization;	/* O of the subject; NULL: none */
	const struct names *names;	/* CN and SANs */
	int64_t not_before, not_after;	/* seconds, inclusive */
	uint32_t key_usage;		/* USAGE_*, critical */
	uint32_t ext_usage;		/* EKU_*; 0: no extension */
	bool is_ca;			/* basicConstraints critical */
	int path_len;			/* -1: none */
	bool ocsp_nocheck;		/* RFC 6960 4.2.2.2.1 */
	const char *crl_url;		/* CDP; NULL: none */
	const char *ocsp_url;		/* AIA; NULL: none */
	const char *issuer_url;		/* AIA caIssuers; NULL: none */
};
/* Appends the Name that tbs_write gives a subject: O, then CN, each a UTF8String
 * and where not NULL. */
void tbs_write_name(
    const char *organization, const char *common_name, struct buf *out);

/* Appends the DER.  SAN is critical exactly when the subject is empty
 * (RFC 5280 4.2.1.6).  Errors: ERR_CRYPTO, ERR_INTERNAL for a spec that breaks
 * RFC 5280. */
MUST_CHECK enum err_code tbs_write(
    const struct tbs_spec *spec, struct buf *out, struct err *err);

#endif
