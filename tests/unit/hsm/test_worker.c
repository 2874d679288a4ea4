// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: the worker program as the pool meets it, over its socket,
 * on a real SoftHSM token: each operation, each refusal, and each way in which
 * a token can fail, by the shim.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "hsm/hsm.h"
#include "tests/unit/hsm/home.h"

#define TOKEN "pkcs11:token=alpha"

static struct home home;
static const uint8_t digest[48] =
    "0123456789abcdef0123456789abcdef0123456789abcd";
static const struct bytes sha256 = {digest, 32};
static const struct bytes sha384 = {digest, 48};

static void start(struct peer *peer)
{
	peer_start(peer, home.shim, TOKEN, home.pin_file);
	if (peer->started != WIRE_OK)
		fail_msg("%s", peer->text);
}

static void stop(struct peer *peer)
{
	home_write(home.rules, "");
	assert_int_equal(peer_stop(peer), WIRE_OK);
}

static enum wire_status call(
    struct peer *peer, enum wire_op op, const struct buf *fields)
{
	OWNED_BUF(reply);

	return peer_call(peer, op, fields, &reply);
}

static void ping_works(struct peer *peer)
{
	OWNED_BUF(fields);

	assert_int_equal(call(peer, WIRE_PING, &fields), WIRE_OK);
}

static void a_worker_ends_with_its_socket(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	ping_works(&peer);
	assert_int_equal(peer_stop(&peer), WIRE_OK);
}

static void a_stop_of_the_process_group_does_not_end_a_worker(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	assert_int_equal(kill(peer.pid, SIGTERM), 0);
	assert_int_equal(kill(peer.pid, SIGINT), 0);
	assert_int_equal(kill(peer.pid, SIGHUP), 0);
	ping_works(&peer);
	stop(&peer);
}

/* r || s as DER. */
static void ecdsa_der(const struct buf *raw, struct buf *der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	const int half = (int)raw->len / 2;
	unsigned char *out = NULL;
	int len;

	assert_int_equal(ECDSA_SIG_set0(sig, BN_bin2bn(raw->data, half, NULL),
			     BN_bin2bn(raw->data + half, half, NULL)),
	    1);
	len = i2d_ECDSA_SIG(sig, &out);
	assert_true(len > 0);
	buf_put(der, out, (size_t)len);
	OPENSSL_free(out);
	ECDSA_SIG_free(sig);
}

static bool verifies(struct bytes spki, uint8_t mechanism, struct bytes data,
    const struct buf *signature)
{
	const unsigned char *at = spki.data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	OWNED_BUF(der);
	int good;

	assert_non_null(key);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(
			     ctx, data.len == 32 ? EVP_sha256() : EVP_sha384()),
	    1);
	if (mechanism == HSM_ECDSA) {
		ecdsa_der(signature, &der);
	} else {
		buf_put_bytes(&der, buf_bytes(signature));
		assert_int_equal(
		    EVP_PKEY_CTX_set_rsa_padding(ctx,
			mechanism == HSM_RSA_PKCS1 ? RSA_PKCS1_PADDING
						   : RSA_PKCS1_PSS_PADDING),
		    1);
	}
	if (mechanism == HSM_RSA_PSS_SHA256 || mechanism == HSM_RSA_PSS_SHA384)
		assert_int_equal(
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)data.len), 1);
	good = EVP_PKEY_verify(ctx, der.data, der.len, data.data, data.len);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good == 1;
}

/* As peer_make_pair, with the public key. */
static void make_pair(struct peer *peer, const char *label, uint8_t type,
    char **uri_out, struct buf *spki)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;

	buf_put_lv_str(&fields, label);
	buf_put_u8(&fields, type);
	if (peer_call(peer, WIRE_GENERATE_PAIR, &fields, &reply) != WIRE_OK)
		fail_msg("%s", peer->text);
	reader = reader_over(buf_bytes(&reply));
	*uri_out = reader_lv_str(&reader);
	buf_put_bytes(spki, reader_lv(&reader));
	assert_true(reader_done(&reader));
}

