// SPDX-License-Identifier: Apache-2.0
#include "ca/keycheck.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/tlv.h"

#define PUBLIC_EXPONENT 65537

/* What DEFINE_CLEANUP does, for types of OpenSSL. */
static void cleanup_bn(BIGNUM **bn)
{
	BN_free(*bn);
}

static void cleanup_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void cleanup_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

static void cleanup_builder(OSSL_PARAM_BLD **builder)
{
	OSSL_PARAM_BLD_free(*builder);
}

static void cleanup_params(OSSL_PARAM **params)
{
	OSSL_PARAM_free(*params);
}
#define CLEANUP(function) __attribute__((cleanup(function)))

static const char accepted_keys[] =
    "use EC P-256 or P-384, or RSA of 2048, 3072 or 4096 bits";

/* The curves of the list, by the octets of their OID. */
static const struct curve {
	enum key_type type;
	const char *group;
	uint8_t oid[8];
	size_t oid_len;
	size_t coordinate;	/* octets */
} curves[] = {
	{KEY_EC_P256, "prime256v1",
	    {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 8, 32},
	{KEY_EC_P384, "secp384r1", {0x2b, 0x81, 0x04, 0x00, 0x22}, 5, 48},
};

static enum err_code check_ec(
    EVP_PKEY *key, enum key_type *type_out, struct err *err)
{
	char group[64] = "";
	int is_explicit = 0;

	(void)EVP_PKEY_get_int_param(key,
	    OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit);
	if (is_explicit != 0)
		return err_refuse(err, ERR_BAD_KEY,
		    "EC curve given by explicit parameters, not by name "
		    "(RFC 5480 2.1.1); %s", accepted_keys);
	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME,
		group, sizeof(group), NULL) != 1)
		return err_fail_crypto(err, "name of the curve");
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (strcmp(group, curves[i].group) == 0) {
			*type_out = curves[i].type;
			return ERR_OK;
		}
	}
	return err_refuse(err, ERR_BAD_KEY, "EC curve %s is not accepted; %s",
	    err_quote_str(group), accepted_keys);
}

static enum err_code rsa_type(
    int bits, enum key_type *type_out, struct err *err)
{
	if (bits == 2048)
		*type_out = KEY_RSA_2048;
	else if (bits == 3072)
		*type_out = KEY_RSA_3072;
	else if (bits == 4096)
		*type_out = KEY_RSA_4096;
	else
		return err_refuse(err, ERR_BAD_KEY,
		    "RSA key of %d bits is not accepted; %s", bits,
		    accepted_keys);
	return ERR_OK;
}

static enum err_code check_rsa(
    EVP_PKEY *key, enum key_type *type_out, struct err *err)
{
	CLEANUP(cleanup_bn) BIGNUM *e = NULL;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
		return err_fail_crypto(err, "RSA exponent");
	if (BN_is_word(e, PUBLIC_EXPONENT) != 1)
		return err_refuse(err, ERR_BAD_KEY,
		    "RSA exponent is not 65537; make the key with e = 65537");
	return rsa_type(EVP_PKEY_get_bits(key), type_out, err);
}

/* The point on its curve, or the modulus without small factors (SP 800-56A
 * 5.6.2.3.4, SP 800-89 5.3.3). */
static enum err_code check_public(EVP_PKEY *key, struct err *err)
{
	CLEANUP(cleanup_context) EVP_PKEY_CTX *context =
	    EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

	if (context == NULL)
		return err_fail_crypto(err, "context of a public key");
	if (EVP_PKEY_public_check_quick(context) != 1) {
		ERR_clear_error();
		return err_refuse(err, ERR_BAD_KEY,
		    "public key is not valid (%s); make a new key pair",
		    EVP_PKEY_is_a(key, "EC") ? "point not on its curve"
					     : "modulus is not a product of "
					       "two large primes");
	}
	return ERR_OK;
}

enum err_code keycheck(
    EVP_PKEY *key, enum key_type *type_out, struct err *err)
{
	enum err_code code;

	if (EVP_PKEY_is_a(key, "EC"))
		code = check_ec(key, type_out, err);
	else if (EVP_PKEY_is_a(key, "RSA"))
		code = check_rsa(key, type_out, err);
	else
		return err_refuse(err, ERR_BAD_KEY,
		    "key type is not accepted; %s", accepted_keys);
	return code == ERR_OK ? check_public(key, err) : code;
}

