// SPDX-License-Identifier: Apache-2.0
/* Goal: a worker makes keys of every type on a real SoftHSM token, finds them
 * again, and signs what openssl verifies; what does not belong together it
 * refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/rsa.h>

#include "hsm/hsm.h"
#include "tests/unit/hsm/alpha.h"
#include "tests/unit/hsm/home.h"

static void every_type_of_key_signs_what_openssl_verifies(void **state)
{
	static const struct {
		uint8_t type;
		uint8_t mechanism;
		size_t digest;
	} cases[] = {
	    {HSM_EC_P256, HSM_ECDSA, 32},
	    {HSM_EC_P384, HSM_ECDSA, 48},
	    {HSM_RSA_2048, HSM_RSA_PKCS1, 32},
	    {HSM_RSA_2048, HSM_RSA_PSS_SHA256, 32},
	    {HSM_RSA_3072, HSM_RSA_PSS_SHA384, 48},
	};
	struct peer peer;

	(void)state;
	alpha_start(&peer);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED_STR(label) = mem_printf("type-%zu", i);
		OWNED_STR(uri) = NULL;
		OWNED_BUF(spki);

		alpha_pair(&peer, label, cases[i].type, &uri, &spki);
		alpha_signs(&peer, uri, buf_bytes(&spki), cases[i].mechanism,
		    BYTES(alpha_digest, cases[i].digest));
	}
	alpha_stop(&peer);
}

static void a_key_is_found_again_by_a_new_worker(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);

	(void)state;
	alpha_start(&peer);
	alpha_pair(&peer, "lasting", HSM_EC_P256, &uri, &spki);
	alpha_stop(&peer);
	alpha_start(&peer);
	alpha_signs(&peer, uri, buf_bytes(&spki), HSM_ECDSA, alpha_sha256);
	alpha_stop(&peer);
}

static void data_that_do_not_belong_to_the_mechanism_are_refused(void **state)
{
	struct peer peer;
	OWNED_STR(ec) = NULL;
	OWNED_STR(rsa) = NULL;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "strict-ec", HSM_EC_P256, &ec), WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "strict-rsa", HSM_RSA_2048, &rsa), WIRE_OK);
	assert_int_equal(
	    peer_sign(&peer, ec, HSM_ECDSA, BYTES(alpha_digest, 31), &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, ec, 9, alpha_sha256, &out), WIRE_BAD_REQUEST);
	assert_int_equal(peer_sign(&peer, ec, HSM_RSA_PSS_SHA256, alpha_sha256, &out),
	    WIRE_REFUSED);
	assert_int_equal(
	    peer_sign(&peer, rsa, HSM_ECDSA, alpha_sha256, &out), WIRE_REFUSED);
	assert_int_equal(peer_sign(&peer, rsa, HSM_RSA_PKCS1, alpha_sha256, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, rsa, HSM_RSA_PSS_SHA256, alpha_sha384, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, ec, HSM_ECDSA, alpha_sha256, &out), WIRE_OK);
	alpha_stop(&peer);
}

static void a_label_in_use_is_not_used_twice(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_STR(second) = NULL;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "once", HSM_EC_P256, &uri), WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "once", HSM_EC_P384, &second), WIRE_EXISTS);
	assert_int_equal(
	    peer_make_secret(&peer, "once", HSM_USE_MAC, &second), WIRE_EXISTS);
	assert_null(second);
	alpha_stop(&peer);
}

static void labels_and_kinds_that_are_none_are_refused(void **state)
{
	static const char longer[] =
	    "a label that is longer than the sixty-four "
	    "octets which are allowed";
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "", HSM_EC_P256, &uri), WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_make_pair(&peer, longer, HSM_EC_P256, &uri), WIRE_BAD_REQUEST);
	assert_int_equal(peer_make_pair(&peer, "\xff\xfe", HSM_EC_P256, &uri),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_make_pair(&peer, "kind", 0, &uri), WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_make_pair(&peer, "kind", 6, &uri), WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_make_secret(&peer, "kind", 3, &uri), WIRE_BAD_REQUEST);
	alpha_stop(&peer);
}

static enum wire_status hmac(
    struct peer *peer, const char *uri, size_t len, struct buf *reply)
{
	static const uint8_t data[4200] = {1};
	OWNED_BUF(fields);

	buf_put_lv_str(&fields, uri);
	buf_put_lv(&fields, BYTES(data, len));
	return peer_call(peer, WIRE_HMAC, &fields, reply);
}

static void a_mac_depends_on_its_data_and_is_bounded(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_STR(wrap) = NULL;
	OWNED_BUF(first);
	OWNED_BUF(again);
	OWNED_BUF(other);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_secret(&peer, "mac", HSM_USE_MAC, &uri), WIRE_OK);
	assert_int_equal(
	    peer_make_secret(&peer, "no-mac", HSM_USE_WRAP, &wrap), WIRE_OK);
	assert_int_equal(hmac(&peer, uri, 10, &first), WIRE_OK);
	assert_int_equal(hmac(&peer, uri, 10, &again), WIRE_OK);
	assert_int_equal(hmac(&peer, uri, 11, &other), WIRE_OK);
	assert_int_equal(first.len, 4 + 32);
	assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
	assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&other)));
	assert_int_equal(hmac(&peer, uri, 4096, &other), WIRE_OK);
	assert_int_equal(hmac(&peer, uri, 4097, &other), WIRE_BAD_REQUEST);
	assert_int_equal(hmac(&peer, wrap, 10, &other), WIRE_REFUSED);
	alpha_stop(&peer);
}

static void a_p384_signature_of_a_short_digest_has_its_full_length(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "length", HSM_EC_P384, &uri), WIRE_OK);
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, alpha_sha256, &out), WIRE_OK);
	assert_int_equal(out.len, 96);
	alpha_stop(&peer);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(every_type_of_key_signs_what_openssl_verifies),
	    T(a_key_is_found_again_by_a_new_worker),
	    T(data_that_do_not_belong_to_the_mechanism_are_refused),
	    T(a_label_in_use_is_not_used_twice),
	    T(labels_and_kinds_that_are_none_are_refused),
	    T(a_mac_depends_on_its_data_and_is_bounded),
	    T(a_p384_signature_of_a_short_digest_has_its_full_length),
	};

	return cmocka_run_group_tests(tests, alpha_set_up, alpha_tear_down);
}
