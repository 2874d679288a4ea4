// SPDX-License-Identifier: Apache-2.0
/* Goal: a request proves the possession of a key that is sound and of a kind we
 * sign for, or is refused with words that say what to correct. */
#include "tests/unit/ca/csr_check.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/pem.h"

/* ---- its key ---- */

static void use_key(struct csr *csr, EVP_PKEY *key)
{
	assert_non_null(key);
	EVP_PKEY_free(csr->key);
	csr->key = key;
}

static void rsa_of_another_size_is_refused(void **state)
{
	static const unsigned sizes[] = {1024, 2047, 2056};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		OWNED(csr) csr = csr_new();
		char words[32];

		use_key(csr, EVP_RSA_gen(sizes[i]));
		snprintf(words, sizeof(words), "RSA key of %u bits", sizes[i]);
		refuses(csr, ERR_BAD_KEY, words);
	}
}

static EVP_PKEY *rsa_with_exponent(unsigned e)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_new();
	EVP_PKEY *key = NULL;

	BN_set_word(exponent, e);
	EVP_PKEY_keygen_init(context);
	EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048);
	EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent);
	EVP_PKEY_generate(context, &key);
	BN_free(exponent);
	EVP_PKEY_CTX_free(context);
	return key;
}

static void an_rsa_exponent_other_than_65537_is_refused(void **state)
{
	static const unsigned exponents[] = {3, 17, 65539};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
		OWNED(csr) csr = csr_new();

		use_key(csr, rsa_with_exponent(exponents[i]));
		refuses(csr, ERR_BAD_KEY, "65537");
	}
}

static void another_kind_of_key_is_refused_by_its_name(void **state)
{
	OWNED(csr) curve = csr_new();
	OWNED(csr) edwards = csr_new();
	OWNED(csr) koblitz = csr_new();

	(void)state;
	use_key(curve, EVP_EC_gen("P-521"));
	refuses(curve, ERR_BAD_KEY, "secp521r1");
	use_key(koblitz, EVP_EC_gen("secp256k1"));
	refuses(koblitz, ERR_BAD_KEY, "secp256k1");
	use_key(edwards, EVP_EC_gen("P-256"));
	buf_put_bytes(&edwards->spki,
	    OCTETS(0x30, 0x0a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x01, 0x00));
	refuses(edwards, ERR_BAD_KEY, "");
	buf_reset(&edwards->spki);
	buf_put_bytes(&edwards->spki,
	    OCTETS(0x30, 0x0b, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x02, 0x00, 0x00));
	refuses(edwards, ERR_BAD_KEY, "ED25519");
}

/* The key's SPKI as DER, to be damaged. */
static void take_spki(struct csr *csr)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(csr->key, &der);

	assert_true(len > 0);
	buf_put(&csr->spki, der, (size_t)len);
	OPENSSL_free(der);
}

static void a_point_off_its_curve_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	take_spki(csr);
	accepts(csr);
	csr->spki.data[csr->spki.len - 1] ^= 1;
	refuses(csr, ERR_BAD_KEY, "not valid");
}

static void a_point_in_another_form_is_refused(void **state)
{
	OWNED(csr) compressed = csr_new();
	OWNED(csr) hybrid = csr_new();
	OWNED(csr) infinity = csr_new();

	(void)state;
	EVP_PKEY_set_utf8_string_param(
	    compressed->key, "point-format", "compressed");
	refuses(compressed, ERR_BAD_KEY, "uncompressed");
	take_spki(hybrid);
	hybrid->spki.data[26] =
	    (uint8_t)(6 | (hybrid->spki.data[hybrid->spki.len - 1] & 1));
	refuses(hybrid, ERR_BAD_KEY, "uncompressed");
	buf_put_bytes(&infinity->spki,
	    OCTETS(0x30, 0x19, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
		0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x03, 0x01, 0x07, 0x03, 0x02, 0x00, 0x00));
	refuses(infinity, ERR_BAD_KEY, "uncompressed");
}

