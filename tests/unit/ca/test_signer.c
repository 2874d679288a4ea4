// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/signer.h"
#include "tests/unit/ca/fake_hsm.h"

struct fixture {
	struct hsm *hsm;
	struct signer *signer;
	char *uri;
	struct buf spki;
};

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));

	f->hsm = fake_hsm_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	signer_free(f->signer);
	fake_hsm_free(f->hsm);
	buf_free(&f->spki);
	free(f->uri);
	free(f);
	return 0;
}

static void make(struct fixture *f, const char *label, enum hsm_key_type type)
{
	struct err err;

	signer_free(f->signer);
	f->signer = NULL;
	free(f->uri);
	buf_reset(&f->spki);
	assert_int_equal(hsm_generate_pair(f->hsm, label, type, &f->uri,
	    &f->spki, &err), ERR_OK);
	assert_int_equal(signer_new(f->hsm, f->uri, buf_bytes(&f->spki),
	    &f->signer, &err), ERR_OK);
}

/* A TBSCertificate with the signer's algorithm inside, so that OpenSSL's
 * X509_verify accepts the whole. */
static void put_tbs(const struct signer *signer, struct buf *tbs)
{
	static const uint8_t empty_name[] = {0x30, 0x00};
	OWNED_BUF(validity);
	OWNED_BUF(body);

	der_put_time(&validity, 0);
	der_put_time(&validity, 1);
	der_put_u64(&body, 7);
	buf_put_bytes(&body, signer_algorithm(signer));
	buf_put(&body, empty_name, sizeof(empty_name));
	der_put(&body, DER_SEQUENCE, buf_bytes(&validity));
	buf_put(&body, empty_name, sizeof(empty_name));
	buf_put_bytes(&body, signer_spki(signer));
	der_put(tbs, DER_SEQUENCE, buf_bytes(&body));
}

static void assert_openssl_verifies(
    const struct signer *signer, const struct buf *signed_der)
{
	const uint8_t *next = signed_der->data;
	X509 *cert = d2i_X509(NULL, &next, (long)signed_der->len);

	assert_non_null(cert);
	assert_ptr_equal(next, signed_der->data + signed_der->len);
	assert_int_equal(X509_verify(cert, signer_public_key(signer)), 1);
	X509_free(cert);
}

static void openssl_verifies_what_each_key_type_signs(void **state)
{
	static const struct {
		const char *label;
		enum hsm_key_type type;
	} cases[] = {{"a", HSM_EC_P256}, {"b", HSM_EC_P384},
	    {"c", HSM_RSA_2048}, {"d", HSM_RSA_3072}};
	struct fixture *f = *state;
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED_BUF(tbs);
		OWNED_BUF(out);

		make(f, cases[i].label, cases[i].type);
		put_tbs(f->signer, &tbs);
		assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
		    BYTES(NULL, 0), &out, &err), ERR_OK);
		assert_openssl_verifies(f->signer, &out);
	}
}

/* r and s lose octets or gain one at random: many signatures meet each. */
static void ecdsa_signatures_are_minimal_der_whatever_their_length(
    void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(tbs);
	struct err err;

	make(f, "many", HSM_EC_P256);
	put_tbs(f->signer, &tbs);
	for (int i = 0; i < 600; i++) {
		OWNED_BUF(out);

		assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
		    BYTES(NULL, 0), &out, &err), ERR_OK);
		if (i % 50 == 0)
			assert_openssl_verifies(f->signer, &out);
	}
}

static void a_seal_is_what_follows_the_tbs(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(tbs);
	OWNED_BUF(seal);
	OWNED_BUF(whole);
	struct err err;

	make(f, "seal", HSM_EC_P384);
	put_tbs(f->signer, &tbs);
	assert_int_equal(
	    signer_seal(f->signer, buf_bytes(&tbs), &seal, &err), ERR_OK);
	assert_in_range(seal.len, 1, SIGNER_SEAL_MAX);
	der_put_header(&whole, DER_SEQUENCE, tbs.len + seal.len);
	buf_put_bytes(&whole, buf_bytes(&tbs));
	buf_put_bytes(&whole, buf_bytes(&seal));
	assert_openssl_verifies(f->signer, &whole);
}

static void extra_octets_stand_behind_the_signature(void **state)
{
	static const uint8_t extra[] = {0xa0, 0x02, 0x30, 0x00};
	struct fixture *f = *state;
	OWNED_BUF(tbs);
	OWNED_BUF(out);
	struct err err;

	make(f, "extra", HSM_EC_P256);
	put_tbs(f->signer, &tbs);
	assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
	    BYTES_OF(extra), &out, &err), ERR_OK);
	assert_memory_equal(out.data + out.len - 4, extra, 4);
	assert_int_equal(out.data[0], DER_SEQUENCE);
	assert_int_equal(out.data[1], 0x80 | 1);
	assert_int_equal(out.data[2], out.len - 3);
}

