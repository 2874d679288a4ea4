// SPDX-License-Identifier: Apache-2.0
/* Certificate requests built part by part, so that a test can make any one part
 * wrong and keep the signature right. */
#ifndef TESTS_UNIT_CA_CSR_H
#define TESTS_UNIT_CA_CSR_H

#include <openssl/evp.h>
#include "base/buf.h"

struct csr {
	uint8_t version;
	struct buf subject;	/* content of the Name */
	struct buf names;	/* content of subjectAltName's SEQUENCE */
	struct buf extensions;	/* further ones, whole */
	struct buf attributes;	/* further ones, whole */
	struct buf spki;	/* whole; empty: that of the key */
	struct buf algorithm;	/* whole; empty: what fits key and digest */
	EVP_PKEY *key;		/* owned */
	const char *digest;	/* "SHA256" */
	bool pss, spoil;	/* spoil: one bit of the signature is wrong */
	bool no_attributes;	/* leaves [0] out */
};
/* CN "db1.example.net" and the same as DNS name, P-256, SHA-256. */
struct csr *csr_new(void);
void csr_free(struct csr *csr);
void csr_write(const struct csr *csr, struct buf *der);

/* Appends an AttributeTypeAndValue as an RDN of its own.  OID: content octets. */
void csr_put_rdn(struct buf *subject, struct bytes oid, uint8_t string_tag,
    struct bytes value);
void csr_put_extension(struct buf *extensions, struct bytes oid,
    bool critical, struct bytes value);
/* Appends an AlgorithmIdentifier with PARAMETERS (whole, may be empty). */
void csr_put_algorithm(
    struct buf *out, struct bytes oid, struct bytes parameters);

/* Moves what OUT holds since START into an element of TAG. */
void csr_wrap(struct buf *out, size_t start, uint8_t tag);

#endif