static void explicit_curve_parameters_are_refused(void **state)
{
	OWNED(csr) csr = csr_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");

	(void)state;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(
	    key, "encoding", "explicit"), 1);
	use_key(csr, key);
	refuses(csr, ERR_BAD_KEY, "not given by name");
}

static void an_rsa_key_with_wrong_parameters_is_refused(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	use_key(csr, EVP_RSA_gen(2048));
	take_spki(csr);
	accepts(csr);
	/* The NULL becomes an empty OCTET STRING. */
	assert_int_equal(csr->spki.data[17], DER_NULL);
	csr->spki.data[17] = DER_OCTET_STRING;
	refuses(csr, ERR_BAD_KEY, "rsaEncryption");
}

static void an_even_or_smooth_modulus_is_refused(void **state)
{
	OWNED(csr) even = csr_new();
	OWNED(csr) smooth = csr_new();

	(void)state;
	use_key(even, EVP_RSA_gen(2048));
	take_spki(even);
	even->spki.data[even->spki.len - 6] &= 0xfe;
	refuses(even, ERR_BAD_KEY, "not valid");
	/* All ones: divisible by 3. */
	use_key(smooth, EVP_RSA_gen(2048));
	take_spki(smooth);
	memset(smooth->spki.data + smooth->spki.len - 5 - 256, 0xff, 256);
	refuses(smooth, ERR_BAD_KEY, "not valid");
}

static void a_key_that_a_decoder_would_take_is_checked_the_same(void **state)
{
	EVP_PKEY *good = EVP_EC_gen("P-384"), *edwards = NULL;
	EVP_PKEY *small = EVP_RSA_gen(1024), *odd = rsa_with_exponent(3);
	EVP_PKEY *curve = EVP_EC_gen("secp256k1");
	EVP_PKEY_CTX *context =
	    EVP_PKEY_CTX_new_from_name(NULL, "ED25519", NULL);
	enum key_type type;

	(void)state;
	EVP_PKEY_keygen_init(context);
	EVP_PKEY_generate(context, &edwards);
	assert_int_equal(keycheck(good, &type, &err), ERR_OK);
	assert_int_equal(type, KEY_EC_P384);
	assert_int_equal(keycheck(small, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(odd, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(curve, &type, &err), ERR_BAD_KEY);
	assert_int_equal(keycheck(edwards, &type, &err), ERR_BAD_KEY);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(good);
	EVP_PKEY_free(edwards);
	EVP_PKEY_free(small);
	EVP_PKEY_free(odd);
	EVP_PKEY_free(curve);
}

/* ---- its signature ---- */

static void a_wrong_signature_is_no_proof_of_possession(void **state)
{
	OWNED(csr) spoilt = csr_new();
	OWNED(csr) foreign = csr_new();
	EVP_PKEY *other = EVP_EC_gen("P-256");
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(other, &der);

	(void)state;
	spoilt->spoil = true;
	refuses(spoilt, ERR_BAD_CSR, "proof of possession");
	/* Somebody else's public key, signed with one's own. */
	buf_put(&foreign->spki, der, (size_t)len);
	refuses(foreign, ERR_BAD_CSR, "proof of possession");
	OPENSSL_free(der);
	EVP_PKEY_free(other);
}

static void weak_or_unknown_signature_algorithms_are_refused(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();
	OWNED(csr) unknown = csr_new();

	(void)state;
	ec->digest = "SHA1";
	refuses(ec, ERR_BAD_CSR, "ecdsa-with-SHA1");
	ec->digest = "SHA224";
	refuses(ec, ERR_BAD_CSR, "ecdsa-with-SHA224");
	use_key(rsa, EVP_RSA_gen(2048));
	rsa->digest = "SHA1";
	refuses(rsa, ERR_BAD_CSR, "RSA-SHA1");
	rsa->digest = "MD5";
	refuses(rsa, ERR_BAD_CSR, "RSA-MD5");
	rsa->digest = "SHA1";
	rsa->pss = true;
	refuses(rsa, ERR_BAD_CSR, "PSS");
	csr_put_algorithm(&unknown->algorithm, OCTETS(0x2a, 0x03),
	    BYTES(NULL, 0));
	refuses(unknown, ERR_BAD_CSR, "1.2.3");
}

static void an_algorithm_that_does_not_fit_the_key_is_refused(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();

	(void)state;
	csr_put_algorithm(&ec->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
	    OCTETS(0x05, 0x00));
	refuses(ec, ERR_BAD_CSR, "does not fit");
	use_key(rsa, EVP_RSA_gen(2048));
	csr_put_algorithm(&rsa->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
	    BYTES(NULL, 0));
	refuses(rsa, ERR_BAD_CSR, "does not fit");
}

static void parameters_of_a_signature_are_checked(void **state)
{
	OWNED(csr) ec = csr_new();
	OWNED(csr) rsa = csr_new();
	const struct bytes sha256_rsa =
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);

	(void)state;
	csr_put_algorithm(&ec->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
	    OCTETS(0x05, 0x00));
	refuses(ec, ERR_BAD_CSR, "parameters");
	use_key(rsa, EVP_RSA_gen(2048));
	csr_put_algorithm(&rsa->algorithm, sha256_rsa, BYTES(NULL, 0));
	accepts(rsa);
	buf_reset(&rsa->algorithm);
	csr_put_algorithm(&rsa->algorithm, sha256_rsa, OCTETS(0x30, 0x00));
	refuses(rsa, ERR_BAD_CSR, "parameters");
}

/* RSASSA-PSS-params for SHA-256 with MASK's last octet, and SALT. */
static void put_pss(struct buf *out, uint8_t hash, uint8_t mask, uint8_t salt)
{
	const struct bytes params = OCTETS(0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d,
	    0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash,
	    0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48,
	    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60,
	    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, mask, 0x05, 0x00, 0xa2,
	    0x03, 0x02, 0x01, salt);

	buf_reset(out);
	csr_put_algorithm(out,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a),
	    params);
}

