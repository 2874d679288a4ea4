// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: the self-test finds what is known of SoftHSM, and with the
 * shim before it a token that lies, one that ignores what it is asked, one that
 * keeps what it should not, and one whose driver crashes; it leaves nothing in
 * the token, and no key of it changed.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "hsm/selftest.h"
#include "real.h"

static struct real real;
static struct hsm_options shimmed;
static char no_asan_handler[] = "ASAN_OPTIONS=handle_segv=0";
static char no_tsan_handler[] = "TSAN_OPTIONS=handle_segv=0";
static char *environment[5];

static int begin(void **state UNUSED)
{
	OWNED_STR(uri) = NULL;
	OWNED_STR(secret) = NULL;
	OWNED_BUF(spki);
	struct err err = {0};

	real_begin(&real);
	real_open(&real, 1);
	if (hsm_generate_pair(real.hsm, "ca-key", HSM_EC_P256, &uri, &spki,
		&err) != ERR_OK ||
	    hsm_generate_secret(
		real.hsm, "root-kek", HSM_USE_WRAP, &secret, &err) != ERR_OK)
		return 1;
	real_close(&real);
	environment[0] = real.environment[0];
	environment[1] = mem_printf("SIGNET_SHIM_MODULE=%s", real.options.module);
	environment[2] = mem_printf("SIGNET_SHIM_RULES=%s/rules", real.dir);
	/* A driver that crashes ends as it does without a sanitizer. */
	environment[3] = no_asan_handler;
	environment[4] = no_tsan_handler;
	shimmed = real.options;
	shimmed.module = SHIM;
	shimmed.environment = environment;
	shimmed.environment_count = ARRAY_LEN(environment);
	return 0;
}

static int end(void **state UNUSED)
{
	real_end(&real);
	free(environment[1]);
	free(environment[2]);
	return secret_heap_used() == 0 ? 0 : 1;
}

static void run(const char *rules, struct selftest *selftest)
{
	struct err err = {0};

	real_write(&real, "rules", rules);
	if (selftest_run(&shimmed, selftest, &err) != ERR_OK)
		fail_msg("%s%s", err.detail, err.cause);
}

static int by_uri(const void *a, const void *b)
{
	const struct hsm_object *left = a, *right = b;

	return strcmp(left->uri, right->uri);
}

/* Objects of the token as they are now, one line each, in an order of their own
 * (a token has none); malloc'd. */
static char *objects(void)
{
	OWNED(hsm_object_list) list = NULL;
	OWNED_BUF(text);
	struct err err = {0};

	real_open(&real, 1);
	assert_int_equal(hsm_list(real.hsm, &list, &err), ERR_OK);
	real_close(&real);
	qsort(list->objects, list->count, sizeof(*list->objects), by_uri);
	for (size_t i = 0; i < list->count; i++)
		buf_printf(&text, "%s %x\n", list->objects[i].uri,
		    list->objects[i].attributes);
	return buf_to_str(&text);
}

static void expect(const struct selftest *selftest, enum attack_id id,
    enum selftest_result result, enum selftest_own own)
{
	const struct selftest_finding *finding = &selftest->findings[id];

	if (finding->result != result || finding->own != own)
		fail_msg("%s: %s, %s: %s", selftest_name(id),
		    selftest_result_name(finding->result),
		    selftest_own_name(finding->own), finding->detail);
}

