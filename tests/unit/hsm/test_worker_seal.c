// SPDX-License-Identifier: Apache-2.0
/* Goal: what a worker seals under a wrapped key opens to the same and to
 * nothing else, and a data key leaves it only when it is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/hsm/alpha.h"
#include "tests/unit/hsm/home.h"

static enum wire_status seal(struct peer *peer, const struct kek *kek,
    const char *aad, struct bytes plaintext, struct buf *sealed)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	alpha_kek_put(&fields, kek, aad);
	buf_put_lv(&fields, plaintext);
	status = peer_call(peer, WIRE_SEAL, &fields, &reply);
	if (status != WIRE_OK)
		return status;
	reader = reader_over(buf_bytes(&reply));
	buf_reset(sealed);
	buf_put_bytes(sealed, reader_lv(&reader));
	assert_true(reader_done(&reader));
	return status;
}

static enum wire_status open_sealed(struct peer *peer, const struct kek *kek,
    const char *aad, struct bytes sealed, struct buf *plaintext)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	alpha_kek_put(&fields, kek, aad);
	buf_put_lv(&fields, sealed);
	status = peer_call(peer, WIRE_OPEN_SEALED, &fields, &reply);
	if (status != WIRE_OK)
		return status;
	reader = reader_over(buf_bytes(&reply));
	buf_reset(plaintext);
	buf_put_bytes(plaintext, reader_lv(&reader));
	assert_true(reader_done(&reader));
	return status;
}

static void what_is_sealed_opens_to_the_same(void **state)
{
	static const uint8_t data[4096] = {7};
	static const size_t sizes[] = {0, 1, 16, 32, 4096};
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);
	OWNED_BUF(again);
	OWNED_BUF(opened);

	(void)state;
	alpha_start(&peer);
	alpha_kek(&peer, "seal", &kek);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct bytes plaintext = BYTES(data, sizes[i]);

		assert_int_equal(
		    seal(&peer, &kek, "aad", plaintext, &sealed), WIRE_OK);
		assert_int_equal(sealed.len, 12 + sizes[i] + 16);
		assert_int_equal(
		    seal(&peer, &kek, "aad", plaintext, &again), WIRE_OK);
		assert_memory_not_equal(sealed.data, again.data, 12);
		assert_int_equal(open_sealed(&peer, &kek, "aad",
				     buf_bytes(&sealed), &opened),
		    WIRE_OK);
		assert_true(bytes_equal(plaintext, buf_bytes(&opened)));
	}
	/* without AAD too */
	assert_int_equal(seal(&peer, &kek, "", alpha_sha256, &sealed), WIRE_OK);
	assert_int_equal(
	    open_sealed(&peer, &kek, "", buf_bytes(&sealed), &opened), WIRE_OK);
	alpha_stop(&peer);
}

static void what_does_not_fit_is_refused_and_work_goes_on(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	SCOPED_KEK(other);
	OWNED_BUF(sealed);
	OWNED_BUF(opened);

	(void)state;
	alpha_start(&peer);
	alpha_kek(&peer, "fit", &kek);
	alpha_kek(&peer, "other-root", &other);
	assert_int_equal(seal(&peer, &kek, "aad", alpha_sha256, &sealed), WIRE_OK);
	for (size_t i = 0; i < sealed.len; i += 7) {
		sealed.data[i] ^= 1;
		assert_int_equal(open_sealed(&peer, &kek, "aad",
				     buf_bytes(&sealed), &opened),
		    WIRE_UNWRAP);
		sealed.data[i] ^= 1;
	}
	assert_int_equal(
	    open_sealed(&peer, &kek, "aae", buf_bytes(&sealed), &opened),
	    WIRE_UNWRAP);
	assert_int_equal(
	    open_sealed(&peer, &kek, "", buf_bytes(&sealed), &opened),
	    WIRE_UNWRAP);
	assert_int_equal(
	    open_sealed(&peer, &other, "aad", buf_bytes(&sealed), &opened),
	    WIRE_UNWRAP);
	assert_int_equal(
	    open_sealed(&peer, &kek, "aad", BYTES(sealed.data, 27), &opened),
	    WIRE_UNWRAP);
	assert_int_equal(
	    open_sealed(&peer, &kek, "aad", buf_bytes(&sealed), &opened),
	    WIRE_OK);
	alpha_stop(&peer);
}

