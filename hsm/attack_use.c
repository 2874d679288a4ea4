// SPDX-License-Identifier: Apache-2.0
/* Attacks by uses and mechanisms that a key should not have. */
#include <string.h>

#include "hsm/attack.h"

enum use { USE_SIGN, USE_WRAP, USE_ENCRYPT };

/* What a key of each kind should refuse. */
static const struct misuse {
	enum twin twin;
	enum use use;
	CK_MECHANISM_TYPE type;
	bool weak;
	CK_ULONG iv;
	const char *name;
} misuses[] = {
    {TWIN_SIGN_EC, USE_SIGN, CKM_ECDSA_SHA1, true, 0, "CKM_ECDSA_SHA1"},
    {TWIN_SIGN_EC, USE_SIGN, CKM_ECDSA_SHA256, false, 0, "CKM_ECDSA_SHA256"},
    {TWIN_SIGN_RSA, USE_SIGN, CKM_RSA_X_509, true, 0, "CKM_RSA_X_509"},
    {TWIN_SIGN_RSA, USE_SIGN, CKM_MD5_RSA_PKCS, true, 0, "CKM_MD5_RSA_PKCS"},
    {TWIN_SIGN_RSA, USE_SIGN, CKM_SHA1_RSA_PKCS, true, 0, "CKM_SHA1_RSA_PKCS"},
    {TWIN_SIGN_RSA, USE_SIGN, CKM_SHA256_RSA_PKCS, false, 0,
	"CKM_SHA256_RSA_PKCS"},
    {TWIN_MAC, USE_SIGN, CKM_MD5_HMAC, true, 0, "CKM_MD5_HMAC"},
    {TWIN_MAC, USE_SIGN, CKM_SHA_1_HMAC, true, 0, "CKM_SHA_1_HMAC"},
    {TWIN_MAC, USE_SIGN, CKM_SHA512_HMAC, false, 0, "CKM_SHA512_HMAC"},
    {TWIN_WRAP, USE_WRAP, CKM_AES_ECB, true, 0, "CKM_AES_ECB"},
    {TWIN_WRAP, USE_WRAP, CKM_AES_CBC, true, 16, "CKM_AES_CBC"},
    {TWIN_WRAP, USE_WRAP, CKM_AES_CBC_PAD, true, 16, "CKM_AES_CBC_PAD"},
    {TWIN_WRAP, USE_WRAP, CKM_AES_KEY_WRAP_PAD, false, 0,
	"CKM_AES_KEY_WRAP_PAD"},
    {TWIN_KEK, USE_ENCRYPT, CKM_AES_ECB, true, 0, "CKM_AES_ECB"},
    {TWIN_KEK, USE_ENCRYPT, CKM_AES_CBC, true, 16, "CKM_AES_CBC"},
    {TWIN_KEK, USE_ENCRYPT, CKM_AES_CBC_PAD, true, 16, "CKM_AES_CBC_PAD"},
};

static uint8_t zero_iv[16];

static bool uses(
    struct lab *lab, CK_OBJECT_HANDLE key, const struct misuse *misuse)
{
	const struct lab_key loose = {.extractable = true};
	CK_MECHANISM mechanism = {
	    misuse->type, misuse->iv > 0 ? zero_iv : NULL, misuse->iv};
	uint8_t wrapped[LAB_WRAPPED_MAX];
	CK_ULONG len = sizeof(wrapped);
	CK_OBJECT_HANDLE target;
	CK_RV rv = CKR_FUNCTION_FAILED;

	switch (misuse->use) {
	case USE_SIGN:
		rv = lab->p11->C_SignInit(lab->work, &mechanism, key);
		break;
	case USE_ENCRYPT:
		rv = lab->p11->C_EncryptInit(lab->work, &mechanism, key);
		break;
	case USE_WRAP:
		if (lab_make(lab, &loose, &target))
			rv = lab->p11->C_WrapKey(
			    lab->work, &mechanism, key, target, wrapped, &len);
		break;
	}
	lab_end_operation(lab);
	return rv == CKR_OK;
}