static enum err_code key_from_params(const char *algorithm,
    OSSL_PARAM *params, EVP_PKEY **key_out, struct err *err)
{
	CLEANUP(cleanup_context) EVP_PKEY_CTX *context =
	    EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);

	if (context == NULL || EVP_PKEY_fromdata_init(context) != 1)
		return err_fail_crypto(err, "context for a public key");
	if (EVP_PKEY_fromdata(context, key_out, EVP_PKEY_PUBLIC_KEY, params) !=
	    1) {
		ERR_clear_error();
		return err_refuse(err, ERR_BAD_KEY,
		    "public key is not valid; make a new key pair");
	}
	return ERR_OK;
}

static const struct curve *find_curve(struct bytes oid)
{
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (bytes_equal(oid, BYTES(curves[i].oid, curves[i].oid_len)))
			return &curves[i];
	}
	return NULL;
}

/* For each curve a key without a point.  To copy it and set a point takes a
 * quarter of what a key from nothing does, and no lock of OpenSSL's fetching. */
static EVP_PKEY *empty_keys[ARRAY_LEN(curves)];
static pthread_once_t empty_once = PTHREAD_ONCE_INIT;

static void make_empty_keys(void)
{
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		CLEANUP(cleanup_context) EVP_PKEY_CTX *context =
		    EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(
			    OSSL_PKEY_PARAM_GROUP_NAME,
			    (char *)(uintptr_t)curves[i].group, 0),
			OSSL_PARAM_construct_end(),
		};

		if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
		    EVP_PKEY_fromdata(context, &empty_keys[i],
			EVP_PKEY_KEY_PARAMETERS, params) != 1)
			abort();	/* no default provider: nothing works */
	}
}

/* Refuses a point that is not on the curve. */
static enum err_code key_on_curve(const struct curve *curve,
    struct bytes point, EVP_PKEY **key_out, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;

	if (pthread_once(&empty_once, make_empty_keys) != 0)
		abort();
	key = EVP_PKEY_dup(empty_keys[curve - curves]);
	if (key == NULL)
		return err_fail_crypto(err, "copying an EC key");
	if (EVP_PKEY_set1_encoded_public_key(key, point.data, point.len) !=
	    1) {
		ERR_clear_error();
		return err_refuse(err, ERR_BAD_KEY,
		    "public key is not valid; make a new key pair");
	}
	*key_out = GIVE(key);
	return ERR_OK;
}

/* PARAMETERS: what follows id-ecPublicKey, ECParameters (RFC 5480 2.1.1). */
static enum err_code decode_ec(struct bytes parameters, struct bytes point,
    EVP_PKEY **key_out, struct err *err)
{
	char text[TLV_OID_TEXT_SIZE];
	const struct curve *curve;
	struct tlv name;

	if (!tlv_take(&parameters, DER_OID, &name) || parameters.len > 0)
		return err_refuse(err, ERR_BAD_KEY,
		    "EC curve is not given by name (RFC 5480 2.1.1); %s",
		    accepted_keys);
	curve = find_curve(name.content);
	if (curve == NULL)
		return err_refuse(err, ERR_BAD_KEY,
		    "EC curve %s is not accepted; %s",
		    tlv_oid_text(&name, text), accepted_keys);
	if (point.len != 1 + 2 * curve->coordinate || point.data[0] != 0x04)
		return err_refuse(err, ERR_BAD_KEY,
		    "EC point is not in uncompressed form (RFC 5480 2.2)");

	return key_on_curve(curve, point, key_out, err);
}

static enum err_code rsa_from_numbers(struct bytes n, struct bytes e,
    EVP_PKEY **key_out, struct err *err)
{
	CLEANUP(cleanup_bn) BIGNUM *modulus =
	    BN_bin2bn(n.data, (int)n.len, NULL);
	CLEANUP(cleanup_bn) BIGNUM *exponent =
	    BN_bin2bn(e.data, (int)e.len, NULL);
	CLEANUP(cleanup_builder) OSSL_PARAM_BLD *builder =
	    OSSL_PARAM_BLD_new();
	CLEANUP(cleanup_params) OSSL_PARAM *params = NULL;

	if (modulus == NULL || exponent == NULL || builder == NULL ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) !=
		1 ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) !=
		1 ||
	    (params = OSSL_PARAM_BLD_to_param(builder)) == NULL)
		return err_fail_crypto(err, "numbers of an RSA key");
	return key_from_params("RSA", params, key_out, err);
}