static void a_blob_that_the_root_did_not_wrap_is_refused(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);

	(void)state;
	alpha_start(&peer);
	alpha_kek(&peer, "blob", &kek);
	kek.blob.data[3] ^= 1;
	assert_int_equal(
	    seal(&peer, &kek, "aad", alpha_sha256, &sealed), WIRE_UNWRAP);
	kek.blob.data[3] ^= 1;
	kek.blob.len = 32;
	assert_int_equal(
	    seal(&peer, &kek, "aad", alpha_sha256, &sealed), WIRE_UNWRAP);
	kek.blob.len = 40;
	assert_int_equal(seal(&peer, &kek, "aad", alpha_sha256, &sealed), WIRE_OK);
	alpha_stop(&peer);
}

static void a_data_key_leaves_the_worker_only_when_wanted(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);
	OWNED_BUF(plaintext);
	OWNED_BUF(opened);

	(void)state;
	alpha_start(&peer);
	alpha_kek(&peer, "data-key", &kek);
	for (uint16_t len = 16; len <= 64; len = (uint16_t)(len + 16)) {
		assert_int_equal(
		    alpha_data_key(&peer, &kek, len, 1, &sealed, &plaintext),
		    WIRE_OK);
		assert_int_equal(plaintext.len, len);
		assert_int_equal(open_sealed(&peer, &kek, "cluster/key/1",
				     buf_bytes(&sealed), &opened),
		    WIRE_OK);
		assert_true(
		    bytes_equal(buf_bytes(&plaintext), buf_bytes(&opened)));
	}
	assert_int_equal(
	    alpha_data_key(&peer, &kek, 32, 0, &sealed, &plaintext), WIRE_OK);
	assert_int_equal(sealed.len, 60);
	assert_int_equal(plaintext.len, 0);
	assert_int_equal(
	    alpha_data_key(&peer, &kek, 0, 1, &sealed, &plaintext), WIRE_BAD_REQUEST);
	assert_int_equal(alpha_data_key(&peer, &kek, 513, 1, &sealed, &plaintext),
	    WIRE_BAD_REQUEST);
	assert_int_equal(alpha_data_key(&peer, &kek, 32, 2, &sealed, &plaintext),
	    WIRE_BAD_REQUEST);
	alpha_stop(&peer);
}

static void a_constant_generator_of_the_token_repeats_no_iv_and_no_key(
    void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);
	OWNED_BUF(plaintext);
	OWNED_BUF(again);
	OWNED_BUF(second);

	(void)state;
	home_write(alpha_home.rules, "C_GenerateRandom every:1 constant\n");
	alpha_start(&peer);
	alpha_kek(&peer, "constant", &kek);
	assert_int_equal(
	    alpha_data_key(&peer, &kek, 32, 1, &sealed, &plaintext), WIRE_OK);
	assert_int_equal(
	    alpha_data_key(&peer, &kek, 32, 1, &again, &second), WIRE_OK);
	assert_memory_not_equal(sealed.data, again.data, 12);
	assert_memory_not_equal(plaintext.data, second.data, 32);
	alpha_stop(&peer);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_is_sealed_opens_to_the_same),
	    T(what_does_not_fit_is_refused_and_work_goes_on),
	    T(a_blob_that_the_root_did_not_wrap_is_refused),
	    T(a_data_key_leaves_the_worker_only_when_wanted),
	    T(a_constant_generator_of_the_token_repeats_no_iv_and_no_key),
	};

	return cmocka_run_group_tests(tests, alpha_set_up, alpha_tear_down);
}
