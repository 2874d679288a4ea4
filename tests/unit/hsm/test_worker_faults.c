// SPDX-License-Identifier: Apache-2.0
/* Goal: each way in which a token can fail, by the shim, ends as it should:
 * done again, told to the caller, or the end of the worker; and no PIN is tried
 * once too often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "hsm/hsm.h"
#include "tests/unit/hsm/alpha.h"
#include "tests/unit/hsm/home.h"

static void sessions_that_are_lost_are_not_noticed(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	OWNED_BUF(sealed);
	OWNED_BUF(plaintext);

	(void)state;
	alpha_start(&peer);
	alpha_pair(&peer, "loss", HSM_EC_P256, &uri, &spki);
	alpha_kek(&peer, "loss-root", &kek);
	home_uncount(&alpha_home);
	home_write(alpha_home.rules,
	    "C_Sign every:10 0xB3\nC_Encrypt every:7 0xB3\n"
	    "C_SignInit every:13 0x101\nC_EncryptInit every:11 0x60\n");
	for (int i = 0; i < 60; i++) {
		alpha_signs(&peer, uri, buf_bytes(&spki), HSM_ECDSA, alpha_sha256);
		assert_int_equal(
		    alpha_data_key(&peer, &kek, 32, 1, &sealed, &plaintext), WIRE_OK);
	}
	assert_true(home_count(&alpha_home, "C_Login") >= 10);
	alpha_stop(&peer);
}

static void a_session_that_is_lost_for_good_is_the_callers_answer(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "for-good", HSM_EC_P256, &uri), WIRE_OK);
	home_write(alpha_home.rules, "C_Sign from:1 0xB3\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_REFUSED);
	home_write(alpha_home.rules, "");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_OK);
	alpha_stop(&peer);
}

static void an_operation_that_fails_half_way_spoils_no_other(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "half", HSM_EC_P256, &uri), WIRE_OK);
	/* The real operation stays open in the session. */
	home_write(alpha_home.rules, "C_Sign 1 0x21\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_REFUSED);
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_OK);
	/* "Something failed" is tried again on new sessions. */
	home_write(alpha_home.rules, "C_Sign 1 0x5\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_OK);
	alpha_stop(&peer);
}

static void a_token_that_is_gone_ends_the_worker(void **state)
{
	static const char *const rules[] = {"C_Sign 1 0xE0\n",
	    "C_Sign 1 0x32\n", "C_SignInit 1 0x30\n", "C_Sign 1 0x190\n",
	    "C_Sign 1 0xB3\nC_OpenSession 1 0xE0\n",
	    "C_Sign 1 0xB3\nC_Login 1 0x5\n"};
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "gone", HSM_EC_P256, &uri), WIRE_OK);
	alpha_stop(&peer);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		alpha_start(&peer);
		home_write(alpha_home.rules, rules[i]);
		assert_int_equal(peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out),
		    WIRE_DEVICE_GONE);
		assert_int_equal(peer_wait(&peer), WIRE_DEVICE_GONE);
		home_write(alpha_home.rules, "");
	}
}

static void generation_is_never_tried_twice(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	alpha_start(&peer);
	home_uncount(&alpha_home);
	home_write(alpha_home.rules, "C_GenerateKeyPair 1 0xB3\n"
			       "C_GenerateKey 1 0x5\n");
	assert_int_equal(
	    peer_make_pair(&peer, "never", HSM_EC_P256, &uri), WIRE_REFUSED);
	assert_non_null(strstr(peer.text, "not tried again"));
	assert_int_equal(home_count(&alpha_home, "C_GenerateKeyPair"), 1);
	assert_int_equal(
	    peer_make_secret(&peer, "never", HSM_USE_MAC, &uri), WIRE_REFUSED);
	assert_int_equal(home_count(&alpha_home, "C_GenerateKey"), 1);
	assert_int_equal(
	    peer_make_pair(&peer, "never", HSM_EC_P256, &uri), WIRE_OK);
	alpha_stop(&peer);
}

static void a_pair_that_cannot_be_read_back_is_destroyed(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	alpha_start(&peer);
	home_uncount(&alpha_home);
	/* its class */
	home_write(alpha_home.rules, "C_GetAttributeValue 1 0x12\n");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_REFUSED);
	assert_int_equal(home_count(&alpha_home, "C_DestroyObject"), 2);
	/* CKA_EXTRACTABLE, after class, names, type and four others */
	home_write(alpha_home.rules, "C_GetAttributeValue 10 0x12\n");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_UNSAFE);
	assert_non_null(strstr(peer.text, "whether it is extractable"));
	assert_int_equal(home_count(&alpha_home, "C_DestroyObject"), 4);
	home_write(alpha_home.rules, "");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_OK);
	alpha_stop(&peer);
}