static void parameters_of_pss_are_checked(void **state)
{
	OWNED(csr) csr = csr_new();

	(void)state;
	use_key(csr, EVP_RSA_gen(2048));
	csr->pss = true;
	put_pss(&csr->algorithm, 1, 1, 32);
	accepts(csr);
	put_pss(&csr->algorithm, 1, 1, 20);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	put_pss(&csr->algorithm, 1, 2, 32);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	put_pss(&csr->algorithm, 4, 4, 28);
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
	buf_reset(&csr->algorithm);
	csr_put_algorithm(&csr->algorithm,
	    OCTETS(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a),
	    OCTETS(0x30, 0x00));
	refuses(csr, ERR_BAD_CSR, "RSASSA-PSS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(rsa_of_another_size_is_refused),
	    TEST(an_rsa_exponent_other_than_65537_is_refused),
	    TEST(another_kind_of_key_is_refused_by_its_name),
	    TEST(a_point_off_its_curve_is_refused),
	    TEST(a_point_in_another_form_is_refused),
	    TEST(explicit_curve_parameters_are_refused),
	    TEST(an_rsa_key_with_wrong_parameters_is_refused),
	    TEST(an_even_or_smooth_modulus_is_refused),
	    TEST(a_key_that_a_decoder_would_take_is_checked_the_same),
	    TEST(a_wrong_signature_is_no_proof_of_possession),
	    TEST(weak_or_unknown_signature_algorithms_are_refused),
	    TEST(an_algorithm_that_does_not_fit_the_key_is_refused),
	    TEST(parameters_of_a_signature_are_checked),
	    TEST(parameters_of_pss_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
