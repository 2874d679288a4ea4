// SPDX-License-Identifier: Apache-2.0
#include "hsm/kek.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* By handle of the wrapping key and blob: a blob is never used under a key that
 * did not unwrap it. */
struct kek_name {
	CK_OBJECT_HANDLE root;
	uint8_t blob[KEK_BLOB_SIZE];
};

struct kek {
	struct kek_name name;
	CK_OBJECT_HANDLE handle;
	UT_hash_handle hh;
};

/* keks is in order of use, the longest unused first; its handles are good while
 * epoch is the token's. */
struct kek_cache {
	struct token *token;
	struct entropy *entropy;
	struct kek *keks;
	unsigned limit;
	uint64_t epoch;
};

struct kek_cache *kek_cache_new(
    struct token *token, struct entropy *entropy, unsigned limit)
{
	struct kek_cache *cache = mem_zalloc(sizeof(*cache));

	cache->token = token;
	cache->entropy = entropy;
	cache->limit = limit > 0 ? limit : 1;
	cache->epoch = token_epoch(token);
	return cache;
}

static void drop(struct kek_cache *cache, struct kek *kek)
{
	HASH_DEL(cache->keks, kek);
	if (cache->epoch == token_epoch(cache->token))
		(void)token_functions(cache->token)
		    ->C_DestroyObject(token_owner(cache->token), kek->handle);
	free(kek);
}

static void forget_all(struct kek_cache *cache)
{
	struct kek *kek;
	struct kek *next;

	HASH_ITER (hh, cache->keks, kek, next)
		drop(cache, kek);
}

void kek_cache_free(struct kek_cache *cache)
{
	if (cache == NULL)
		return;
	forget_all(cache);
	free(cache);
}

unsigned kek_cache_count(const struct kek_cache *cache)
{
	return HASH_COUNT(cache->keks);
}

static void follow_epoch(struct kek_cache *cache)
{
	if (cache->epoch == token_epoch(cache->token))
		return;
	forget_all(cache);
	cache->epoch = token_epoch(cache->token);
}

static CK_MECHANISM key_wrap(struct kek_cache *cache)
{
	return (CK_MECHANISM){token_quirks(cache->token)->key_wrap, NULL, 0};
}

static enum wire_status wrap(struct kek_cache *cache, const struct key *root,
    CK_OBJECT_HANDLE kek, uint8_t blob[static KEK_BLOB_SIZE],
    struct fault *fault)
{
	CK_MECHANISM mechanism = key_wrap(cache);
	CK_ULONG len = KEK_BLOB_SIZE;
	CK_RV rv = token_functions(cache->token)
		       ->C_WrapKey(token_session(cache->token), &mechanism,
			   root->handle, kek, blob, &len);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_WrapKey", rv);
	if (len != KEK_BLOB_SIZE)
		return fault_set(fault, WIRE_REFUSED,
		    "C_WrapKey gave %lu octets, not %d", len, KEK_BLOB_SIZE);
	return WIRE_OK;
}

enum wire_status kek_new(struct kek_cache *cache, const struct key *root,
    uint8_t blob[static KEK_BLOB_SIZE], struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(cache->token);
	CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
	struct template template = {.count = 0};
	CK_OBJECT_HANDLE kek = 0;
	enum wire_status status;
	CK_RV rv;

	template_kek_new(&template, token_quirks(cache->token));
	rv = p11->C_GenerateKey(token_session(cache->token), &mechanism,
	    template.attributes, template.count, &kek);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_GenerateKey", rv);
	status = wrap(cache, root, kek, blob, fault);
	/* It is extractable as long as it lives. */
	rv = p11->C_DestroyObject(token_session(cache->token), kek);
	if (status == WIRE_OK && rv != CKR_OK)
		return fault_ckr(fault, "C_DestroyObject", rv);
	return status;
}

/* Whether RV of a decryption or unwrapping means that the data do not fit.
 * CKR_GENERAL_ERROR does on SoftHSM, but a broken session says so too. */
static bool data_refused(struct kek_cache *cache, CK_RV rv)
{
	if (ckr_trouble(rv) == TROUBLE_CALLER)
		return true;
	if (rv != CKR_GENERAL_ERROR && rv != CKR_FUNCTION_FAILED)
		return false;
	return token_quirks(cache->token)->general_error_is_bad_tag &&
	       token_renew(cache->token) && token_healthy(cache->token);
}