static void softhsm_is_told_as_weak_and_signets_keys_as_protected(
    void **state UNUSED)
{
	static const struct {
		enum attack_id id;
		enum selftest_result result;
		enum selftest_own own;
	} expected[] = {
	    {ATTACK_TOLD, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_READ, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_WRAP, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_CLULOW, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_UNWRAP, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_SET, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_USES, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_COPY, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_IMPORT, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_TRUSTED, SELFTEST_SAFE, SELFTEST_NOT_RELIED_ON},
	    {ATTACK_WITH_TRUSTED, SELFTEST_SAFE, SELFTEST_NOT_RELIED_ON},
	    {ATTACK_ORIGIN, SELFTEST_SAFE, SELFTEST_NOT_RELIED_ON},
	    {ATTACK_LIST, SELFTEST_SAFE, SELFTEST_PROTECTED},
	    {ATTACK_WEAK, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_PKCS1, SELFTEST_VULNERABLE, SELFTEST_PROTECTED},
	    {ATTACK_DERIVE, SELFTEST_NOT_APPLICABLE, SELFTEST_PROTECTED},
	};
	OWNED_STR(before) = objects();
	OWNED_STR(after) = NULL;
	struct selftest selftest;

	assert_int_equal(ARRAY_LEN(expected), ATTACK_COUNT);
	run("", &selftest);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		expect(&selftest, expected[i].id, expected[i].result,
		    expected[i].own);
	assert_string_equal(selftest.token, "SoftHSM project SoftHSM v2");
	assert_int_equal(selftest.keys, 2);
	assert_int_equal(selftest.swept, 0);
	after = objects();
	assert_string_equal(before, after);
}