static enum outcome misuse(
    struct trial *trial, const struct subject *subject, bool weak)
{
	enum outcome worst = OUTCOME_HELD;

	for (size_t i = 0; i < ARRAY_LEN(misuses); i++) {
		if (misuses[i].twin != subject->twin ||
		    misuses[i].weak != weak ||
		    !uses(trial->lab, subject->key, &misuses[i]))
			continue;
		trial_note(
		    trial, "%s takes %s", subject->name, misuses[i].name);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

static enum outcome misuse_weak(
    struct trial *trial, const struct subject *subject)
{
	return misuse(trial, subject, true);
}

static enum outcome misuse_other(
    struct trial *trial, const struct subject *subject)
{
	return misuse(trial, subject, false);
}

#define MISUSED                                                                \
	(TWIN(SIGN_EC) | TWIN(SIGN_RSA) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK))

enum outcome attack_list_plain(struct trial *trial)
{
	static const struct misuse ways[] = {
	    {TWIN_COUNT, USE_ENCRYPT, CKM_AES_ECB, true, 0, "CKM_AES_ECB"},
	    {TWIN_COUNT, USE_ENCRYPT, CKM_AES_CBC, true, 16, "CKM_AES_CBC"},
	};
	const struct lab_key listed = {
	    .uses = HSM_ATTR_ENCRYPT, .allowed = CKM_AES_GCM};
	CK_OBJECT_HANDLE key;

	if (!lab_make(trial->lab, &listed, &key))
		return OUTCOME_NONE;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (uses(trial->lab, key, &ways[i])) {
			trial_note(
			    trial, "a key for GCM takes %s", ways[i].name);
			return OUTCOME_BROKE;
		}
	return OUTCOME_HELD;
}

enum outcome attack_list_ours(struct trial *trial)
{
	return trial_subjects(trial, MISUSED, false, misuse_other);
}

enum outcome attack_weak_plain(struct trial *trial)
{
	static const struct {
		CK_MECHANISM_TYPE type;
		CK_FLAGS flags;
		const char *what;
	} weak[] = {
	    {CKM_DES_ECB, CKF_ENCRYPT, "DES"},
	    {CKM_DES3_CBC, CKF_ENCRYPT, "triple DES"},
	    {CKM_RC2_CBC, CKF_ENCRYPT, "RC2"},
	    {CKM_RC4, CKF_ENCRYPT, "RC4"},
	    {CKM_MD5_RSA_PKCS, CKF_SIGN, "RSA with MD5"},
	    {CKM_SHA1_RSA_PKCS, CKF_SIGN, "RSA with SHA-1"},
	    {CKM_RSA_X_509, CKF_SIGN, "raw RSA"},
	    {CKM_MD5_HMAC, CKF_SIGN, "HMAC with MD5"},
	    {CKM_AES_ECB, CKF_WRAP, "wrapping by AES-ECB"},
	    {CKM_AES_CBC, CKF_WRAP, "wrapping by AES-CBC"},
	    {CKM_DES3_ECB, CKF_WRAP, "wrapping by triple DES"},
	};
	enum outcome worst = OUTCOME_HELD;

	for (size_t i = 0; i < ARRAY_LEN(weak); i++) {
		if (!lab_offers(trial->lab, weak[i].type, weak[i].flags))
			continue;
		trial_note(trial, "%s", weak[i].what);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

enum outcome attack_weak_ours(struct trial *trial)
{
	return trial_subjects(trial, MISUSED, false, misuse_weak);
}

bool attack_decrypts(struct lab *lab, CK_OBJECT_HANDLE key)
{
	CK_GCM_PARAMS gcm = {zero_iv, 12, 96, NULL, 0, 128};
	CK_MECHANISM ways[] = {
	    {CKM_AES_ECB, NULL, 0},
	    {CKM_AES_CBC, zero_iv, sizeof(zero_iv)},
	    {CKM_AES_CBC_PAD, zero_iv, sizeof(zero_iv)},
	    {CKM_AES_GCM, &gcm, sizeof(gcm)},
	};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		CK_RV rv = lab->p11->C_DecryptInit(lab->work, &ways[i], key);

		lab_end_operation(lab);
		if (rv == CKR_OK)
			return true;
	}
	return false;
}

static bool make_rsa(struct lab *lab, CK_OBJECT_HANDLE pair[static 2])
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
	struct template public = {.count = 0};
	struct template private = {.count = 0};

