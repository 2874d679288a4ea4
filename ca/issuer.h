// SPDX-License-Identifier: Apache-2.0
/* The CAs of this instance: their certificates, keys, and OCSP responders. */
#ifndef CA_ISSUER_H
#define CA_ISSUER_H

#include "ca/pem.h"
#include "ca/signer.h"
#include "store/store.h"

enum issuer_kind { ISSUER_ROOT = 1, ISSUER_ISSUING = 2, ISSUER_SERVICES = 3 };
enum issuer_state { ISSUER_ACTIVE = 1, ISSUER_CRL_ONLY = 2, ISSUER_RETIRED = 3 };

struct issuer {
	char *id;		/* a label: "root", "issuing-1", "services" */
	enum issuer_kind kind;
	enum issuer_state state;
	char *key_uri;
	char *parent;		/* issuer id; NULL: self-signed */
	int64_t not_before, not_after;
	uint8_t *der;		/* its certificate */
	size_t der_len;
	uint8_t fingerprint[32]; /* SHA-256 of der */
	/* The OCSP responder that it delegates to; NULL until made. */
	char *responder_uri;
	uint8_t *responder_spki;
	size_t responder_spki_len;
	uint8_t *responder_der;
	size_t responder_der_len;
	int64_t responder_not_after;
	uint64_t revision;

	/* Made when loaded, not recorded: */
	uint8_t *subject;	/* DER Name */
	size_t subject_len;
	uint8_t name_hash_sha1[20], name_hash_sha256[32]; /* OCSP CertID */
	uint8_t key_hash_sha1[20], key_hash_sha256[32];
	struct signer *signer;	/* NULL for the root: its token may be away */
	struct signer *responder;
};
void issuer_free(struct issuer *issuer);
DEFINE_CLEANUP(issuer, issuer_free)
/* Adds the record: a new one (revision 0) required absent, else a replacement
 * guarded by its revision. */
void issuer_put(struct batch *batch, const struct issuer *issuer);
/* Fills the members that are not recorded, from der and the URIs.  With HSM NULL
 * there are no signers.  Errors: ERR_CORRUPT, those of signer_new. */
MUST_CHECK enum err_code issuer_derive(
    struct issuer *issuer, struct hsm *hsm, struct err *err);

/* The issuers as loaded, immutable and shared; a change makes a new set.
 * issuer_set_ref adds a reference, issuer_set_free drops one. */
struct issuer_set;
MUST_CHECK enum err_code issuer_set_load(struct store *store, struct hsm *hsm,
    struct issuer_set **set_out, struct err *err);
struct issuer_set *issuer_set_ref(struct issuer_set *set);
void issuer_set_free(struct issuer_set *set);
DEFINE_CLEANUP(issuer_set, issuer_set_free)
size_t issuer_set_count(const struct issuer_set *set);
const struct issuer *issuer_set_at(const struct issuer_set *set, size_t index);
/* NULL when there is none. */
const struct issuer *issuer_set_find(
    const struct issuer_set *set, const char *id);
/* The active issuing CA that new clusters get; NULL when there is none. */
const struct issuer *issuer_set_default(const struct issuer_set *set);
/* Appends the chain of ISSUER as PEM, nearest first, without the root unless
 * WITH_ROOT. */
void issuer_chain_pem(const struct issuer_set *set,
    const struct issuer *issuer, bool with_root, struct buf *out);

#endif