/* It makes every key extractable and says that it is not. */
static void a_token_that_lies_about_an_attribute_is_found(void **state UNUSED)
{
	struct selftest selftest;

	run("C_GenerateKey every:1 attr:0x162:1\n"
	    "C_GetAttributeValue every:1 attr:0x162:0\n",
	    &selftest);
	expect(&selftest, ATTACK_WRAP, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
	assert_non_null(
	    strstr(selftest.findings[ATTACK_WRAP].detail, "wrapping key"));
	expect(&selftest, ATTACK_IMPORT, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
}

static void a_token_that_ignores_an_attribute_is_found(void **state UNUSED)
{
	struct selftest selftest;

	run("C_GenerateKey every:1 attr:0x170:1\n", &selftest);
	expect(&selftest, ATTACK_TOLD, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
	assert_non_null(
	    strstr(selftest.findings[ATTACK_TOLD].detail, "modifiable"));
	/* What is modifiable takes other uses: found by trying, too. */
	expect(&selftest, ATTACK_USES, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
}

static void a_key_that_both_wraps_and_decrypts_is_found_exposed(
    void **state UNUSED)
{
	struct selftest selftest;

	run("C_GenerateKey every:1 attr:0x105:1\n", &selftest);
	expect(&selftest, ATTACK_TOLD, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
}

static void what_the_token_kept_is_removed(void **state UNUSED)
{
	OWNED_STR(before) = objects();
	OWNED_STR(after) = NULL;
	struct selftest selftest;

	run("C_GenerateKey every:1 attr:0x1:1\n"
	    "C_GenerateKeyPair every:1 attr:0x1:1\n",
	    &selftest);
	assert_true(selftest.swept > 0);
	after = objects();
	assert_string_equal(before, after);
}

static void a_driver_that_crashes_leaves_the_rest_unknown(void **state UNUSED)
{
	OWNED_STR(before) = objects();
	OWNED_STR(after) = NULL;
	struct selftest selftest;

	run("C_CopyObject 1 segv\n", &selftest);
	expect(&selftest, ATTACK_SET, SELFTEST_SAFE, SELFTEST_PROTECTED);
	for (enum attack_id id = ATTACK_COPY; id < ATTACK_COUNT; id++)
		expect(
		    &selftest, id, SELFTEST_UNKNOWN, SELFTEST_OWN_UNKNOWN);
	assert_non_null(
	    strstr(selftest.findings[ATTACK_COPY].detail, "signal 11"));
	after = objects();
	assert_string_equal(before, after);
}

/* What a killed run had made a token keep goes with the next run. */
static void a_later_run_removes_what_a_killed_one_left(void **state UNUSED)
{
	OWNED_STR(before) = objects();
	OWNED_STR(after) = NULL;
	struct selftest selftest;

	run("C_GenerateKey every:1 attr:0x1:1\nC_CopyObject 1 segv\n",
	    &selftest);
	run("", &selftest);
	after = objects();
	assert_string_equal(before, after);
}

static void a_wrong_pin_is_told_and_tried_once(void **state UNUSED)
{
	struct hsm_options options = real.options;
	OWNED_STR(wrong) = mem_printf("%s/wrong-pin", real.dir);
	struct selftest selftest;
	struct err err = {0};

	real_write(&real, "wrong-pin", "99999999\n");
	options.pin_file = wrong;
	assert_int_equal(
	    selftest_run(&options, &selftest, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "PIN"));
	/* The count of wrong tries is cleared by a right one. */
	run("", &selftest);
}

static void a_token_that_is_not_there_is_told(void **state UNUSED)
{
	struct hsm_options options = real.options;
	struct selftest selftest;
	struct err err = {0};

	options.token = "pkcs11:token=other";
	assert_int_equal(
	    selftest_run(&options, &selftest, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "no token fits"));
}

static void a_driver_that_cannot_start_is_told(void **state UNUSED)
{
	struct selftest selftest;
	struct err err = {0};

	real_write(&real, "rules", "C_OpenSession 1 segv\n");
	assert_int_equal(selftest_run(&shimmed, &selftest, &err),
	    ERR_HSM_UNAVAILABLE);
	assert_non_null(strstr(err.cause, "signal 11"));
}

#define HEAD "selftest\ttoken\tSome maker\t3\n"

static void lines_are_parsed(void **state UNUSED)
{
	struct selftest selftest;
	bool ended = false;

	assert_true(selftest_parse(
	    BYTES_STR("chatter of the driver\n" HEAD
		      "selftest\ttry\tread-value\n"
		      "selftest\tfound\tread-value\tvulnerable\texposed\tall\n"
		      "selftest\ttry\tderive\nselftest\tend\t2\n"),
	    &selftest, &ended));
	assert_true(ended);
	assert_int_equal(selftest.keys, 3);
	assert_int_equal(selftest.swept, 2);
	expect(&selftest, ATTACK_READ, SELFTEST_VULNERABLE, SELFTEST_EXPOSED);
	expect(&selftest, ATTACK_DERIVE, SELFTEST_UNKNOWN,
	    SELFTEST_OWN_UNKNOWN);
	assert_string_equal(selftest.findings[ATTACK_READ].detail, "all");
}

static void malformed_lines_are_refused(void **state UNUSED)
{
	static const char *const lines[] = {
	    "selftest\t",
	    "selftest\tother\n",
	    "selftest\ttry\tunheard-of\n",
	    "selftest\tfound\tread-value\tsafe\n",
	    "selftest\tfound\tread-value\tsafe\tprotected\n",
	    "selftest\tfound\tread-value\tfine\tprotected\t\n",
	    "selftest\tfound\tread-value\tsafe\tfine\t\n",
	    "selftest\tend\tmany\n",
	    "selftest\tend\n",
	    "selftest\ttoken\tname\n",
	};
	struct selftest selftest;
	bool ended;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (selftest_parse(BYTES_STR(lines[i]), &selftest, &ended))
			fail_msg("%s", lines[i]);
	assert_true(selftest_parse(BYTES(NULL, 0), &selftest, &ended));
	assert_false(ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		softhsm_is_told_as_weak_and_signets_keys_as_protected),
	    cmocka_unit_test(a_token_that_lies_about_an_attribute_is_found),
	    cmocka_unit_test(a_token_that_ignores_an_attribute_is_found),
	    cmocka_unit_test(
		a_key_that_both_wraps_and_decrypts_is_found_exposed),
	    cmocka_unit_test(what_the_token_kept_is_removed),
	    cmocka_unit_test(a_driver_that_crashes_leaves_the_rest_unknown),
	    cmocka_unit_test(a_later_run_removes_what_a_killed_one_left),
	    cmocka_unit_test(a_wrong_pin_is_told_and_tried_once),
	    cmocka_unit_test(a_token_that_is_not_there_is_told),
	    cmocka_unit_test(a_driver_that_cannot_start_is_told),
	    cmocka_unit_test(lines_are_parsed),
	    cmocka_unit_test(malformed_lines_are_refused),
	};
	struct err err = {0};

	if (secret_heap_open(64 * 1024, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, begin, end);
}