static int bit_length(struct bytes magnitude)
{
	int bits = (int)(8 * magnitude.len);

	for (uint8_t top = magnitude.data[0]; (top & 0x80) == 0 && bits > 0;
	     top = (uint8_t)(top << 1))
		bits--;
	return bits;
}

/* Size and exponent are checked on the octets, so that no arithmetic is ever
 * done with a number of another size. */
static enum err_code decode_rsa(struct bytes parameters, struct bytes key,
    EVP_PKEY **key_out, struct err *err)
{
	static const uint8_t null[] = {DER_NULL, 0};
	struct tlv sequence, n_tlv, e_tlv;
	struct bytes n, e;
	enum key_type type;
	enum err_code code;

	if (!bytes_equal(parameters, BYTES_OF(null)))
		return err_refuse(err, ERR_BAD_KEY,
		    "parameters of rsaEncryption are not NULL "
		    "(RFC 3279 2.3.1)");
	if (!tlv_take(&key, DER_SEQUENCE, &sequence) || key.len > 0 ||
	    !tlv_take(&sequence.content, DER_INTEGER, &n_tlv) ||
	    !tlv_take(&sequence.content, DER_INTEGER, &e_tlv) ||
	    sequence.content.len > 0 || !tlv_unsigned(n_tlv.content, &n) ||
	    !tlv_unsigned(e_tlv.content, &e))
		return err_refuse(err, ERR_BAD_KEY,
		    "RSA key is not an RSAPublicKey (RFC 8017 A.1.1)");
	if ((code = rsa_type(bit_length(n), &type, err)) != ERR_OK)
		return code;
	if (!bytes_equal(e, BYTES("\x01\x00\x01", 3)))
		return err_refuse(err, ERR_BAD_KEY,
		    "RSA exponent is not 65537; make the key with e = 65537");
	return rsa_from_numbers(n, e, key_out, err);
}

static enum err_code decode_by_algorithm(struct bytes algorithm,
    struct bytes bits, EVP_PKEY **key_out, struct err *err)
{
	static const uint8_t ec[] = {
	    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
	static const uint8_t rsa[] = {
	    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
	char text[TLV_OID_TEXT_SIZE];
	struct tlv oid;

	if (!tlv_take(&algorithm, DER_OID, &oid))
		return err_refuse(err, ERR_BAD_KEY,
		    "public key has no algorithm (RFC 5280 4.1.2.7)");
	if (bytes_equal(oid.content, BYTES_OF(ec)))
		return decode_ec(algorithm, bits, key_out, err);
	if (bytes_equal(oid.content, BYTES_OF(rsa)))
		return decode_rsa(algorithm, bits, key_out, err);
	return err_refuse(err, ERR_BAD_KEY, "key type %s is not accepted; %s",
	    tlv_oid_text(&oid, text), accepted_keys);
}

enum err_code keycheck_decode(struct bytes spki, EVP_PKEY **key_out,
    enum key_type *type_out, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;
	struct tlv outer, algorithm, bits;
	enum err_code code;

	if (!tlv_take(&spki, DER_SEQUENCE, &outer) || spki.len > 0 ||
	    !tlv_take(&outer.content, DER_SEQUENCE, &algorithm) ||
	    !tlv_take(&outer.content, DER_BIT_STRING, &bits) ||
	    outer.content.len > 0 || bits.content.len < 2 ||
	    bits.content.data[0] != 0)
		return err_refuse(err, ERR_BAD_KEY,
		    "public key is not a SubjectPublicKeyInfo "
		    "(RFC 5280 4.1.2.7)");
	code = decode_by_algorithm(algorithm.content,
	    BYTES(bits.content.data + 1, bits.content.len - 1), &key, err);
	if (code != ERR_OK || (code = keycheck(key, type_out, err)) != ERR_OK)
		return code;
	*key_out = GIVE(key);
	return ERR_OK;
}