static void signs(struct peer *peer, const char *uri, struct bytes spki,
    uint8_t mechanism, struct bytes data)
{
	static const uint8_t info256[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09,
	    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
	    0x04, 0x20};
	OWNED_BUF(input);
	OWNED_BUF(signature);

	if (mechanism == HSM_RSA_PKCS1)
		buf_put(&input, info256, sizeof(info256));
	buf_put_bytes(&input, data);
	if (peer_sign(peer, uri, mechanism, buf_bytes(&input), &signature) !=
	    WIRE_OK)
		fail_msg("%s", peer->text);
	assert_true(verifies(spki, mechanism, data, &signature));
	signature.data[5] ^= 1;
	assert_false(verifies(spki, mechanism, data, &signature));
}

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
	start(&peer);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED_STR(label) = mem_printf("type-%zu", i);
		OWNED_STR(uri) = NULL;
		OWNED_BUF(spki);

		make_pair(&peer, label, cases[i].type, &uri, &spki);
		signs(&peer, uri, buf_bytes(&spki), cases[i].mechanism,
		    BYTES(digest, cases[i].digest));
	}
	stop(&peer);
}

static void a_key_is_found_again_by_a_new_worker(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);

	(void)state;
	start(&peer);
	make_pair(&peer, "lasting", HSM_EC_P256, &uri, &spki);
	stop(&peer);
	start(&peer);
	signs(&peer, uri, buf_bytes(&spki), HSM_ECDSA, sha256);
	stop(&peer);
}

static void data_that_do_not_belong_to_the_mechanism_are_refused(void **state)
{
	struct peer peer;
	OWNED_STR(ec) = NULL;
	OWNED_STR(rsa) = NULL;
	OWNED_BUF(out);

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "strict-ec", HSM_EC_P256, &ec), WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "strict-rsa", HSM_RSA_2048, &rsa), WIRE_OK);
	assert_int_equal(
	    peer_sign(&peer, ec, HSM_ECDSA, BYTES(digest, 31), &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, ec, 9, sha256, &out), WIRE_BAD_REQUEST);
	assert_int_equal(peer_sign(&peer, ec, HSM_RSA_PSS_SHA256, sha256, &out),
	    WIRE_REFUSED);
	assert_int_equal(
	    peer_sign(&peer, rsa, HSM_ECDSA, sha256, &out), WIRE_REFUSED);
	assert_int_equal(peer_sign(&peer, rsa, HSM_RSA_PKCS1, sha256, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, rsa, HSM_RSA_PSS_SHA256, sha384, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, ec, HSM_ECDSA, sha256, &out), WIRE_OK);
	stop(&peer);
}

static void a_label_in_use_is_not_used_twice(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_STR(second) = NULL;

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "once", HSM_EC_P256, &uri), WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "once", HSM_EC_P384, &second), WIRE_EXISTS);
	assert_int_equal(
	    peer_make_secret(&peer, "once", HSM_USE_MAC, &second), WIRE_EXISTS);
	assert_null(second);
	stop(&peer);
}

static void labels_and_kinds_that_are_none_are_refused(void **state)
{
	static const char longer[] =
	    "a label that is longer than the sixty-four "
	    "octets which are allowed";
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	start(&peer);
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
	stop(&peer);
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
	start(&peer);
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
	stop(&peer);
}

/* A KEK of the worker, with what seals and opens under it. */
struct kek {
	char *root;
	struct buf blob;
};

static void kek_clear(struct kek *kek)
{
	free(kek->root);
	buf_free(&kek->blob);
}
#define SCOPED_KEK(name)                                                       \
	__attribute__((cleanup(kek_clear))) struct kek name = {NULL, BUF_INIT}

static void make_kek(struct peer *peer, const char *label, struct kek *kek)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;

	assert_int_equal(
	    peer_make_secret(peer, label, HSM_USE_WRAP, &kek->root), WIRE_OK);
	buf_put_lv_str(&fields, kek->root);
	assert_int_equal(
	    peer_call(peer, WIRE_KEK_NEW, &fields, &reply), WIRE_OK);
	reader = reader_over(buf_bytes(&reply));
	buf_put_bytes(&kek->blob, reader_lv(&reader));
	assert_true(reader_done(&reader));
	assert_int_equal(kek->blob.len, 40);
}

static void put_kek(struct buf *fields, const struct kek *kek, const char *aad)
{
	buf_put_lv_str(fields, kek->root);
	buf_put_lv(fields, buf_bytes(&kek->blob));
	buf_put_lv_str(fields, aad);
}

