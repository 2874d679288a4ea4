// SPDX-License-Identifier: Apache-2.0
/*
 * The encoding of a P-256 key has one length, so it is written in place: a
 * general encoder would leave copies of the scalar in ordinary memory.
 */
#include "ca/softkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <string.h>

#define SCALAR_SIZE 32
#define POINT_SIZE 65
#define LINE_OCTETS 48		/* of content in a line of 64 characters */

/* PrivateKeyInfo with ECPrivateKey up to the scalar, and between scalar and
 * public point. */
static const uint8_t before_scalar[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00,
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30,
    0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t before_point[] = {0xa1, 0x44, 0x03, 0x42, 0x00};
#define DER_SIZE                                                               \
	(sizeof(before_scalar) + SCALAR_SIZE + sizeof(before_point) +          \
	    POINT_SIZE)

static const char pem_begin[] = "-----BEGIN PRIVATE KEY-----\n";
static const char pem_end[] = "-----END PRIVATE KEY-----\n";
#define LINES ((DER_SIZE + LINE_OCTETS - 1) / LINE_OCTETS)
#define PEM_SIZE                                                               \
	(sizeof(pem_begin) - 1 + (DER_SIZE + 2) / 3 * 4 + LINES +              \
	    sizeof(pem_end) - 1)

static enum err_code write_der(
    EVP_PKEY *key, uint8_t der[static DER_SIZE], struct err *err)
{
	uint8_t *scalar = der + sizeof(before_scalar);
	uint8_t *middle = scalar + SCALAR_SIZE;
	uint8_t *point = middle + sizeof(before_point);
	BIGNUM *number = NULL;
	size_t len = 0;
	bool ok;

	memcpy(der, before_scalar, sizeof(before_scalar));
	memcpy(middle, before_point, sizeof(before_point));
	ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) ==
	    1 &&
	    BN_bn2binpad(number, scalar, SCALAR_SIZE) == SCALAR_SIZE &&
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY,
		point, POINT_SIZE, &len) == 1 &&
	    len == POINT_SIZE && point[0] == 0x04;
	BN_clear_free(number);
	return ok ? ERR_OK : err_fail_crypto(err, "encoding a private key");
}

static struct secret *write_pem(struct bytes der)
{
	struct secret *pem = secret_new(PEM_SIZE);
	uint8_t *at = secret_data(pem);

	memcpy(at, pem_begin, sizeof(pem_begin) - 1);
	at += sizeof(pem_begin) - 1;
	for (size_t i = 0; i < der.len; i += LINE_OCTETS) {
		size_t left = der.len - i;

		/* It writes a NUL too, which the line's end replaces. */
		at += EVP_EncodeBlock(at, der.data + i,
		    (int)(left < LINE_OCTETS ? left : LINE_OCTETS));
		*at++ = '\n';
	}
	memcpy(at, pem_end, sizeof(pem_end) - 1);
	return pem;
}

enum err_code softkey_new(
    EVP_PKEY **key_out, struct secret **pem_out, struct err *err)
{
	OWNED(secret) der = secret_new(DER_SIZE);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	enum err_code code;

	if (key == NULL)
		return err_fail_crypto(err, "making a key pair");
	code = write_der(key, secret_data(der), err);
	if (code != ERR_OK) {
		EVP_PKEY_free(key);
		return code;
	}
	*pem_out = write_pem(secret_bytes(der));
	*key_out = key;
	return ERR_OK;
}
