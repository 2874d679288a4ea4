// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/hsm/alpha.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "hsm/hsm.h"

struct home alpha_home;

const uint8_t alpha_digest[48] =
    "0123456789abcdef0123456789abcdef0123456789abcd";

const struct bytes alpha_sha256 = {alpha_digest, 32};

const struct bytes alpha_sha384 = {alpha_digest, 48};

void alpha_start(struct peer *peer)
{
	peer_start(peer, alpha_home.shim, TOKEN, alpha_home.pin_file);
	if (peer->started != WIRE_OK)
		fail_msg("%s", peer->text);
}

void alpha_stop(struct peer *peer)
{
	home_write(alpha_home.rules, "");
	assert_int_equal(peer_stop(peer), WIRE_OK);
}

enum wire_status alpha_call(
    struct peer *peer, enum wire_op op, const struct buf *fields)
{
	OWNED_BUF(reply);

	return peer_call(peer, op, fields, &reply);
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

bool alpha_verifies(struct bytes spki, uint8_t mechanism, struct bytes data,
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

void alpha_pair(struct peer *peer, const char *label, uint8_t type,
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

void alpha_signs(struct peer *peer, const char *uri, struct bytes spki,
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
	assert_true(alpha_verifies(spki, mechanism, data, &signature));
	signature.data[5] ^= 1;
	assert_false(alpha_verifies(spki, mechanism, data, &signature));
}

void alpha_kek_clear(struct kek *kek)
{
	free(kek->root);
	buf_free(&kek->blob);
}

void alpha_kek(struct peer *peer, const char *label, struct kek *kek)
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

void alpha_kek_put(struct buf *fields, const struct kek *kek, const char *aad)
{
	buf_put_lv_str(fields, kek->root);
	buf_put_lv(fields, buf_bytes(&kek->blob));
	buf_put_lv_str(fields, aad);
}

enum wire_status alpha_data_key(struct peer *peer, const struct kek *kek,
    uint16_t len, uint8_t wanted, struct buf *sealed, struct buf *plaintext)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	alpha_kek_put(&fields, kek, "cluster/key/1");
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

int alpha_set_up(void **state)
{
	(void)state;
	home_open(&alpha_home);
	assert_int_equal(home_init_token(&alpha_home, "alpha"), WIRE_OK);
	return 0;
}

int alpha_tear_down(void **state)
{
	(void)state;
	home_close(&alpha_home);
	return 0;
}