static enum wire_status seal(struct peer *peer, const struct kek *kek,
    const char *aad, struct bytes plaintext, struct buf *sealed)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	put_kek(&fields, kek, aad);
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

	put_kek(&fields, kek, aad);
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
	start(&peer);
	make_kek(&peer, "seal", &kek);
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
	assert_int_equal(seal(&peer, &kek, "", sha256, &sealed), WIRE_OK);
	assert_int_equal(
	    open_sealed(&peer, &kek, "", buf_bytes(&sealed), &opened), WIRE_OK);
	stop(&peer);
}

static void what_does_not_fit_is_refused_and_work_goes_on(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	SCOPED_KEK(other);
	OWNED_BUF(sealed);
	OWNED_BUF(opened);

	(void)state;
	start(&peer);
	make_kek(&peer, "fit", &kek);
	make_kek(&peer, "other-root", &other);
	assert_int_equal(seal(&peer, &kek, "aad", sha256, &sealed), WIRE_OK);
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
	stop(&peer);
}

static void a_blob_that_the_root_did_not_wrap_is_refused(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);

	(void)state;
	start(&peer);
	make_kek(&peer, "blob", &kek);
	kek.blob.data[3] ^= 1;
	assert_int_equal(
	    seal(&peer, &kek, "aad", sha256, &sealed), WIRE_UNWRAP);
	kek.blob.data[3] ^= 1;
	kek.blob.len = 32;
	assert_int_equal(
	    seal(&peer, &kek, "aad", sha256, &sealed), WIRE_UNWRAP);
	kek.blob.len = 40;
	assert_int_equal(seal(&peer, &kek, "aad", sha256, &sealed), WIRE_OK);
	stop(&peer);
}

static enum wire_status data_key(struct peer *peer, const struct kek *kek,
    uint16_t len, uint8_t wanted, struct buf *sealed, struct buf *plaintext)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	put_kek(&fields, kek, "cluster/key/1");
	buf_put_u16(&fields, len);
	buf_put_u8(&fields, wanted);
	status = peer_call(peer, WIRE_DATA_KEY, &fields, &reply);
	if (status != WIRE_OK)
		return status;
	reader = reader_over(buf_bytes(&reply));
	buf_reset(sealed);
	buf_reset(plaintext);
	buf_put_bytes(sealed, reader_lv(&reader));
	buf_put_bytes(plaintext, reader_lv(&reader));
	assert_true(reader_done(&reader));
	return status;
}

static void a_data_key_leaves_the_worker_only_when_wanted(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_BUF(sealed);
	OWNED_BUF(plaintext);
	OWNED_BUF(opened);

	(void)state;
	start(&peer);
	make_kek(&peer, "data-key", &kek);
	for (uint16_t len = 16; len <= 64; len = (uint16_t)(len + 16)) {
		assert_int_equal(
		    data_key(&peer, &kek, len, 1, &sealed, &plaintext),
		    WIRE_OK);
		assert_int_equal(plaintext.len, len);
		assert_int_equal(open_sealed(&peer, &kek, "cluster/key/1",
				     buf_bytes(&sealed), &opened),
		    WIRE_OK);
		assert_true(
		    bytes_equal(buf_bytes(&plaintext), buf_bytes(&opened)));
	}
	assert_int_equal(
	    data_key(&peer, &kek, 32, 0, &sealed, &plaintext), WIRE_OK);
	assert_int_equal(sealed.len, 60);
	assert_int_equal(plaintext.len, 0);
	assert_int_equal(
	    data_key(&peer, &kek, 0, 1, &sealed, &plaintext), WIRE_BAD_REQUEST);
	assert_int_equal(data_key(&peer, &kek, 513, 1, &sealed, &plaintext),
	    WIRE_BAD_REQUEST);
	assert_int_equal(data_key(&peer, &kek, 32, 2, &sealed, &plaintext),
	    WIRE_BAD_REQUEST);
	stop(&peer);
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
	home_write(home.rules, "C_GenerateRandom every:1 constant\n");
	start(&peer);
	make_kek(&peer, "constant", &kek);
	assert_int_equal(
	    data_key(&peer, &kek, 32, 1, &sealed, &plaintext), WIRE_OK);
	assert_int_equal(
	    data_key(&peer, &kek, 32, 1, &again, &second), WIRE_OK);
	assert_memory_not_equal(sealed.data, again.data, 12);
	assert_memory_not_equal(plaintext.data, second.data, 32);
	stop(&peer);
}

