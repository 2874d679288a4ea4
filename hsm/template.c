// SPDX-License-Identifier: Apache-2.0
#include "hsm/template.h"

#include <stdlib.h>

#define KEK_SIZE 32

static CK_ATTRIBUTE *add(struct template *template, CK_ATTRIBUTE_TYPE type)
{
	if (template->count == TEMPLATE_MAX)
		abort();
	template->yes = 1;
	template->no = 0;
	template->attributes[template->count].type = type;
	return &template->attributes[template->count++];
}

void template_bool(struct template *template, CK_ATTRIBUTE_TYPE type, bool on)
{
	CK_ATTRIBUTE *attribute = add(template, type);

	attribute->pValue = on ? &template->yes : &template->no;
	attribute->ulValueLen = sizeof(template->yes);
}

void template_number(
    struct template *template, CK_ATTRIBUTE_TYPE type, CK_ULONG number)
{
	CK_ATTRIBUTE *attribute = add(template, type);
	CK_ULONG *value = &template->numbers[template->count - 1];

	*value = number;
	attribute->pValue = value;
	attribute->ulValueLen = sizeof(*value);
}

void template_bytes(
    struct template *template, CK_ATTRIBUTE_TYPE type, struct bytes bytes)
{
	CK_ATTRIBUTE *attribute = add(template, type);
	union {
		const void *read;
		void *value; /* PKCS#11 has one struct for both ways */
	} data = {.read = bytes.data};

	attribute->pValue = data.value;
	attribute->ulValueLen = bytes.len;
}

void template_mechanism(
    struct template *template, CK_MECHANISM_TYPE mechanism)
{
	CK_ATTRIBUTE *attribute = add(template, CKA_ALLOWED_MECHANISMS);

	template->mechanisms[0] = mechanism;
	attribute->pValue = template->mechanisms;
	attribute->ulValueLen = sizeof(mechanism);
}

void template_for_session(struct template *template)
{
	template->no = 0;
	for (CK_ULONG i = 0; i < template->count; i++)
		if (template->attributes[i].type == CKA_TOKEN)
			template->attributes[i].pValue = &template->no;
}

static void add_name(
    struct template *template, const struct template_name *name)
{
	template_bytes(template, CKA_ID, name->id);
	template_bytes(template, CKA_LABEL, name->label);
}

static void allow(struct template *template, const struct quirks *quirks,
    CK_MECHANISM_TYPE first, CK_MECHANISM_TYPE second)
{
	CK_ULONG count = second == first ? 1 : 2;
	CK_ATTRIBUTE *attribute;

	if (!quirks->allowed_mechanisms)
		return;
	template->mechanisms[0] = first;
	template->mechanisms[1] = second;
	attribute = add(template, CKA_ALLOWED_MECHANISMS);
	attribute->pValue = template->mechanisms;
	attribute->ulValueLen = count * sizeof(first);
}

/* What has been decided last: SoftHSM refuses every attribute that follows
 * CKA_MODIFIABLE=false when it unwraps. */
static void seal_attributes(
    struct template *template, const struct quirks *quirks, bool copyable)
{
	if (quirks->copyable)
		template_bool(template, CKA_COPYABLE, copyable);
	template_bool(template, CKA_MODIFIABLE, false);
}

static bool is_rsa(enum hsm_key_type type)
{
	switch (type) {
	case HSM_EC_P256:
	case HSM_EC_P384:
		return false;
	case HSM_RSA_2048:
	case HSM_RSA_3072:
	case HSM_RSA_4096:
		return true;
	}
	abort();
}

static CK_ULONG rsa_bits(enum hsm_key_type type)
{
	switch (type) {
	case HSM_RSA_2048:
		return 2048;
	case HSM_RSA_3072:
		return 3072;
	case HSM_RSA_4096:
		return 4096;
	case HSM_EC_P256:
	case HSM_EC_P384:
		break;
	}
	abort();
}

