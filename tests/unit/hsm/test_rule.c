// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hsm/ckr.h"
#include "hsm/fault.h"
#include "hsm/hsm.h"
#include "hsm/rule.h"

#define SAFE                                                                   \
	(HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE |              \
	    HSM_ATTR_ALWAYS_SENSITIVE | HSM_ATTR_NEVER_EXTRACTABLE |           \
	    HSM_ATTR_LOCAL)
#define SIGNER (SAFE | HSM_ATTR_SIGN)
#define WRAPPER (SAFE | HSM_ATTR_WRAP | HSM_ATTR_UNWRAP)

static void a_key_that_keeps_the_rule_is_safe(void **state)
{
	(void)state;
	assert_null(rule_broken("private", SIGNER, 0));
	assert_null(rule_broken("secret-key", WRAPPER, 0));
	assert_null(rule_broken(
	    "secret-key", SAFE | HSM_ATTR_ENCRYPT | HSM_ATTR_DECRYPT, 0));
}

static void each_attribute_against_the_rule_is_named(void **state)
{
	(void)state;
	assert_string_equal(
	    rule_broken("private", SIGNER | HSM_ATTR_EXTRACTABLE, 0),
	    "is extractable");
	assert_string_equal(
	    rule_broken("private", SIGNER | HSM_ATTR_MODIFIABLE, 0),
	    "is modifiable (uses can be added)");
	assert_string_equal(
	    rule_broken("private", SIGNER & ~(uint32_t)HSM_ATTR_PRIVATE, 0),
	    "is not private (usable without the PIN)");
	assert_string_equal(
	    rule_broken("private", SIGNER & ~(uint32_t)HSM_ATTR_SENSITIVE, 0),
	    "is not sensitive (its value can be read)");
	assert_string_equal(
	    rule_broken(
		"private", SIGNER & ~(uint32_t)HSM_ATTR_NEVER_EXTRACTABLE, 0),
	    "was extractable once, or imported");
	assert_string_equal(
	    rule_broken(
		"private", SIGNER & ~(uint32_t)HSM_ATTR_ALWAYS_SENSITIVE, 0),
	    "was not sensitive once, or imported");
}

static void a_key_that_wraps_and_decrypts_is_unsafe(void **state)
{
	(void)state;
	assert_string_equal(
	    rule_broken("secret-key", WRAPPER | HSM_ATTR_DECRYPT, 0),
	    "both wraps and decrypts");
	assert_string_equal(
	    rule_broken("private", SIGNER | HSM_ATTR_DECRYPT, 0),
	    "signs and also wraps, decrypts or derives");
}

static void what_the_token_does_not_tell_counts_against_the_key(void **state)
{
	(void)state;
	assert_string_equal(
	    rule_broken("private", SIGNER, HSM_ATTR_EXTRACTABLE),
	    "does not tell whether it is extractable");
	/* tokens before PKCS#11 2.20 do not have the history */
	assert_null(rule_broken("private",
	    SIGNER & ~(uint32_t)HSM_ATTR_NEVER_EXTRACTABLE,
	    HSM_ATTR_NEVER_EXTRACTABLE));
}

static void public_keys_and_data_are_not_held_to_the_rule(void **state)
{
	(void)state;
	assert_null(rule_broken("public", HSM_ATTR_EXTRACTABLE, 0));
	assert_null(rule_broken("data", 0, 0));
}

static void return_values_are_told_apart_by_what_they_ask(void **state)
{
	(void)state;
	assert_int_equal(ckr_trouble(CKR_OK), TROUBLE_NONE);
	assert_int_equal(ckr_trouble(CKR_USER_ALREADY_LOGGED_IN), TROUBLE_NONE);
	assert_int_equal(ckr_trouble(CKR_DATA_LEN_RANGE), TROUBLE_CALLER);
	assert_int_equal(
	    ckr_trouble(CKR_SESSION_HANDLE_INVALID), TROUBLE_SESSION);
	assert_int_equal(ckr_trouble(CKR_USER_NOT_LOGGED_IN), TROUBLE_SESSION);
	assert_int_equal(ckr_trouble(CKR_KEY_HANDLE_INVALID), TROUBLE_SESSION);
	assert_int_equal(ckr_trouble(CKR_GENERAL_ERROR), TROUBLE_UNSURE);
	assert_int_equal(ckr_trouble(0x80000001UL), TROUBLE_UNSURE);
	assert_int_equal(ckr_trouble(CKR_TOKEN_NOT_PRESENT), TROUBLE_DEVICE);
	assert_int_equal(ckr_trouble(CKR_DEVICE_REMOVED), TROUBLE_DEVICE);
	assert_int_equal(ckr_trouble(CKR_PIN_INCORRECT), TROUBLE_PIN);
	assert_int_equal(ckr_trouble(CKR_PIN_LOCKED), TROUBLE_PIN);
}

static void return_values_have_their_names_in_faults(void **state)
{
	struct fault fault;

	(void)state;
	assert_string_equal(ckr_name(CKR_PIN_LOCKED), "CKR_PIN_LOCKED");
	assert_string_equal(ckr_name(0x80000001UL), "CKR 0x80000001");
	assert_int_equal(
	    fault_ckr(&fault, "C_Sign", CKR_DEVICE_ERROR), WIRE_DEVICE_GONE);
	assert_string_equal(fault.text, "C_Sign: CKR_DEVICE_ERROR");
	assert_int_equal(
	    fault_ckr(&fault, "C_Sign", CKR_DATA_INVALID), WIRE_REFUSED);
	assert_int_equal(
	    fault_ckr(&fault, "C_Login", CKR_PIN_INCORRECT), WIRE_PIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_that_keeps_the_rule_is_safe),
	    cmocka_unit_test(each_attribute_against_the_rule_is_named),
	    cmocka_unit_test(a_key_that_wraps_and_decrypts_is_unsafe),
	    cmocka_unit_test(
		what_the_token_does_not_tell_counts_against_the_key),
	    cmocka_unit_test(public_keys_and_data_are_not_held_to_the_rule),
	    cmocka_unit_test(return_values_are_told_apart_by_what_they_ask),
	    cmocka_unit_test(return_values_have_their_names_in_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