static enum wire_status refuse_data(struct kek_cache *cache,
    const char *function, CK_RV rv, struct fault *fault)
{
	enum wire_status status = fault_ckr(fault, function, rv);

	if (data_refused(cache, rv)) {
		/* The token had a part in it: the session is to be renewed. */
		fault->trouble = TROUBLE_CALLER;
		status = fault->status = WIRE_UNWRAP;
	}
	return status;
}

static enum wire_status unwrap(struct kek_cache *cache, const struct key *root,
    struct kek *kek, struct fault *fault)
{
	CK_MECHANISM mechanism = key_wrap(cache);
	struct template template = {.count = 0};
	CK_RV rv;

	template_kek_loaded(&template, token_quirks(cache->token));
	rv = token_functions(cache->token)
		 ->C_UnwrapKey(token_owner(cache->token), &mechanism,
		     root->handle, kek->name.blob, KEK_BLOB_SIZE,
		     template.attributes, template.count, &kek->handle);
	if (rv != CKR_OK)
		return refuse_data(cache, "C_UnwrapKey", rv, fault);
	return WIRE_OK;
}

/* Moves a key to the end that is dropped last. */
static void mark_used(struct kek_cache *cache, struct kek *kek)
{
	HASH_DEL(cache->keks, kek);
	HASH_ADD(hh, cache->keks, name, sizeof(kek->name), kek);
}

enum wire_status kek_load(struct kek_cache *cache, const struct key *root,
    struct bytes blob, CK_OBJECT_HANDLE *kek_out, struct fault *fault)
{
	struct kek_name name = {.root = root->handle};
	struct kek *kek = NULL;
	enum wire_status status;

	if (blob.len != KEK_BLOB_SIZE)
		return fault_set(
		    fault, WIRE_UNWRAP, "KEK of %zu octets", blob.len);
	follow_epoch(cache);
	memcpy(name.blob, blob.data, KEK_BLOB_SIZE);
	HASH_FIND(hh, cache->keks, &name, sizeof(name), kek);
	if (kek != NULL) {
		if (kek->hh.next != NULL)
			mark_used(cache, kek);
		*kek_out = kek->handle;
		return WIRE_OK;
	}
	if (kek_cache_count(cache) >= cache->limit)
		drop(cache, cache->keks);
	kek = mem_zalloc(sizeof(*kek));
	kek->name = name;
	status = unwrap(cache, root, kek, fault);
	if (status != WIRE_OK) {
		free(kek);
		return status;
	}
	HASH_ADD(hh, cache->keks, name, sizeof(kek->name), kek);
	*kek_out = kek->handle;
	return WIRE_OK;
}

struct gcm {
	CK_GCM_PARAMS params;
	struct { /* PKCS#11 2.30, before ulIvBits */
		CK_BYTE_PTR iv;
		CK_ULONG iv_len;
		CK_BYTE_PTR aad;
		CK_ULONG aad_len;
		CK_ULONG tag_bits;
	} short_params;
	CK_MECHANISM mechanism;
	uint8_t iv[KEK_GCM_IV];
	uint8_t nothing[1];
};

/* For octets that PKCS#11 takes as writable and only reads. */
static CK_BYTE_PTR unconst(struct gcm *gcm, struct bytes bytes)
{
	union {
		const uint8_t *read;
		CK_BYTE_PTR write;
	} data = {.read = bytes.data};

	/* SoftHSM refuses NULL even for no octets. */
	return bytes.len > 0 ? data.write : gcm->nothing;
}

static void gcm_prepare(
    struct gcm *gcm, const struct quirks *quirks, struct bytes aad)
{
	gcm->params = (CK_GCM_PARAMS){gcm->iv, KEK_GCM_IV, KEK_GCM_IV * 8,
	    unconst(gcm, aad), aad.len, KEK_GCM_TAG * 8};
	gcm->mechanism =
	    (CK_MECHANISM){CKM_AES_GCM, &gcm->params, sizeof(gcm->params)};
	if (!quirks->gcm_short_params)
		return;
	gcm->short_params.iv = gcm->iv;
	gcm->short_params.iv_len = KEK_GCM_IV;
	gcm->short_params.aad = unconst(gcm, aad);
	gcm->short_params.aad_len = aad.len;
	gcm->short_params.tag_bits = KEK_GCM_TAG * 8;
	gcm->mechanism.pParameter = &gcm->short_params;
	gcm->mechanism.ulParameterLen = sizeof(gcm->short_params);
}