static void requests_that_do_not_parse_are_refused(void **state)
{
	struct peer peer;
	OWNED_BUF(fields);

	(void)state;
	start(&peer);
	assert_int_equal(
	    call(&peer, (enum wire_op)0, &fields), WIRE_BAD_REQUEST);
	assert_int_equal(
	    call(&peer, (enum wire_op)200, &fields), WIRE_BAD_REQUEST);
	for (int op = WIRE_GENERATE_PAIR; op <= WIRE_CHECK_KEY; op++)
		assert_int_equal(
		    call(&peer, (enum wire_op)op, &fields), WIRE_BAD_REQUEST);
	buf_put_u8(&fields, 0); /* one octet too many, or too few */
	for (int op = WIRE_PING; op <= WIRE_CHECK_KEY; op++)
		assert_int_equal(
		    call(&peer, (enum wire_op)op, &fields), WIRE_BAD_REQUEST);
	ping_works(&peer);
	stop(&peer);
}

static void keys_that_are_not_there_or_badly_named_are_refused(void **state)
{
	struct peer peer;
	OWNED_BUF(out);

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_sign(&peer, TOKEN ";object=nowhere", HSM_ECDSA, sha256, &out),
	    WIRE_NO_KEY);
	assert_int_equal(peer_sign(&peer, "pkcs11:token=other;object=nowhere",
			     HSM_ECDSA, sha256, &out),
	    WIRE_NO_KEY);
	assert_int_equal(peer_sign(&peer, "nonsense", HSM_ECDSA, sha256, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, "", HSM_ECDSA, sha256, &out), WIRE_BAD_REQUEST);
	stop(&peer);
}

static void a_frame_that_comes_in_pieces_is_answered_when_whole(void **state)
{
	static const uint8_t ping[] = {0, 0, 0, 5, 0, 0, 0, 9, WIRE_PING};
	struct peer peer;
	OWNED_BUF(reply);
	enum wire_status status;
	uint32_t id = 0;

	(void)state;
	start(&peer);
	for (size_t i = 0; i < sizeof(ping); i++)
		assert_int_equal(write(peer.fd, &ping[i], 1), 1);
	assert_true(peer_read(&peer, &id, &status, &reply));
	assert_int_equal(id, 9);
	assert_int_equal(status, WIRE_OK);
	/* half a frame and then the end is an end */
	assert_int_equal(write(peer.fd, ping, 6), 6);
	stop(&peer);
}

static void a_frame_against_the_protocol_ends_the_worker(void **state)
{
	static const uint8_t longer[] = {0x00, 0x10, 0x00, 0x01, 0, 0, 0, 1, 1};
	static const uint8_t shorter[] = {0, 0, 0, 4, 0, 0, 0, 1};
	struct peer peer;

	(void)state;
	start(&peer);
	assert_int_equal(write(peer.fd, longer, sizeof(longer)), 9);
	assert_int_equal(peer_wait(&peer), WIRE_BAD_REQUEST);
	start(&peer);
	assert_int_equal(write(peer.fd, shorter, sizeof(shorter)), 8);
	assert_int_equal(peer_wait(&peer), WIRE_BAD_REQUEST);
}

static void replies_come_in_the_order_of_the_requests(void **state)
{
	struct peer peer;
	OWNED_BUF(out);
	OWNED_BUF(reply);
	enum wire_status status;

	(void)state;
	start(&peer);
	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t op = i % 3 == 0 ? WIRE_RANDOM : WIRE_PING;
		size_t mark = frame_begin(&out, i, op, 2);

		if (op == WIRE_RANDOM)
			buf_put_u16(&out, (uint16_t)(i % 64 + 1));
		assert_true(frame_end(&out, mark));
	}
	assert_true(frame_send(peer.fd, &out));
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t id = 0;

		assert_true(peer_read(&peer, &id, &status, &reply));
		assert_int_equal(id, i);
		assert_int_equal(status, WIRE_OK);
		assert_int_equal(reply.len, i % 3 == 0 ? 4 + i % 64 + 1 : 0);
	}
	stop(&peer);
}

