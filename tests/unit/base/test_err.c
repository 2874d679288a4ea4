// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/text.h"

static void err_refuse_fills_detail_alone(void **state)
{
	struct err err = {.cause = "old"};

	(void)state;
	assert_int_equal(err_refuse(&err, ERR_BAD_CSR, "RSA key is %d bits",
			     1024), ERR_BAD_CSR);
	assert_int_equal(err.code, ERR_BAD_CSR);
	assert_string_equal(err.detail, "RSA key is 1024 bits");
	assert_string_equal(err.cause, "");
	assert_non_null(strstr(err.file, "test_err.c"));
	assert_true(err.line > 0);
}

static void err_what_is_kept_of_a_refusal_is_its_detail_unless_said(void **state)
{
	struct err err = {0};

	(void)state;
	err_refuse(&err, ERR_POLICY, "no to %s", "bob");
	assert_string_equal(err_kept(&err), "no to bob");
	err_keep(&err, "no to %s", "somebody");
	assert_string_equal(err_kept(&err), "no to somebody");
	assert_string_equal(err.detail, "no to bob");
	/* The next one has nothing of it. */
	err_refuse(&err, ERR_POLICY, "no");
	assert_string_equal(err_kept(&err), "no");
	err_keep(&err, "x");
	err_clear(&err);
	assert_string_equal(err_kept(&err), "");
}

static void err_fail_fills_cause_alone(void **state)
{
	struct err err = {.detail = "old"};

	(void)state;
	assert_int_equal(err_fail(&err, ERR_IO, "read: %s", "EIO"), ERR_IO);
	assert_string_equal(err.detail, "");
	assert_string_equal(err.cause, "read: EIO");
	err_clear(&err);
	assert_int_equal(err.code, ERR_OK);
	assert_string_equal(err.cause, "");
}

static void err_of_the_wrong_class_aborts(void **state)
{
	struct err err;

	(void)state;
	assert_true(aborts(err_refuse(&err, ERR_IO, "a secret")));
	assert_true(aborts(err_fail(&err, ERR_POLICY, "hidden")));
	assert_true(aborts(err_refuse(&err, ERR_OK, "nothing")));
	assert_true(aborts(err_fail(&err, (enum err_code)9999, "none")));
	assert_false(aborts(err_refuse(&err, ERR_POLICY, "fine")));
}

static void err_every_code_has_a_slug_of_its_own_and_a_title(void **state)
{
	(void)state;
	for (int i = ERR_OK; i <= ERR_INTERNAL; i++) {
		const char *slug = err_slug((enum err_code)i);

		assert_true(i == ERR_OK || text_is_label(slug));
		assert_true(strlen(err_title((enum err_code)i)) > 0);
		for (int k = ERR_OK; k < i; k++)
			assert_string_not_equal(
			    slug, err_slug((enum err_code)k));
	}
	assert_true(err_is_refusal(ERR_CONFIG));
	assert_false(err_is_refusal(ERR_OVERLOADED));
	assert_false(err_is_refusal(ERR_OK));
}

static void err_cuts_a_long_text_at_a_character(void **state)
{
	struct err err;
	char text[1000];

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		size_t used = 0;

		memset(text, 'a', shift);
		for (used = shift; used < 900; used += 3)
			memcpy(text + used, "\xe2\x82\xac", 3);
		text[used] = '\0';
		err_refuse(&err, ERR_POLICY, "%s", text);
		assert_true(strlen(err.detail) < sizeof(err.detail));
		assert_true(strlen(err.detail) > sizeof(err.detail) - 8);
		assert_true(text_has_suffix(err.detail, "..."));
		assert_true(text_is_utf8(BYTES_STR(err.detail)));
	}
}

static void err_fail_crypto_takes_the_oldest_reason_and_empties_the_queue(
    void **state)
{
	const unsigned char bad[] = {0x30, 0x03, 1, 2, 3};
	const unsigned char *next = bad;
	struct err err;

	(void)state;
	assert_null(d2i_X509(NULL, &next, sizeof(bad)));
	assert_true(ERR_peek_error() != 0);
	assert_failed(err_fail_crypto(&err, "d2i_X509"), ERR_CRYPTO,
	    "d2i_X509: error:");
	assert_true(ERR_peek_error() == 0);
	assert_failed(err_fail_crypto(&err, "nothing"), ERR_CRYPTO,
	    "nothing: no reason given");
}

static void err_quote_leaves_nothing_unprintable(void **state)
{
	(void)state;
	assert_string_equal(err_quote("a\0b\n\x7f\xff\\", 7),
	    "a\\x00b\\x0a\\x7f\\xff\\x5c");
	assert_string_equal(err_quote("", 0), "");
	assert_string_equal(err_quote_str(NULL), "");
	assert_string_equal(err_quote_str("plain"), "plain");
}

static void err_quote_is_at_most_80_characters(void **state)
{
	char text[200];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		for (int octet = 0; octet < 256; octet += 65) {
			memset(text, octet, len);
			assert_true(strlen(err_quote(text, len)) <= 80);
		}
	}
	memset(text, 'x', sizeof(text));
	assert_int_equal(strlen(err_quote(text, 80)), 80);
	assert_null(strstr(err_quote(text, 80), "..."));
	assert_true(text_has_suffix(err_quote(text, 81), "x..."));
	memset(text, '\n', sizeof(text));
	assert_int_equal(strlen(err_quote(text, 20)), 80);
	assert_true(text_has_suffix(err_quote(text, 21), "\\x0a..."));
}

static void err_quote_keeps_eight_results(void **state)
{
	const char *kept[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		char digit = (char)('0' + i);

		kept[i] = err_quote(&digit, 1);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(kept[i][0], '0' + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(err_refuse_fills_detail_alone),
	    cmocka_unit_test(err_what_is_kept_of_a_refusal_is_its_detail_unless_said),
	    cmocka_unit_test(err_fail_fills_cause_alone),
	    cmocka_unit_test(err_of_the_wrong_class_aborts),
	    cmocka_unit_test(
		err_every_code_has_a_slug_of_its_own_and_a_title),
	    cmocka_unit_test(err_cuts_a_long_text_at_a_character),
	    cmocka_unit_test(
		err_fail_crypto_takes_the_oldest_reason_and_empties_the_queue),
	    cmocka_unit_test(err_quote_leaves_nothing_unprintable),
	    cmocka_unit_test(err_quote_is_at_most_80_characters),
	    cmocka_unit_test(err_quote_keeps_eight_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
