// SPDX-License-Identifier: Apache-2.0
/* Attacks by wrapping and unwrapping. */
#include <openssl/crypto.h>
#include <string.h>

#include "hsm/attack.h"

#define BLOCK 16
#define HALF 8

static const struct lab_key wrapper = {.uses = HSM_ATTR_WRAP | HSM_ATTR_UNWRAP};
static const struct lab_key loose = {.extractable = true};
static const struct lab_key tight = {.extractable = false};

static bool make_two(struct lab *lab, const struct lab_key *first,
    const struct lab_key *second, CK_OBJECT_HANDLE keys[static 2])
{
	return lab_make(lab, first, &keys[0]) &&
	       lab_make(lab, second, &keys[1]);
}

/* A token that wraps nothing at all has not shown that it holds. */
static bool wraps_at_all(struct lab *lab)
{
	CK_OBJECT_HANDLE keys[2];

	return make_two(lab, &wrapper, &loose, keys) &&
	       lab_wraps(lab, keys[0], keys[1], NULL, NULL);
}

enum outcome attack_wrap_plain(struct trial *trial)
{
	struct lab *lab = trial->lab;
	CK_OBJECT_HANDLE keys[2];

	if (!wraps_at_all(lab) || !make_two(lab, &wrapper, &tight, keys))
		return OUTCOME_NONE;
	return lab_wraps(lab, keys[0], keys[1], NULL, NULL) ? OUTCOME_BROKE
							    : OUTCOME_HELD;
}

static enum outcome wrapped_by(
    struct trial *trial, CK_OBJECT_HANDLE by, const struct subject *subject)
{
	if (!lab_wraps(trial->lab, by, subject->key, NULL, NULL))
		return OUTCOME_HELD;
	trial_note(trial, "%s can be wrapped", subject->name);
	return OUTCOME_BROKE;
}

static enum outcome wrap_subject(
    struct trial *trial, const struct subject *subject)
{
	CK_OBJECT_HANDLE by;

	if (!lab_make(trial->lab, &wrapper, &by))
		return OUTCOME_NONE;
	return wrapped_by(trial, by, subject);
}

enum outcome attack_wrap_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(SIGN_RSA) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK),
	    true, wrap_subject);
}

/* One block through the key that wrapped; CBC with an IV of zero is the same.
 */
static bool decrypt_block(struct lab *lab, CK_OBJECT_HANDLE key,
    const uint8_t in[static BLOCK], uint8_t out[static BLOCK])
{
	static const CK_MECHANISM_TYPE ways[] = {CKM_AES_ECB, CKM_AES_CBC};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		uint8_t iv[BLOCK] = {0};
		uint8_t copy[BLOCK];
		CK_MECHANISM mechanism = {ways[i],
		    ways[i] == CKM_AES_CBC ? iv : NULL,
		    ways[i] == CKM_AES_CBC ? sizeof(iv) : 0};
		CK_ULONG len = BLOCK;
		CK_RV rv = lab->p11->C_DecryptInit(lab->work, &mechanism, key);

		if (rv != CKR_OK)
			continue;
		memcpy(copy, in, BLOCK);
		rv = lab->p11->C_Decrypt(lab->work, copy, BLOCK, out, &len);
		lab_end_operation(lab);
		if (rv == CKR_OK && len == BLOCK)
			return true;
	}
	return false;
}

/* RFC 3394 2.2.2 by hand.  Its check value shows that the key came out: that of
 * RFC 3394, or the first half of RFC 5649's. */
static bool unwrap_by_decrypting(
    struct lab *lab, CK_OBJECT_HANDLE key, struct buf *wrapped)
{
	static const uint8_t whole[HALF] = {
	    0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};
	static const uint8_t padded[4] = {0xa6, 0x59, 0x59, 0xa6};
	size_t n = wrapped->len / HALF - 1;
	uint8_t *r = wrapped->data;
	uint8_t block[BLOCK];

	if (wrapped->len % HALF != 0 || wrapped->len < 3 * HALF || n > 8)
		return false;
	for (size_t t = 6 * n; t > 0; t--) {
		uint8_t *half = r + HALF * ((t - 1) % n + 1);

		memcpy(block, r, HALF);
		block[HALF - 1] = (uint8_t)(block[HALF - 1] ^ t);
		memcpy(block + HALF, half, HALF);
		if (!decrypt_block(lab, key, block, block))
			return false;
		memcpy(r, block, HALF);
		memcpy(half, block + HALF, HALF);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return memcmp(r, whole, sizeof(whole)) == 0 ||
	       memcmp(r, padded, sizeof(padded)) == 0;
}

enum outcome attack_clulow_plain(struct trial *trial)
{
	const struct lab_key both = {.uses = HSM_ATTR_WRAP | HSM_ATTR_DECRYPT};
	struct lab *lab = trial->lab;
	CK_OBJECT_HANDLE keys[2];
	OWNED_BUF(wrapped);
	CK_MECHANISM_TYPE mechanism;

	if (!make_two(lab, &both, &loose, keys))
		return wraps_at_all(lab) ? OUTCOME_HELD : OUTCOME_NONE;
	if (!lab_wraps(lab, keys[0], keys[1], &wrapped, &mechanism))
		return OUTCOME_NONE;
	if (!attack_decrypts(lab, keys[0]))
		return OUTCOME_HELD;
	/* Wrapped by a mode of encryption: the same mode decrypts it. */
	if (mechanism != CKM_AES_KEY_WRAP && mechanism != CKM_AES_KEY_WRAP_PAD)
		return OUTCOME_BROKE;
	return unwrap_by_decrypting(lab, keys[0], &wrapped) ? OUTCOME_BROKE
							    : OUTCOME_HELD;
}

static enum outcome does_both(
    struct trial *trial, const struct subject *subject)
{
	CK_OBJECT_HANDLE target;

