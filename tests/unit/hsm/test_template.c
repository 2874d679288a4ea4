// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "hsm/template.h"

static const struct template_name name = {
    {(const uint8_t *)"id", 2}, {(const uint8_t *)"label", 5}};

static const CK_ATTRIBUTE *attribute(
    const struct template *template, CK_ATTRIBUTE_TYPE type)
{
	const CK_ATTRIBUTE *found = NULL;

	for (CK_ULONG i = 0; i < template->count; i++)
		if (template->attributes[i].type == type) {
			assert_null(found); /* twice would be ambiguous */
			found = &template->attributes[i];
		}
	return found;
}

static bool on(const struct template *template, CK_ATTRIBUTE_TYPE type)
{
	const CK_ATTRIBUTE *found = attribute(template, type);

	if (found == NULL)
		fail_msg("attribute 0x%lx is left to the token", type);
	assert_int_equal(found->ulValueLen, sizeof(CK_BBOOL));
	return *(const CK_BBOOL *)found->pValue != 0;
}

static const struct quirks *any_token(void)
{
	CK_TOKEN_INFO info;

	memset(&info, ' ', sizeof(info));
	return quirks_of(&info);
}

static void last_is_not_modifiable(const struct template *template)
{
	assert_int_equal(
	    template->attributes[template->count - 1].type, CKA_MODIFIABLE);
	assert_false(on(template, CKA_MODIFIABLE));
}

static void allows(const struct template *template, CK_ULONG count,
    CK_MECHANISM_TYPE first, CK_MECHANISM_TYPE last)
{
	const CK_ATTRIBUTE *allowed =
	    attribute(template, CKA_ALLOWED_MECHANISMS);
	const CK_MECHANISM_TYPE *mechanisms;

	assert_non_null(allowed);
	assert_int_equal(allowed->ulValueLen, count * sizeof(first));
	mechanisms = allowed->pValue;
	assert_int_equal(mechanisms[0], first);
	assert_int_equal(mechanisms[count - 1], last);
}

static void signing_keys_state_every_use_and_only_sign(void **state)
{
	static const enum hsm_key_type types[] = {
	    HSM_EC_P256, HSM_EC_P384, HSM_RSA_2048, HSM_RSA_3072, HSM_RSA_4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct template private = {.count = 0};

		template_private(&private, types[i], &name, any_token());
		assert_true(on(&private, CKA_TOKEN));
		assert_true(on(&private, CKA_PRIVATE));
		assert_true(on(&private, CKA_SENSITIVE));
		assert_false(on(&private, CKA_EXTRACTABLE));
		assert_true(on(&private, CKA_SIGN));
		assert_false(on(&private, CKA_SIGN_RECOVER));
		assert_false(on(&private, CKA_DECRYPT));
		assert_false(on(&private, CKA_UNWRAP));
		assert_false(on(&private, CKA_DERIVE));
		last_is_not_modifiable(&private);
		if (template_curve(types[i]).len > 0)
			allows(&private, 1, CKM_ECDSA, CKM_ECDSA);
		else
			allows(&private, 2, CKM_RSA_PKCS, CKM_RSA_PKCS_PSS);
	}
}

static void public_keys_only_verify_and_ask_for_exponent_65537(void **state)
{
	struct template public = {.count = 0};
	const CK_ATTRIBUTE *exponent;

	(void)state;
	template_public(&public, HSM_RSA_3072, &name, any_token());
	assert_true(on(&public, CKA_VERIFY));
	assert_false(on(&public, CKA_ENCRYPT));
	assert_false(on(&public, CKA_WRAP));
	assert_false(on(&public, CKA_PRIVATE));
	exponent = attribute(&public, CKA_PUBLIC_EXPONENT);
	assert_non_null(exponent);
	assert_int_equal(exponent->ulValueLen, 3);
	assert_memory_equal(exponent->pValue, "\x01\x00\x01", 3);
	assert_int_equal(
	    *(const CK_ULONG *)attribute(&public, CKA_MODULUS_BITS)->pValue,
	    3072);
	last_is_not_modifiable(&public);
}