static void a_wrong_pin_is_tried_exactly_once(void **state)
{
	OWNED_STR(wrong) = mem_printf("%s/wrong-pin", alpha_home.dir);
	struct peer peer;

	(void)state;
	home_write(wrong, "wrong-pin-0815\n");
	home_uncount(&alpha_home);
	peer_start(&peer, alpha_home.shim, TOKEN, wrong);
	assert_int_equal(peer.started, WIRE_PIN);
	assert_non_null(strstr(peer.text, "CKR_PIN_INCORRECT"));
	assert_null(strstr(peer.text, "0815"));
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&alpha_home, "C_Login"), 1);
}

static void a_locked_pin_ends_the_worker(void **state)
{
	struct peer peer;

	(void)state;
	home_uncount(&alpha_home);
	home_write(alpha_home.rules, "C_Login every:1 0xA4\n");
	peer_start(&peer, alpha_home.shim, TOKEN, alpha_home.pin_file);
	assert_int_equal(peer.started, WIRE_PIN);
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&alpha_home, "C_Login"), 1);
	home_write(alpha_home.rules, "");
}

static void a_pin_that_was_changed_meanwhile_is_tried_once(void **state)
{
	OWNED_STR(pin_file) = mem_printf("%s/changing-pin", alpha_home.dir);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);
	struct peer peer;

	(void)state;
	home_write(pin_file, HOME_PIN);
	peer_start(&peer, alpha_home.shim, TOKEN, pin_file);
	assert_int_equal(peer.started, WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "changing", HSM_EC_P256, &uri), WIRE_OK);
	home_write(pin_file, "another-pin");
	home_uncount(&alpha_home);
	home_write(alpha_home.rules, "C_Sign 1 0xB3\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_PIN);
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&alpha_home, "C_Login"), 1);
	home_write(alpha_home.rules, "");
}

/* Many workers lose their sessions at one moment, and one wrong PIN each would
 * lock the token. */
static void workers_that_lose_sessions_together_try_a_wrong_pin_once(
    void **state)
{
	OWNED_STR(pin_file) = mem_printf("%s/shared-pin", alpha_home.dir);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);
	struct peer peers[3], later;

	(void)state;
	home_write(pin_file, HOME_PIN);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		peer_start(&peers[i], alpha_home.shim, TOKEN, pin_file);
		assert_int_equal(peers[i].started, WIRE_OK);
	}
	assert_int_equal(
	    peer_make_pair(&peers[0], "shared", HSM_EC_P256, &uri), WIRE_OK);
	home_write(pin_file, "another-pin");
	home_uncount(&alpha_home);
	home_write(alpha_home.rules, "C_Sign 1 0xB3\n");
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		enum wire_status want = i == 0 ? WIRE_PIN : WIRE_DEVICE_GONE;

		assert_int_equal(peer_sign(&peers[i], uri, HSM_ECDSA, alpha_sha256,
				     &out), want);
		assert_int_equal(peer_wait(&peers[i]), want);
	}
	assert_int_equal(home_count(&alpha_home, "C_Login"), 1);
	home_write(alpha_home.rules, "");
	/* A start does try, and with the right PIN all is well again. */
	peer_start(&later, alpha_home.shim, TOKEN, alpha_home.pin_file);
	assert_int_equal(later.started, WIRE_OK);
	alpha_stop(&later);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(sessions_that_are_lost_are_not_noticed),
	    T(a_session_that_is_lost_for_good_is_the_callers_answer),
	    T(an_operation_that_fails_half_way_spoils_no_other),
	    T(a_token_that_is_gone_ends_the_worker),
	    T(generation_is_never_tried_twice),
	    T(a_pair_that_cannot_be_read_back_is_destroyed),
	    T(a_wrong_pin_is_tried_exactly_once),
	    T(a_locked_pin_ends_the_worker),
	    T(a_pin_that_was_changed_meanwhile_is_tried_once),
	    T(workers_that_lose_sessions_together_try_a_wrong_pin_once),
	};

	return cmocka_run_group_tests(tests, alpha_set_up, alpha_tear_down);
}