static void a_signature_that_does_not_verify_is_not_handed_out(void **state)
{
	static const enum fake_lie lies[] = {
	    FAKE_FLIPPED, FAKE_OTHER_KEY, FAKE_SHORT, FAKE_EMPTY};
	static const enum hsm_key_type types[] = {HSM_EC_P256, HSM_RSA_2048};
	struct fixture *f = *state;
	struct err err;

	for (size_t i = 0; i < 2 * ARRAY_LEN(lies); i++) {
		OWNED_BUF(tbs);
		OWNED_BUF(out);

		if (types[i % 2] == HSM_RSA_2048 &&
		    lies[i / 2] == FAKE_OTHER_KEY)
			continue;	/* the other key is an EC key */
		make(f, (const char[]){(char)('a' + i), '\0'}, types[i % 2]);
		put_tbs(f->signer, &tbs);
		fake_hsm_set_lie(f->hsm, lies[i / 2]);
		assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
		    BYTES(NULL, 0), &out, &err), ERR_CORRUPT);
		assert_int_equal(out.len, 0);
		assert_int_equal(ERR_peek_error(), 0);
		fake_hsm_set_lie(f->hsm, FAKE_HONEST);
		/* The next honest one passes: nothing sticks. */
		assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
		    BYTES(NULL, 0), &out, &err), ERR_OK);
	}
}

static void a_fault_of_the_token_is_handed_up_as_it_is(void **state)
{
	static const enum err_code faults[] = {ERR_HSM_UNAVAILABLE,
	    ERR_HSM_REFUSED, ERR_DEADLINE, ERR_OVERLOADED};
	struct fixture *f = *state;
	OWNED_BUF(tbs);
	OWNED_BUF(out);
	struct err err;

	make(f, "fault", HSM_EC_P256);
	put_tbs(f->signer, &tbs);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		fake_hsm_fail_sign(f->hsm, 1, faults[i]);
		assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
		    BYTES(NULL, 0), &out, &err), faults[i]);
		assert_int_equal(out.len, 0);
	}
}

static void the_key_id_is_that_of_openssl(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[20];
	OWNED_BUF(tbs);
	OWNED_BUF(out);
	const uint8_t *next;
	struct err err;
	X509 *cert;

	make(f, "id", HSM_EC_P256);
	put_tbs(f->signer, &tbs);
	assert_int_equal(signer_sign(f->signer, buf_bytes(&tbs),
	    BYTES(NULL, 0), &out, &err), ERR_OK);
	next = out.data;
	cert = d2i_X509(NULL, &next, (long)out.len);
	assert_non_null(cert);
	assert_int_equal(
	    X509_pubkey_digest(cert, EVP_sha1(), digest, NULL), 1);
	assert_memory_equal(digest, signer_key_id(f->signer), 20);
	X509_free(cert);
}

static void assert_refused(struct hsm *hsm, EVP_PKEY *key, enum err_code code)
{
	struct signer *signer = NULL;
	uint8_t *der = NULL;
	struct err err;
	int len = i2d_PUBKEY(key, &der);

	assert_true(len > 0);
	assert_int_equal(signer_new(hsm, "pkcs11:object=x",
	    BYTES(der, (size_t)len), &signer, &err), code);
	assert_null(signer);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

static void keys_outside_the_list_do_not_sign(void **state)
{
	struct fixture *f = *state;

	assert_refused(f->hsm, EVP_RSA_gen(1024), ERR_HSM_KEY_UNSAFE);
	assert_refused(f->hsm, EVP_EC_gen("P-521"), ERR_HSM_KEY_UNSAFE);
	assert_refused(f->hsm, EVP_EC_gen("secp256k1"), ERR_HSM_KEY_UNSAFE);
	assert_refused(f->hsm, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	    ERR_HSM_KEY_UNSAFE);
}

static void a_malformed_public_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct signer *signer = NULL;
	struct err err;

	make(f, "whole", HSM_EC_P256);
	for (size_t cut = 0; cut < f->spki.len; cut += 7)
		assert_int_equal(signer_new(f->hsm, f->uri,
		    BYTES(f->spki.data, cut), &signer, &err), ERR_CRYPTO);
	buf_put_u8(&f->spki, 0);
	assert_int_equal(signer_new(f->hsm, f->uri, buf_bytes(&f->spki),
	    &signer, &err), ERR_CRYPTO);
	assert_null(signer);
}

struct crowd {
	struct signer *signer;
	struct bytes tbs;
	int failures;
};

static void *sign_often(void *arg)
{
	struct crowd *crowd = arg;
	struct err err;

	for (int i = 0; i < 50; i++) {
		OWNED_BUF(out);

		if (signer_sign(crowd->signer, crowd->tbs, BYTES(NULL, 0),
			&out, &err) != ERR_OK)
			__atomic_add_fetch(
			    &crowd->failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void many_threads_share_one_signer(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[8];
	struct crowd crowd = {0};
	OWNED_BUF(tbs);

	make(f, "crowd", HSM_EC_P256);
	put_tbs(f->signer, &tbs);
	crowd.signer = f->signer;
	crowd.tbs = buf_bytes(&tbs);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(
		    &threads[i], NULL, sign_often, &crowd), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.failures, 0);
	assert_int_equal(fake_hsm_signatures(f->hsm), 400);
}

#define WITH_HSM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    WITH_HSM(openssl_verifies_what_each_key_type_signs),
	    WITH_HSM(
		ecdsa_signatures_are_minimal_der_whatever_their_length),
	    WITH_HSM(a_seal_is_what_follows_the_tbs),
	    WITH_HSM(extra_octets_stand_behind_the_signature),
	    WITH_HSM(a_signature_that_does_not_verify_is_not_handed_out),
	    WITH_HSM(a_fault_of_the_token_is_handed_up_as_it_is),
	    WITH_HSM(the_key_id_is_that_of_openssl),
	    WITH_HSM(keys_outside_the_list_do_not_sign),
	    WITH_HSM(a_malformed_public_key_is_refused),
	    WITH_HSM(many_threads_share_one_signer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