	template_bool(&public, CKA_TOKEN, false);
	template_bool(&public, CKA_ENCRYPT, true);
	template_number(&public, CKA_MODULUS_BITS, 2048);
	template_bytes(&public, CKA_LABEL, BYTES_STR(LAB_LABEL));
	template_bool(&private, CKA_TOKEN, false);
	template_bool(&private, CKA_PRIVATE, true);
	template_bool(&private, CKA_SENSITIVE, true);
	template_bool(&private, CKA_EXTRACTABLE, false);
	template_bool(&private, CKA_DECRYPT, true);
	template_bool(&private, CKA_UNWRAP, true);
	template_bytes(&private, CKA_LABEL, BYTES_STR(LAB_LABEL));
	return lab->p11->C_GenerateKeyPair(lab->home, &mechanism,
		   public.attributes, public.count, private.attributes,
		   private.count, &pair[0], &pair[1]) == CKR_OK;
}

/* Unwraps IN; the value says whether the token looked into it. */
static CK_RV unwrap_pkcs1(
    struct lab *lab, CK_OBJECT_HANDLE key, uint8_t *in, CK_ULONG len)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	const struct lab_key loose = {.extractable = true};
	struct template wanted = {.count = 0};
	CK_OBJECT_HANDLE made;

	lab_template(&wanted, &loose);
	template_number(&wanted, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&wanted, CKA_KEY_TYPE, CKK_AES);
	return lab->p11->C_UnwrapKey(lab->home, &mechanism, key, in, len,
	    wanted.attributes, wanted.count, &made);
}

static bool decrypts_pkcs1(struct lab *lab, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	CK_RV rv = lab->p11->C_DecryptInit(lab->work, &mechanism, key);

	lab_end_operation(lab);
	return rv == CKR_OK;
}

enum outcome attack_pkcs1_plain(struct trial *trial)
{
	struct lab *lab = trial->lab;
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	uint8_t value[32] = {1};
	uint8_t wrapped[256];
	CK_ULONG len = sizeof(wrapped);
	CK_OBJECT_HANDLE pair[2];
	bool encrypted;

	if (!make_rsa(lab, pair))
		return OUTCOME_NONE;
	encrypted =
	    lab->p11->C_EncryptInit(lab->work, &mechanism, pair[0]) == CKR_OK &&
	    lab->p11->C_Encrypt(
		lab->work, value, sizeof(value), wrapped, &len) == CKR_OK;
	lab_end_operation(lab);
	if (encrypted && unwrap_pkcs1(lab, pair[1], wrapped, len) == CKR_OK) {
		trial_note(trial, "it unwraps");
		return OUTCOME_BROKE;
	}
	if (!decrypts_pkcs1(lab, pair[1]))
		return OUTCOME_HELD;
	trial_note(trial, "it decrypts");
	return OUTCOME_BROKE;
}

static enum outcome pkcs1_subject(
    struct trial *trial, const struct subject *subject)
{
	uint8_t nonsense[256] = {0, 2, 7};
	CK_RV rv;

	if (subject->item != NULL && (subject->item->class != CKO_PRIVATE_KEY ||
					 subject->item->key_type != CKK_RSA))
		return OUTCOME_NONE;
	rv = unwrap_pkcs1(trial->lab, subject->key, nonsense, sizeof(nonsense));
	if (rv != CKR_OK && rv != CKR_WRAPPED_KEY_INVALID &&
	    rv != CKR_WRAPPED_KEY_LEN_RANGE &&
	    rv != CKR_ENCRYPTED_DATA_INVALID &&
	    rv != CKR_ENCRYPTED_DATA_LEN_RANGE &&
	    !decrypts_pkcs1(trial->lab, subject->key))
		return OUTCOME_HELD;
	trial_note(trial, "%s decrypts", subject->name);
	return OUTCOME_BROKE;
}

