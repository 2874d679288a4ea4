// SPDX-License-Identifier: Apache-2.0
/*
 * Key-encryption keys: made in the token, kept outside as blobs wrapped by a
 * key of the token (RFC 3394), unwrapped by it into session objects that never
 * show their value.  Unwrapping costs more than an encryption, so that the most
 * recently used ones stay loaded.
 */
#ifndef HSM_KEK_H
#define HSM_KEK_H

#include "hsm/entropy.h"
#include "hsm/keyring.h"

/* 32 octets of AES-256 wrapped.  Only this length is taken: SoftHSM would
 * unwrap a key of 20 octets as AES and use it. */
#define KEK_BLOB_SIZE 40
#define KEK_GCM_IV 12
#define KEK_GCM_TAG 16
#define KEK_GCM_MAX 4096 /* octets of plaintext, and of AAD */
#define KEK_CACHE_DEFAULT 4096

struct kek_cache;

/* Keeps at most LIMIT keys loaded.  TOKEN and ENTROPY are borrowed. */
struct kek_cache *kek_cache_new(struct token *token, struct entropy *entropy,
    unsigned limit) __attribute__((returns_nonnull));
void kek_cache_free(struct kek_cache *cache);
DEFINE_CLEANUP(kek_cache, kek_cache_free)
unsigned kek_cache_count(const struct kek_cache *cache);

/* Makes a key and writes it, wrapped by ROOT, to BLOB; nothing of it stays. */
MUST_CHECK enum wire_status kek_new(struct kek_cache *cache, const struct key *root,
    uint8_t blob[static KEK_BLOB_SIZE], struct fault *fault);

/* The session object of BLOB.  Errors: WIRE_UNWRAP when ROOT did not wrap it.
 */
MUST_CHECK enum wire_status kek_load(struct kek_cache *cache, const struct key *root,
    struct bytes blob, CK_OBJECT_HANDLE *kek_out, struct fault *fault);

/* Appends IV || ciphertext || tag.  The IV is drawn here, never given. */
MUST_CHECK enum wire_status kek_seal(struct kek_cache *cache, CK_OBJECT_HANDLE kek,
    struct bytes aad, struct bytes plaintext, struct buf *sealed,
    struct fault *fault);
/* Appends the plaintext.  Errors: WIRE_UNWRAP for every cause in the data. */
MUST_CHECK enum wire_status kek_open(struct kek_cache *cache, CK_OBJECT_HANDLE kek,
    struct bytes aad, struct bytes sealed, struct buf *plaintext,
    struct fault *fault);

#endif