static void wrapping_keys_only_wrap_and_make_unreadable_keys(void **state)
{
	struct template secret = {.count = 0};
	const CK_ATTRIBUTE *limit;
	const CK_ATTRIBUTE *inner;

	(void)state;
	template_secret(&secret, HSM_USE_WRAP, &name, any_token());
	assert_true(on(&secret, CKA_WRAP));
	assert_true(on(&secret, CKA_UNWRAP));
	assert_false(on(&secret, CKA_ENCRYPT));
	assert_false(on(&secret, CKA_DECRYPT));
	assert_false(on(&secret, CKA_SIGN));
	assert_false(on(&secret, CKA_VERIFY));
	assert_false(on(&secret, CKA_DERIVE));
	assert_false(on(&secret, CKA_EXTRACTABLE));
	assert_false(on(&secret, CKA_COPYABLE));
	allows(&secret, 1, CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP);
	limit = attribute(&secret, CKA_UNWRAP_TEMPLATE);
	assert_non_null(limit);
	assert_int_equal(limit->ulValueLen, 2 * sizeof(CK_ATTRIBUTE));
	inner = limit->pValue;
	assert_int_equal(inner[0].type, CKA_SENSITIVE);
	assert_int_equal(*(const CK_BBOOL *)inner[0].pValue, 1);
	assert_int_equal(inner[1].type, CKA_EXTRACTABLE);
	assert_int_equal(*(const CK_BBOOL *)inner[1].pValue, 0);
	last_is_not_modifiable(&secret);
}

static void mac_keys_only_sign_and_verify(void **state)
{
	struct template secret = {.count = 0};

	(void)state;
	template_secret(&secret, HSM_USE_MAC, &name, any_token());
	assert_true(on(&secret, CKA_SIGN));
	assert_true(on(&secret, CKA_VERIFY));
	assert_false(on(&secret, CKA_WRAP));
	assert_false(on(&secret, CKA_UNWRAP));
	assert_false(on(&secret, CKA_ENCRYPT));
	assert_false(on(&secret, CKA_DECRYPT));
	allows(&secret, 1, CKM_SHA256_HMAC, CKM_SHA256_HMAC);
	last_is_not_modifiable(&secret);
}

static void a_kek_is_extractable_only_until_it_is_wrapped(void **state)
{
	struct template new = {.count = 0};
	struct template loaded = {.count = 0};

	(void)state;
	template_kek_new(&new, any_token());
	assert_true(on(&new, CKA_EXTRACTABLE));
	assert_false(on(&new, CKA_TOKEN));
	assert_true(on(&new, CKA_PRIVATE));
	assert_false(on(&new, CKA_ENCRYPT));
	assert_false(on(&new, CKA_DECRYPT));
	assert_false(on(&new, CKA_WRAP));
	assert_false(on(&new, CKA_UNWRAP));
	template_kek_loaded(&loaded, any_token());
	assert_false(on(&loaded, CKA_EXTRACTABLE));
	assert_true(on(&loaded, CKA_SENSITIVE));
	assert_true(on(&loaded, CKA_PRIVATE));
	assert_false(on(&loaded, CKA_TOKEN));
	assert_true(on(&loaded, CKA_ENCRYPT));
	assert_true(on(&loaded, CKA_DECRYPT));
	assert_false(on(&loaded, CKA_WRAP));
	assert_false(on(&loaded, CKA_UNWRAP));
	allows(&loaded, 1, CKM_AES_GCM, CKM_AES_GCM);
	last_is_not_modifiable(&loaded);
}

static void a_token_is_known_by_manufacturer_and_model(void **state)
{
	CK_TOKEN_INFO info;

	(void)state;
	memset(&info, ' ', sizeof(info));
	memcpy(info.manufacturerID, "SoftHSM project", 15);
	memcpy(info.model, "SoftHSM v2", 10);
	assert_true(quirks_of(&info)->general_error_is_bad_tag);
	memcpy(info.manufacturerID, "SoftHSM projects", 16);
	assert_false(quirks_of(&info)->general_error_is_bad_tag);
	assert_int_equal(sizeof(CK_GCM_PARAMS), 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signing_keys_state_every_use_and_only_sign),
	    cmocka_unit_test(
		public_keys_only_verify_and_ask_for_exponent_65537),
	    cmocka_unit_test(wrapping_keys_only_wrap_and_make_unreadable_keys),
	    cmocka_unit_test(mac_keys_only_sign_and_verify),
	    cmocka_unit_test(a_kek_is_extractable_only_until_it_is_wrapped),
	    cmocka_unit_test(a_token_is_known_by_manufacturer_and_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