static enum wire_status encrypt(struct kek_cache *cache, struct gcm *gcm,
    CK_OBJECT_HANDLE kek, struct bytes plaintext, struct buf *sealed,
    struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(cache->token);
	CK_SESSION_HANDLE session = token_session(cache->token);
	const size_t mark = sealed->len;
	CK_ULONG len = plaintext.len + KEK_GCM_TAG;
	uint8_t *out;
	CK_RV rv = p11->C_EncryptInit(session, &gcm->mechanism, kek);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_EncryptInit", rv);
	out = buf_extend(sealed, KEK_GCM_IV + len);
	rv = p11->C_Encrypt(session, unconst(gcm, plaintext), plaintext.len,
	    out + KEK_GCM_IV, &len);
	if (rv != CKR_OK || len != plaintext.len + KEK_GCM_TAG) {
		sealed->len = mark;
		if (rv != CKR_OK)
			return fault_ckr(fault, "C_Encrypt", rv);
		return fault_set(fault, WIRE_REFUSED,
		    "C_Encrypt gave %lu octets for %zu", len, plaintext.len);
	}
	/* Now, because some tokens write it only here. */
	memcpy(out, gcm->iv, KEK_GCM_IV);
	return WIRE_OK;
}

enum wire_status kek_seal(struct kek_cache *cache, CK_OBJECT_HANDLE kek,
    struct bytes aad, struct bytes plaintext, struct buf *sealed,
    struct fault *fault)
{
	static const uint8_t zero[KEK_GCM_IV];
	const struct quirks *quirks = token_quirks(cache->token);
	struct gcm gcm = {.nothing = {0}};
	const size_t mark = sealed->len;
	enum wire_status status = WIRE_OK;

	if (aad.len > KEK_GCM_MAX || plaintext.len > KEK_GCM_MAX)
		return fault_set(fault, WIRE_BAD_REQUEST,
		    "plaintext or AAD over %d octets", KEK_GCM_MAX);
	gcm_prepare(&gcm, quirks, aad);
	if (!quirks->gcm_iv_by_token)
		status =
		    entropy_draw(cache->entropy, gcm.iv, sizeof(gcm.iv), fault);
	if (status == WIRE_OK)
		status = encrypt(cache, &gcm, kek, plaintext, sealed, fault);
	if (status == WIRE_OK && memcmp(gcm.iv, zero, sizeof(zero)) == 0) {
		sealed->len = mark;
		return fault_set(
		    fault, WIRE_REFUSED, "the token left the IV zero");
	}
	return status;
}

enum wire_status kek_open(struct kek_cache *cache, CK_OBJECT_HANDLE kek,
    struct bytes aad, struct bytes sealed, struct buf *plaintext,
    struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(cache->token);
	CK_SESSION_HANDLE session = token_session(cache->token);
	struct gcm gcm = {.nothing = {0}};
	const size_t mark = plaintext->len;
	const size_t head = KEK_GCM_IV + KEK_GCM_TAG;
	CK_ULONG len;
	struct bytes body;
	uint8_t *out;
	CK_RV rv;

	if (sealed.len < head || sealed.len > head + KEK_GCM_MAX ||
	    aad.len > KEK_GCM_MAX)
		return fault_set(fault, WIRE_UNWRAP, "length");
	memcpy(gcm.iv, sealed.data, KEK_GCM_IV);
	body = BYTES(sealed.data + KEK_GCM_IV, sealed.len - KEK_GCM_IV);
	gcm_prepare(&gcm, token_quirks(cache->token), aad);
	rv = p11->C_DecryptInit(session, &gcm.mechanism, kek);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_DecryptInit", rv);
	/* SoftHSM wants room for ciphertext and tag. */
	len = body.len;
	out = buf_extend(plaintext, body.len);
	rv = p11->C_Decrypt(session, unconst(&gcm, body), body.len, out, &len);
	if (rv == CKR_OK && len == body.len - KEK_GCM_TAG) {
		plaintext->len = mark + len;
		return WIRE_OK;
	}
	OPENSSL_cleanse(out, body.len);
	plaintext->len = mark;
	if (rv != CKR_OK)
		return refuse_data(cache, "C_Decrypt", rv, fault);
	return fault_set(fault, WIRE_REFUSED, "C_Decrypt gave %lu octets", len);
}
