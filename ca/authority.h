// SPDX-License-Identifier: Apache-2.0
/* The certificate of a CA of ours: the root by itself, others by their parent. */
#ifndef CA_AUTHORITY_H
#define CA_AUTHORITY_H

#include "ca/ca.h"

struct authority_order {
	const char *id;			/* issuer id */
	enum issuer_kind kind;
	const char *organization;
	const char *title;		/* begins the CN: "Issuing CA" */
	int64_t validity;		/* seconds; ends with the parent's */
	struct hsm *hsm;		/* holds its key */
	const char *key_uri;
	struct bytes spki;
	const struct issuer *parent;	/* with a signer; NULL: self-signed */
	const char *public_url;		/* base of CDP and AIA */
	uint8_t node;
	const char *requester;
};

/*
 * Signs the certificate and makes issuer and record from it, neither stored
 * yet.  The CN ends in eight digits of the key's id, so that no two CAs ever
 * share a name.  Any but the root has path length 0 and names CRL and
 * certificate of its parent; a root's OCSP does not exist, since its token may be
 * away.  The issuer comes with a signer, the root's too.
 * Errors: those of signing; ERR_INTERNAL.
 */
MUST_CHECK enum err_code authority_certify(
    const struct authority_order *order, struct issuer **issuer_out,
    struct certificate **record_out, struct err *err);

#endif
