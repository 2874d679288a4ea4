// SPDX-License-Identifier: Apache-2.0
/*
 * Signing with a key in the token.  A signer is made once from a public key and
 * the URI of its private key, and holds all that a signature needs: algorithm
 * identifiers, fetched digests, a verified public key.
 *
 * Digest and verify contexts are made once and lent to one thread at a time:
 * a signature costs no fetch and no key set-up.
 */
#ifndef CA_SIGNER_H
#define CA_SIGNER_H

#include <openssl/evp.h>
#include "base/err.h"
#include "hsm/hsm.h"

struct signer;

/* SPKI: DER SubjectPublicKeyInfo.  EC P-256 signs with ECDSA-SHA256, P-384 with
 * ECDSA-SHA384, RSA with PKCS#1 v1.5 and SHA-256.
 * Errors: ERR_CRYPTO, ERR_HSM_KEY_UNSAFE for a key type not in the list. */
MUST_CHECK enum err_code signer_new(struct hsm *hsm, const char *uri,
    struct bytes spki, struct signer **signer_out, struct err *err);
void signer_free(struct signer *signer);
DEFINE_CLEANUP(signer, signer_free)

/* The AlgorithmIdentifier that goes inside the TBS, DER.  Borrowed. */
struct bytes signer_algorithm(const struct signer *signer);
/* Borrowed public key and SPKI. */
EVP_PKEY *signer_public_key(const struct signer *signer);
struct bytes signer_spki(const struct signer *signer);
/* SHA-1 of the key's BIT STRING content: SKI (RFC 5280 4.2.1.2 (1)) and OCSP
 * KeyHash (RFC 6960 4.1.1). */
const uint8_t *signer_key_id(const struct signer *signer);

/*
 * Signs exactly the octets TBS in the token, verifies the signature with the
 * public key, and appends SEQUENCE { tbs, algorithm, BIT STRING } to OUT; with
 * EXTRA (DER, may be empty) behind the signature, inside the sequence.
 * Errors: those of hsm_sign; ERR_CORRUPT when the token's signature does not
 * verify.  Safe from any thread.
 */
MUST_CHECK enum err_code signer_sign(struct signer *signer, struct bytes tbs,
    struct bytes extra, struct buf *out, struct err *err);
/* As signer_sign: appends the signature alone (of an EC key: DER
 * Ecdsa-Sig-Value). */
MUST_CHECK enum err_code signer_signature(struct signer *signer,
    struct bytes octets, struct buf *out, struct err *err);
/* As signer_sign for a TBS too long to copy: appends only what follows it,
 * algorithm and BIT STRING.  At most SIGNER_SEAL_MAX octets. */
#define SIGNER_SEAL_MAX 640
MUST_CHECK enum err_code signer_seal(struct signer *signer, struct bytes tbs,
    struct buf *out, struct err *err);

#endif
