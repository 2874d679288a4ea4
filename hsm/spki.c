// SPDX-License-Identifier: Apache-2.0
#include "hsm/spki.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

/* OpenSSL's types in this project's cleanup idiom. */
#define CLEANUP(type, free_function)                                           \
	static void cleanup_##type(type **owned)                               \
	{                                                                      \
		free_function(*owned);                                         \
	}
#define SCOPED(type) __attribute__((cleanup(cleanup_##type))) type *
CLEANUP(EVP_PKEY, EVP_PKEY_free)
CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
CLEANUP(BIGNUM, BN_free)
CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
CLEANUP(OSSL_PARAM, OSSL_PARAM_free)

/* Builds the key, checks it as a public key, writes it. */
static enum err_code spki_from_params(const char *algorithm, OSSL_PARAM *params,
    struct buf *spki, struct err *err)
{
	SCOPED(EVP_PKEY) key = NULL;
	SCOPED(EVP_PKEY_CTX)
	make = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	SCOPED(EVP_PKEY_CTX) check = NULL;
	uint8_t *der = NULL;
	int len;

	if (make == NULL || EVP_PKEY_fromdata_init(make) != 1 ||
	    EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return err_fail_crypto(err, "read the token's public key");
	check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (check == NULL || EVP_PKEY_public_check(check) != 1)
		return err_fail_crypto(err, "check the token's public key");
	len = i2d_PUBKEY(key, &der);
	if (len <= 0)
		return err_fail_crypto(err, "write the token's public key");
	buf_put(spki, der, (size_t)len);
	OPENSSL_free(der);
	return ERR_OK;
}

/* Octets of a coordinate; 0 for RSA. */
static size_t coordinate_size(enum hsm_key_type type)
{
	switch (type) {
	case HSM_EC_P256:
		return 32;
	case HSM_EC_P384:
		return 48;
	case HSM_RSA_2048:
	case HSM_RSA_3072:
	case HSM_RSA_4096:
		break;
	}
	return 0;
}

/* The bare point 04 || X || Y; empty when it is none. */
static struct bytes bare_point(struct bytes point, size_t coordinate)
{
	const size_t bare = 1 + 2 * coordinate; /* at most 97 */

	if (point.len == bare + 2 && point.data[0] == 0x04 &&
	    point.data[1] == bare)
		point = BYTES(point.data + 2, bare);
	if (point.len != bare || point.data[0] != 0x04)
		return BYTES(NULL, 0);
	return point;
}

enum err_code spki_from_point(enum hsm_key_type type, struct bytes point,
    struct buf *spki, struct err *err)
{
	SCOPED(OSSL_PARAM_BLD) build = OSSL_PARAM_BLD_new();
	SCOPED(OSSL_PARAM) params = NULL;
	const char *group =
	    type == HSM_EC_P256 ? SN_X9_62_prime256v1 : SN_secp384r1;
	const size_t coordinate = coordinate_size(type);

	if (coordinate == 0)
		return err_fail(err, ERR_CRYPTO, "not an EC type");
	point = bare_point(point, coordinate);
	if (point.data == NULL)
		return err_fail(err, ERR_CRYPTO,
		    "CKA_EC_POINT is not an uncompressed point of the curve");
	if (build == NULL ||
	    OSSL_PARAM_BLD_push_utf8_string(
		build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(
		build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len) != 1)
		return err_fail_crypto(err, "EC parameters");
	params = OSSL_PARAM_BLD_to_param(build);
	if (params == NULL)
		return err_fail_crypto(err, "EC parameters");
	return spki_from_params("EC", params, spki, err);
}

static int type_bits(enum hsm_key_type type)
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
	return 0;
}

enum err_code spki_from_modulus(enum hsm_key_type type, struct bytes modulus,
    struct bytes exponent, struct buf *spki, struct err *err)
{
	SCOPED(OSSL_PARAM_BLD) build = OSSL_PARAM_BLD_new();
	SCOPED(OSSL_PARAM) params = NULL;
	SCOPED(BIGNUM) n = NULL;
	SCOPED(BIGNUM) e = NULL;

	if (modulus.len > 1024 || exponent.len > 16)
		return err_fail(err, ERR_CRYPTO, "RSA key of absurd size");
	n = BN_bin2bn(modulus.data, (int)modulus.len, NULL);
	e = BN_bin2bn(exponent.data, (int)exponent.len, NULL);
	if (n == NULL || e == NULL || build == NULL)
		return err_fail_crypto(err, "RSA numbers");
	if (BN_num_bits(n) != type_bits(type) || !BN_is_odd(n))
		return err_fail(err, ERR_CRYPTO,
		    "the token's RSA modulus has %d bits, wanted %d",
		    BN_num_bits(n), type_bits(type));
	if (!BN_is_word(e, 65537))
		return err_fail(
		    err, ERR_CRYPTO, "the token's RSA exponent is not 65537");
	if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		return err_fail_crypto(err, "RSA parameters");
	params = OSSL_PARAM_BLD_to_param(build);
	if (params == NULL)
		return err_fail_crypto(err, "RSA parameters");
	return spki_from_params("RSA", params, spki, err);
}