struct bytes template_curve(enum hsm_key_type type)
{
	/* prime256v1 1.2.840.10045.3.1.7, secp384r1 1.3.132.0.34 */
	static const uint8_t p256[] = {
	    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	static const uint8_t p384[] = {
	    0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};

	switch (type) {
	case HSM_EC_P256:
		return BYTES_OF(p256);
	case HSM_EC_P384:
		return BYTES_OF(p384);
	case HSM_RSA_2048:
	case HSM_RSA_3072:
	case HSM_RSA_4096:
		break;
	}
	return BYTES(NULL, 0);
}

void template_private(struct template *template, enum hsm_key_type type,
    const struct template_name *name, const struct quirks *quirks)
{
	template_bool(template, CKA_TOKEN, true);
	template_bool(template, CKA_PRIVATE, true);
	template_bool(template, CKA_SENSITIVE, true);
	template_bool(template, CKA_EXTRACTABLE, false);
	template_bool(template, CKA_SIGN, true);
	template_bool(template, CKA_SIGN_RECOVER, false);
	template_bool(template, CKA_DECRYPT, false);
	template_bool(template, CKA_UNWRAP, false);
	template_bool(template, CKA_DERIVE, false);
	add_name(template, name);
	if (is_rsa(type))
		allow(template, quirks, CKM_RSA_PKCS, CKM_RSA_PKCS_PSS);
	else
		allow(template, quirks, CKM_ECDSA, CKM_ECDSA);
	seal_attributes(template, quirks, true);
}

void template_public(struct template *template, enum hsm_key_type type,
    const struct template_name *name, const struct quirks *quirks)
{
	static const uint8_t f4[] = {0x01, 0x00, 0x01};

	template_bool(template, CKA_TOKEN, true);
	template_bool(template, CKA_PRIVATE, false);
	template_bool(template, CKA_VERIFY, true);
	template_bool(template, CKA_VERIFY_RECOVER, false);
	template_bool(template, CKA_ENCRYPT, false);
	template_bool(template, CKA_WRAP, false);
	template_bool(template, CKA_DERIVE, false);
	if (is_rsa(type)) {
		template_number(template, CKA_MODULUS_BITS, rsa_bits(type));
		template_bytes(template, CKA_PUBLIC_EXPONENT, BYTES_OF(f4));
	} else {
		template_bytes(template, CKA_EC_PARAMS, template_curve(type));
	}
	add_name(template, name);
	seal_attributes(template, quirks, true);
}

/* What every secret key has in common but its uses. */
static void secret_common(struct template *template, bool token)
{
	template_bool(template, CKA_TOKEN, token);
	template_bool(template, CKA_PRIVATE, true);
	template_bool(template, CKA_SENSITIVE, true);
}

enum use {
	USE_NONE = 0,
	USE_CRYPT = 1,
	USE_WRAP = 2,
	USE_SIGN = 4,
};

static void secret_uses(struct template *template, enum use use)
{
	template_bool(template, CKA_ENCRYPT, use == USE_CRYPT);
	template_bool(template, CKA_DECRYPT, use == USE_CRYPT);
	template_bool(template, CKA_WRAP, use == USE_WRAP);
	template_bool(template, CKA_UNWRAP, use == USE_WRAP);
	template_bool(template, CKA_SIGN, use == USE_SIGN);
	template_bool(template, CKA_VERIFY, use == USE_SIGN);
	template_bool(template, CKA_DERIVE, false);
}

/* What it unwraps can never be read again, whatever the caller states. */
static void limit_unwrapping(struct template *template)
{
	CK_ATTRIBUTE *attribute = add(template, CKA_UNWRAP_TEMPLATE);

	template->nested[0] = (CK_ATTRIBUTE){
	    CKA_SENSITIVE, &template->yes, sizeof(template->yes)};
	template->nested[1] = (CK_ATTRIBUTE){
	    CKA_EXTRACTABLE, &template->no, sizeof(template->no)};
	attribute->pValue = template->nested;
	attribute->ulValueLen = sizeof(template->nested);
}

void template_secret(struct template *template, enum hsm_secret_use use,
    const struct template_name *name, const struct quirks *quirks)
{
	bool wraps = use == HSM_USE_WRAP;

	secret_common(template, true);
	template_bool(template, CKA_EXTRACTABLE, false);
	template_number(template, CKA_VALUE_LEN, KEK_SIZE);
	secret_uses(template, wraps ? USE_WRAP : USE_SIGN);
	add_name(template, name);
	if (wraps)
		allow(template, quirks, quirks->key_wrap, quirks->key_wrap);
	else
		allow(template, quirks, CKM_SHA256_HMAC, CKM_SHA256_HMAC);
	if (wraps && quirks->unwrap_template)
		limit_unwrapping(template);
	seal_attributes(template, quirks, !wraps);
}

void template_kek_new(struct template *template, const struct quirks *quirks)
{
	secret_common(template, false);
	template_bool(template, CKA_EXTRACTABLE, true);
	template_number(template, CKA_VALUE_LEN, KEK_SIZE);
	secret_uses(template, USE_NONE);
	seal_attributes(template, quirks, false);
}

void template_kek_loaded(struct template *template, const struct quirks *quirks)
{
	template_number(template, CKA_CLASS, CKO_SECRET_KEY);
	template_number(template, CKA_KEY_TYPE, CKK_AES);
	secret_common(template, false);
	template_bool(template, CKA_EXTRACTABLE, false);
	secret_uses(template, USE_CRYPT);
	allow(template, quirks, CKM_AES_GCM, CKM_AES_GCM);
	seal_attributes(template, quirks, false);
}