static void the_list_tells_what_was_made(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	unsigned found = 0;

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "listed", HSM_EC_P384, &uri), WIRE_OK);
	assert_int_equal(peer_call(&peer, WIRE_LIST, &fields, &reply), WIRE_OK);
	reader = reader_over(buf_bytes(&reply));
	for (uint32_t left = reader_u32(&reader); left > 0; left--) {
		OWNED_STR(this) = reader_lv_str(&reader);
		OWNED_STR(label) = reader_lv_str(&reader);
		OWNED_STR(kind) = reader_lv_str(&reader);
		OWNED_STR(type) = reader_lv_str(&reader);
		struct bytes id = reader_lv(&reader);
		uint32_t attributes = reader_u32(&reader);

		(void)reader_u32(&reader);
		assert_false(reader.failed);
		assert_true((attributes & HSM_ATTR_TOKEN) != 0);
		if (strcmp(this, uri) != 0)
			continue;
		found++;
		assert_string_equal(label, "listed");
		assert_string_equal(kind, "private");
		assert_string_equal(type, "ec-p384");
		assert_int_equal(id.len, 16);
		assert_int_equal(attributes,
		    HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE |
			HSM_ATTR_ALWAYS_SENSITIVE | HSM_ATTR_NEVER_EXTRACTABLE |
			HSM_ATTR_LOCAL | HSM_ATTR_SIGN);
	}
	assert_true(reader_done(&reader));
	assert_int_equal(found, 1);
	stop(&peer);
}

static void sessions_that_are_lost_are_not_noticed(void **state)
{
	struct peer peer;
	SCOPED_KEK(kek);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	OWNED_BUF(sealed);
	OWNED_BUF(plaintext);

	(void)state;
	start(&peer);
	make_pair(&peer, "loss", HSM_EC_P256, &uri, &spki);
	make_kek(&peer, "loss-root", &kek);
	home_uncount(&home);
	home_write(home.rules,
	    "C_Sign every:10 0xB3\nC_Encrypt every:7 0xB3\n"
	    "C_SignInit every:13 0x101\nC_EncryptInit every:11 0x60\n");
	for (int i = 0; i < 60; i++) {
		signs(&peer, uri, buf_bytes(&spki), HSM_ECDSA, sha256);
		assert_int_equal(
		    data_key(&peer, &kek, 32, 1, &sealed, &plaintext), WIRE_OK);
	}
	assert_true(home_count(&home, "C_Login") >= 10);
	stop(&peer);
}

static void a_session_that_is_lost_for_good_is_the_callers_answer(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "for-good", HSM_EC_P256, &uri), WIRE_OK);
	home_write(home.rules, "C_Sign from:1 0xB3\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_REFUSED);
	home_write(home.rules, "");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_OK);
	stop(&peer);
}

static void an_operation_that_fails_half_way_spoils_no_other(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "half", HSM_EC_P256, &uri), WIRE_OK);
	/* The real operation stays open in the session. */
	home_write(home.rules, "C_Sign 1 0x21\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_REFUSED);
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_OK);
	/* "Something failed" is tried again on new sessions. */
	home_write(home.rules, "C_Sign 1 0x5\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_OK);
	stop(&peer);
}

static void a_p384_signature_of_a_short_digest_has_its_full_length(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "length", HSM_EC_P384, &uri), WIRE_OK);
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_OK);
	assert_int_equal(out.len, 96);
	stop(&peer);
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
	start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "gone", HSM_EC_P256, &uri), WIRE_OK);
	stop(&peer);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		start(&peer);
		home_write(home.rules, rules[i]);
		assert_int_equal(peer_sign(&peer, uri, HSM_ECDSA, sha256, &out),
		    WIRE_DEVICE_GONE);
		assert_int_equal(peer_wait(&peer), WIRE_DEVICE_GONE);
		home_write(home.rules, "");
	}
}

static void generation_is_never_tried_twice(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	start(&peer);
	home_uncount(&home);
	home_write(home.rules, "C_GenerateKeyPair 1 0xB3\n"
			       "C_GenerateKey 1 0x5\n");
	assert_int_equal(
	    peer_make_pair(&peer, "never", HSM_EC_P256, &uri), WIRE_REFUSED);
	assert_non_null(strstr(peer.text, "not tried again"));
	assert_int_equal(home_count(&home, "C_GenerateKeyPair"), 1);
	assert_int_equal(
	    peer_make_secret(&peer, "never", HSM_USE_MAC, &uri), WIRE_REFUSED);
	assert_int_equal(home_count(&home, "C_GenerateKey"), 1);
	assert_int_equal(
	    peer_make_pair(&peer, "never", HSM_EC_P256, &uri), WIRE_OK);
	stop(&peer);
}