enum outcome attack_pkcs1_ours(struct trial *trial)
{
	return trial_subjects(trial, TWIN(SIGN_RSA), true, pkcs1_subject);
}

static uint8_t known_data[32] = {0x5a};

/* Derives what can be read from KEY; *short_out: one octet of it, which can be
 * found by trying. */
static bool derive(struct lab *lab, CK_OBJECT_HANDLE base,
    CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE *key_out)
{
	CK_KEY_DERIVATION_STRING_DATA data = {known_data, sizeof(known_data)};
	CK_ULONG first_bit = 0;
	CK_MECHANISM mechanism = {type, &data, sizeof(data)};
	struct template wanted = {.count = 0};
	CK_OBJECT_HANDLE other = base;

	if (type == CKM_EXTRACT_KEY_FROM_KEY)
		mechanism = (CK_MECHANISM){type, &first_bit, sizeof(first_bit)};
	if (type == CKM_CONCATENATE_BASE_AND_KEY)
		mechanism = (CK_MECHANISM){type, &other, sizeof(other)};
	template_number(&wanted, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&wanted, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&wanted, CKA_TOKEN, false);
	template_bool(&wanted, CKA_SENSITIVE, false);
	template_bool(&wanted, CKA_EXTRACTABLE, true);
	template_bytes(&wanted, CKA_LABEL, BYTES_STR(LAB_LABEL));
	if (type == CKM_EXTRACT_KEY_FROM_KEY)
		template_number(&wanted, CKA_VALUE_LEN, 1);
	return lab->p11->C_DeriveKey(lab->home, &mechanism, base,
		   wanted.attributes, wanted.count, key_out) == CKR_OK;
}

static const struct {
	CK_MECHANISM_TYPE type;
	const char *name;
} derivations[] = {
    {CKM_CONCATENATE_BASE_AND_DATA, "CKM_CONCATENATE_BASE_AND_DATA"},
    {CKM_CONCATENATE_DATA_AND_BASE, "CKM_CONCATENATE_DATA_AND_BASE"},
    {CKM_CONCATENATE_BASE_AND_KEY, "CKM_CONCATENATE_BASE_AND_KEY"},
    {CKM_XOR_BASE_AND_DATA, "CKM_XOR_BASE_AND_DATA"},
    {CKM_EXTRACT_KEY_FROM_KEY, "CKM_EXTRACT_KEY_FROM_KEY"},
};

enum outcome attack_derive_plain(struct trial *trial)
{
	const struct lab_key deriving = {.uses = HSM_ATTR_DERIVE};
	struct lab *lab = trial->lab;
	enum outcome worst = OUTCOME_NONE;
	CK_OBJECT_HANDLE base, made;

	if (!lab_make(lab, &deriving, &base))
		return OUTCOME_NONE;
	for (size_t i = 0; i < ARRAY_LEN(derivations); i++) {
		if (!lab_offers(lab, derivations[i].type, CKF_DERIVE))
			continue;
		worst = outcome_worse(worst, OUTCOME_HELD);
		if (!derive(lab, base, derivations[i].type, &made) ||
		    (derivations[i].type != CKM_EXTRACT_KEY_FROM_KEY &&
			!lab_reads(lab, made)))
			continue;
		trial_note(trial, "%s", derivations[i].name);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

static enum outcome derive_subject(
    struct trial *trial, const struct subject *subject)
{
	CK_OBJECT_HANDLE made;

	for (size_t i = 0; i < ARRAY_LEN(derivations); i++) {
		if (!lab_offers(trial->lab, derivations[i].type, CKF_DERIVE) ||
		    !derive(
			trial->lab, subject->key, derivations[i].type, &made))
			continue;
		trial_note(trial, "%s derives by %s", subject->name,
		    derivations[i].name);
		return OUTCOME_BROKE;
	}
	return OUTCOME_HELD;
}

enum outcome attack_derive_ours(struct trial *trial)
{
	return trial_subjects(
	    trial, TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), true, derive_subject);
}