	if (!lab_make(trial->lab, &loose, &target))
		return OUTCOME_NONE;
	if (!lab_wraps(trial->lab, subject->key, target, NULL, NULL) ||
	    !attack_decrypts(trial->lab, subject->key))
		return OUTCOME_HELD;
	trial_note(trial, "%s wraps and decrypts", subject->name);
	return OUTCOME_BROKE;
}

enum outcome attack_clulow_ours(struct trial *trial)
{
	return trial_subjects(
	    trial, TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), true, does_both);
}

/* Unwraps as what can be read; true when it can. */
static bool unwraps_readable(struct lab *lab, CK_MECHANISM_TYPE type,
    CK_OBJECT_HANDLE by, struct buf *wrapped)
{
	CK_MECHANISM mechanism = {type, NULL, 0};
	struct template wanted = {.count = 0};
	CK_OBJECT_HANDLE key;

	for (size_t i = 0; i < lab_wrapping_count; i++)
		if (lab_wrappings[i].type == type)
			mechanism = lab_mechanism(&lab_wrappings[i]);
	template_number(&wanted, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&wanted, CKA_KEY_TYPE, CKK_AES);
	template_bool(&wanted, CKA_TOKEN, false);
	template_bool(&wanted, CKA_SENSITIVE, false);
	template_bool(&wanted, CKA_EXTRACTABLE, true);
	template_bytes(&wanted, CKA_LABEL, BYTES_STR(LAB_LABEL));
	return lab->p11->C_UnwrapKey(lab->home, &mechanism, by, wrapped->data,
		   wrapped->len, wanted.attributes, wanted.count,
		   &key) == CKR_OK &&
	       lab_reads(lab, key);
}

enum outcome attack_unwrap_plain(struct trial *trial)
{
	struct lab *lab = trial->lab;
	CK_OBJECT_HANDLE keys[2];
	CK_MECHANISM_TYPE mechanism;
	OWNED_BUF(wrapped);

	if (!make_two(lab, &wrapper, &loose, keys) ||
	    !lab_wraps(lab, keys[0], keys[1], &wrapped, &mechanism))
		return OUTCOME_NONE;
	return unwraps_readable(lab, mechanism, keys[0], &wrapped)
		   ? OUTCOME_BROKE
		   : OUTCOME_HELD;
}

/* A KEK as it would be made, wrapped by the key and unwrapped to be read. */
static enum outcome unwrap_subject(
    struct trial *trial, const struct subject *subject)
{
	struct lab *lab = trial->lab;
	CK_OBJECT_HANDLE kek;
	CK_MECHANISM_TYPE mechanism;
	OWNED_BUF(wrapped);

	if (subject->item != NULL &&
	    (subject->item->attributes & HSM_ATTR_UNWRAP) == 0)
		return OUTCOME_NONE;
	if (!lab_twin(lab, TWIN_KEK_NEW, &kek) ||
	    !lab_wraps(lab, subject->key, kek, &wrapped, &mechanism)) {
		trial_note(trial, "%s wraps nothing", subject->name);
		return OUTCOME_UNKNOWN;
	}
	if (!unwraps_readable(lab, mechanism, subject->key, &wrapped))
		return OUTCOME_HELD;
	trial_note(
	    trial, "what %s wrapped was unwrapped to be read", subject->name);
	return OUTCOME_BROKE;
}

enum outcome attack_unwrap_ours(struct trial *trial)
{
	return trial_subjects(trial, TWIN(WRAP), true, unwrap_subject);
}

static bool import_wrapper(struct lab *lab, CK_OBJECT_HANDLE *key_out)
{
	static const uint8_t known[32] = "known to whoever brings it in..";
	struct template brought = {.count = 0};

	lab_template(&brought, &wrapper);
	return lab_import(lab, &brought, known, key_out);
}

enum outcome attack_import_plain(struct trial *trial)
{
	CK_OBJECT_HANDLE by, key;

	if (!lab_make(trial->lab, &loose, &key) || !wraps_at_all(trial->lab))
		return OUTCOME_NONE;
	if (!import_wrapper(trial->lab, &by))
		return OUTCOME_HELD;
	return lab_wraps(trial->lab, by, key, NULL, NULL) ? OUTCOME_BROKE
							  : OUTCOME_HELD;
}

static enum outcome import_subject(
    struct trial *trial, const struct subject *subject)
{
	CK_OBJECT_HANDLE by;

	if (!import_wrapper(trial->lab, &by))
		return OUTCOME_HELD;
	return wrapped_by(trial, by, subject);
}

/* A KEK is extractable for as long as its making takes, in the worker's own
 * session, where no other program finds it: so it is not among these. */
enum outcome attack_import_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), true,
	    import_subject);
}

enum outcome attack_with_trusted_plain(struct trial *trial)
{
	const struct lab_key asking = {
	    .extractable = true, .with_trusted = true};
	CK_OBJECT_HANDLE keys[2];

	if (!wraps_at_all(trial->lab) ||
	    !make_two(trial->lab, &wrapper, &asking, keys))
		return OUTCOME_NONE;
	return lab_wraps(trial->lab, keys[0], keys[1], NULL, NULL)
		   ? OUTCOME_BROKE
		   : OUTCOME_HELD;
}