static void a_pair_that_cannot_be_read_back_is_destroyed(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;

	(void)state;
	start(&peer);
	home_uncount(&home);
	/* its class */
	home_write(home.rules, "C_GetAttributeValue 1 0x12\n");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_REFUSED);
	assert_int_equal(home_count(&home, "C_DestroyObject"), 2);
	/* CKA_EXTRACTABLE, after class, names, type and four others */
	home_write(home.rules, "C_GetAttributeValue 10 0x12\n");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_UNSAFE);
	assert_non_null(strstr(peer.text, "whether it is extractable"));
	assert_int_equal(home_count(&home, "C_DestroyObject"), 4);
	home_write(home.rules, "");
	assert_int_equal(
	    peer_make_pair(&peer, "unread", HSM_EC_P256, &uri), WIRE_OK);
	stop(&peer);
}

static void a_wrong_pin_is_tried_exactly_once(void **state)
{
	OWNED_STR(wrong) = mem_printf("%s/wrong-pin", home.dir);
	struct peer peer;

	(void)state;
	home_write(wrong, "wrong-pin-0815\n");
	home_uncount(&home);
	peer_start(&peer, home.shim, TOKEN, wrong);
	assert_int_equal(peer.started, WIRE_PIN);
	assert_non_null(strstr(peer.text, "CKR_PIN_INCORRECT"));
	assert_null(strstr(peer.text, "0815"));
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&home, "C_Login"), 1);
}

static void a_locked_pin_ends_the_worker(void **state)
{
	struct peer peer;

	(void)state;
	home_uncount(&home);
	home_write(home.rules, "C_Login every:1 0xA4\n");
	peer_start(&peer, home.shim, TOKEN, home.pin_file);
	assert_int_equal(peer.started, WIRE_PIN);
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&home, "C_Login"), 1);
	home_write(home.rules, "");
}

static void a_pin_that_was_changed_meanwhile_is_tried_once(void **state)
{
	OWNED_STR(pin_file) = mem_printf("%s/changing-pin", home.dir);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);
	struct peer peer;

	(void)state;
	home_write(pin_file, HOME_PIN);
	peer_start(&peer, home.shim, TOKEN, pin_file);
	assert_int_equal(peer.started, WIRE_OK);
	assert_int_equal(
	    peer_make_pair(&peer, "changing", HSM_EC_P256, &uri), WIRE_OK);
	home_write(pin_file, "another-pin");
	home_uncount(&home);
	home_write(home.rules, "C_Sign 1 0xB3\n");
	assert_int_equal(
	    peer_sign(&peer, uri, HSM_ECDSA, sha256, &out), WIRE_PIN);
	assert_int_equal(peer_wait(&peer), WIRE_PIN);
	assert_int_equal(home_count(&home, "C_Login"), 1);
	home_write(home.rules, "");
}

/* Many workers lose their sessions at one moment, and one wrong PIN each would
 * lock the token. */
static void workers_that_lose_sessions_together_try_a_wrong_pin_once(
    void **state)
{
	OWNED_STR(pin_file) = mem_printf("%s/shared-pin", home.dir);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(out);
	struct peer peers[3], later;

	(void)state;
	home_write(pin_file, HOME_PIN);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		peer_start(&peers[i], home.shim, TOKEN, pin_file);
		assert_int_equal(peers[i].started, WIRE_OK);
	}
	assert_int_equal(
	    peer_make_pair(&peers[0], "shared", HSM_EC_P256, &uri), WIRE_OK);
	home_write(pin_file, "another-pin");
	home_uncount(&home);
	home_write(home.rules, "C_Sign 1 0xB3\n");
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		enum wire_status want = i == 0 ? WIRE_PIN : WIRE_DEVICE_GONE;

		assert_int_equal(peer_sign(&peers[i], uri, HSM_ECDSA, sha256,
				     &out), want);
		assert_int_equal(peer_wait(&peers[i]), want);
	}
	assert_int_equal(home_count(&home, "C_Login"), 1);
	home_write(home.rules, "");
	/* A start does try, and with the right PIN all is well again. */
	peer_start(&later, home.shim, TOKEN, home.pin_file);
	assert_int_equal(later.started, WIRE_OK);
	stop(&later);
}

static void refused_at_start(
    const char *module, const char *token, const char *pin_file)
{
	struct peer peer;

	home_uncount(&home);
	peer_start(&peer, module, token, pin_file);
	assert_int_equal(peer.started, WIRE_CONFIG);
	assert_true(strlen(peer.text) > 0);
	assert_int_equal(peer_wait(&peer), WIRE_CONFIG);
	assert_int_equal(home_count(&home, "C_Login"), 0);
}

static void a_configuration_that_cannot_work_is_told_at_start(void **state)
{
	OWNED_STR(open) = mem_printf("%s/open-pin", home.dir);
	OWNED_STR(absent) = mem_printf("%s/absent", home.dir);

	(void)state;
	home_write(open, HOME_PIN);
	assert_int_equal(chmod(open, 0644), 0);
	refused_at_start(home.shim, TOKEN, open);
	refused_at_start(home.shim, TOKEN, absent);
	refused_at_start(home.shim, "pkcs11:token=nowhere", home.pin_file);
	refused_at_start(home.shim, "alpha", home.pin_file);
	refused_at_start(absent, TOKEN, home.pin_file);
}

static void a_check_tells_the_attributes_of_now(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;

	(void)state;
	start(&peer);
	assert_int_equal(
	    peer_make_secret(&peer, "checked", HSM_USE_WRAP, &uri), WIRE_OK);
	buf_put_lv_str(&fields, uri);
	assert_int_equal(
	    peer_call(&peer, WIRE_CHECK_KEY, &fields, &reply), WIRE_OK);
	reader = reader_over(buf_bytes(&reply));
	OWNED_STR(same) = reader_lv_str(&reader);
	assert_string_equal(same, uri);
	buf_reset(&fields);
	buf_put_lv_str(&fields, TOKEN ";object=absent");
	assert_int_equal(call(&peer, WIRE_CHECK_KEY, &fields), WIRE_NO_KEY);
	stop(&peer);
}

static int set_up(void **state)
{
	(void)state;
	home_open(&home);
	assert_int_equal(home_init_token(&home, "alpha"), WIRE_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	home_close(&home);
	return 0;
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_worker_ends_with_its_socket),
	    T(a_stop_of_the_process_group_does_not_end_a_worker),
	    T(every_type_of_key_signs_what_openssl_verifies),
	    T(a_key_is_found_again_by_a_new_worker),
	    T(data_that_do_not_belong_to_the_mechanism_are_refused),
	    T(a_label_in_use_is_not_used_twice),
	    T(labels_and_kinds_that_are_none_are_refused),
	    T(a_mac_depends_on_its_data_and_is_bounded),
	    T(what_is_sealed_opens_to_the_same),
	    T(what_does_not_fit_is_refused_and_work_goes_on),
	    T(a_blob_that_the_root_did_not_wrap_is_refused),
	    T(a_data_key_leaves_the_worker_only_when_wanted),
	    T(a_constant_generator_of_the_token_repeats_no_iv_and_no_key),
	    T(requests_that_do_not_parse_are_refused),
	    T(keys_that_are_not_there_or_badly_named_are_refused),
	    T(a_frame_that_comes_in_pieces_is_answered_when_whole),
	    T(a_frame_against_the_protocol_ends_the_worker),
	    T(replies_come_in_the_order_of_the_requests),
	    T(the_list_tells_what_was_made),
	    T(sessions_that_are_lost_are_not_noticed),
	    T(a_session_that_is_lost_for_good_is_the_callers_answer),
	    T(an_operation_that_fails_half_way_spoils_no_other),
	    T(a_p384_signature_of_a_short_digest_has_its_full_length),
	    T(a_token_that_is_gone_ends_the_worker),
	    T(generation_is_never_tried_twice),
	    T(a_pair_that_cannot_be_read_back_is_destroyed),
	    T(a_wrong_pin_is_tried_exactly_once),
	    T(a_locked_pin_ends_the_worker),
	    T(a_pin_that_was_changed_meanwhile_is_tried_once),
	    T(workers_that_lose_sessions_together_try_a_wrong_pin_once),
	    T(a_configuration_that_cannot_work_is_told_at_start),
	    T(a_check_tells_the_attributes_of_now),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
