// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: who cannot or should not read a backup is nobody's recipient,
 * and what is sealed to recipients is sealed as the documents say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "tests/unit/ca/fixture.h"
#include "tests/unit/ca/person.h"

static void assert_no_recipient(
    struct person *person, enum err_code want, const char *why)
{
	OWNED(recipients) to = recipients_new();
	struct err err = {0};

	assert_int_equal(person_add(to, person, &err), want);
	assert_has(err.detail, why);
	assert_int_equal(recipients_count(to), 0);
	person_end(person);
}

static void weak_keys_are_no_recipients(void **state)
{
	struct person rsa =
	    person_new(EVP_RSA_gen(1024), "rsa", NULL, -DAY, DAY);
	struct person curve =
	    person_new(EVP_EC_gen("P-224"), "curve", NULL, -DAY, DAY);

	(void)state;
	assert_no_recipient(&rsa, ERR_BAD_KEY, "1024");
	assert_no_recipient(&curve, ERR_BAD_KEY, "curve");
}

static void a_certificate_that_is_not_valid_now_is_no_recipient(void **state)
{
	struct person past = person_new(person_ec(), "past", NULL, -2 * DAY, -DAY);
	struct person future = person_new(person_ec(), "future", NULL, DAY, 2 * DAY);

	(void)state;
	assert_no_recipient(&past, ERR_BAD_KEY, "has expired at");
	assert_no_recipient(&future, ERR_BAD_KEY, "begins to be valid at");
}

static void a_certificate_for_other_use_is_no_recipient(void **state)
{
	struct person sign =
	    person_new(person_ec(), "sign", "digitalSignature", -DAY, DAY);
	struct person rsa = person_new(
	    EVP_RSA_gen(2048), "rsa", "keyAgreement", -DAY, DAY);

	(void)state;
	assert_no_recipient(&sign, ERR_BAD_KEY, "keyAgreement");
	assert_no_recipient(&rsa, ERR_BAD_KEY, "keyEncipherment");
}

static void what_is_not_one_certificate_is_refused(void **state)
{
	OWNED(recipients) to = recipients_new();
	PERSON(one, person_ec(), NULL);
	OWNED_BUF(two);
	struct err err = {0};
	int64_t ends;

	(void)state;
	assert_int_equal(recipients_add(to, BYTES_STR("no certificate"), 0,
			     &ends, &err),
	    ERR_BAD_FIELD);
	buf_put_bytes(&two, buf_bytes(&one.pem));
	buf_put_bytes(&two, buf_bytes(&one.pem));
	assert_int_equal(
	    recipients_add(to, buf_bytes(&two), 0, &ends, &err),
	    ERR_BAD_FIELD);
	assert_int_equal(recipients_add_der(to, BYTES_STR("junk"), &err),
	    ERR_BAD_FIELD);
	assert_int_equal(person_add(to, &one, &err), ERR_OK);
	assert_int_equal(person_add(to, &one, &err), ERR_EXISTS);
	assert_has(err.detail, "named twice");
}

/* Both were made by the same script, say: the envelope tells its recipients apart
 * by nothing else, so that the second one's key would open nothing. */
static void two_certificates_of_one_name_and_serial_are_refused(void **state)
{
	OWNED(recipients) to = recipients_new();
	struct person one = person_new(person_ec(), "same", NULL, -DAY, DAY);
	struct person two = person_new(person_ec(), "same", NULL, -DAY, DAY);
	struct person other = person_new(person_ec(), "other", NULL, -DAY, DAY);
	struct err err = {0};

	(void)state;
	assert_int_equal(person_add(to, &one, &err), ERR_OK);
	assert_int_equal(person_add(to, &two, &err), ERR_EXISTS);
	assert_has(err.detail, "issuer and serial");
	assert_int_equal(person_add(to, &other, &err), ERR_OK);
	assert_int_equal(recipients_count(to), 2);
	person_end(&one);
	person_end(&two);
	person_end(&other);
}

static unsigned count_of(struct bytes in, struct bytes what)
{
	unsigned count = 0;

	for (size_t i = 0; i + what.len <= in.len; i++)
		count += bytes_equal(BYTES(in.data + i, what.len), what);
	return count;
}

#define COUNT_OF(blob, oid) \
	count_of(buf_bytes(blob), BYTES((oid), sizeof(oid) - 1))

/* OpenSSL's defaults are PKCS#1 v1.5 and SHA-1. */
static void the_file_key_is_sealed_by_the_algorithms_that_are_told(void **state)
{
	static const char oaep[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07";
	static const char pkcs1[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
	static const char sha1[] = "\x06\x05\x2b\x0e\x03\x02\x1a";
	static const char sha256[] = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
	static const char gcm[] = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e";
	static const char wrap[] = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d";
	static const char ecdh[] = "\x06\x06\x2b\x81\x04\x01\x0b\x01";
	OWNED(recipients) to = recipients_new();
	OWNED(secret) secret = secret_new(32);
	PERSON(curve, person_ec(), NULL);
	PERSON(rsa, EVP_RSA_gen(2048), NULL);
	OWNED_BUF(blob);
	struct err err = {0};

	(void)state;
	assert_int_equal(person_add(to, &curve, &err), ERR_OK);
	assert_int_equal(person_add(to, &rsa, &err), ERR_OK);
	assert_int_equal(recipients_seal(to, secret, &blob, &err), ERR_OK);
	assert_int_equal(COUNT_OF(&blob, gcm), 1);
	assert_int_equal(COUNT_OF(&blob, ecdh), 1);
	assert_int_equal(COUNT_OF(&blob, wrap), 1);
	assert_int_equal(COUNT_OF(&blob, oaep), 1);
	/* Of OAEP, and of its MGF1. */
	assert_int_equal(COUNT_OF(&blob, sha256), 2);
	assert_int_equal(COUNT_OF(&blob, pkcs1), 0);
	assert_int_equal(COUNT_OF(&blob, sha1), 0);
}

static void there_are_no_more_recipients_than_the_limit(void **state)
{
	OWNED(recipients) to = recipients_new();
	OWNED(secret) secret = secret_new(32);
	OWNED(secret) opened = NULL;
	OWNED_BUF(blob);
	struct err err = {0};

	(void)state;
	PERSON(last, person_ec(), NULL);
	for (size_t i = 0; i + 1 < RECIPIENTS_MAX; i++) {
		OWNED_STR(name) = mem_printf("another %zu", i);
		struct person another =
		    person_new(person_ec(), name, NULL, -DAY, DAY);

		assert_int_equal(person_add(to, &another, &err), ERR_OK);
		person_end(&another);
	}
	assert_int_equal(person_add(to, &last, &err), ERR_OK);
	PERSON(beyond, person_ec(), NULL);
	assert_int_equal(person_add(to, &beyond, &err), ERR_TOO_LARGE);
	assert_int_equal(recipients_seal(to, secret, &blob, &err), ERR_OK);
	assert_int_equal(recipients_open(to, buf_bytes(&blob), last.key,
			     &opened, &err),
	    ERR_OK);
	assert_true(secret_equal(opened, secret_bytes(secret)));
	assert_int_equal(recipients_open(to, buf_bytes(&blob), beyond.key,
			     &opened, &err),
	    ERR_UNWRAP);
	assert_has(err.detail, "and 14 more");
}

/* ---- keys ---- */

static struct secret *key_pem(EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct secret *pem;
	char *text;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key,
			     passphrase == NULL ? NULL : EVP_aes_256_cbc(),
			     passphrase,
			     passphrase == NULL ? 0 : (int)strlen(passphrase),
			     NULL, NULL),
	    1);
	long len = BIO_get_mem_data(bio, &text);
	pem = secret_copy(text, (size_t)len);
	BIO_free(bio);
	return pem;
}

static void a_key_is_read_with_its_passphrase_alone(void **state)
{
	PERSON(one, person_ec(), NULL);
	OWNED(secret) plain = key_pem(one.key, NULL);
	OWNED(secret) protected = key_pem(one.key, "right");
	OWNED(secret) right = secret_copy("right", 5);
	OWNED(secret) wrong = secret_copy("wrong", 5);
	OWNED(secret) junk = secret_copy("junk", 4);
	EVP_PKEY *key = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(recipient_key(plain, NULL, &key, &err), ERR_OK);
	EVP_PKEY_free(key);
	assert_int_equal(recipient_key(protected, right, &key, &err), ERR_OK);
	assert_int_equal(EVP_PKEY_eq(key, one.key), 1);
	EVP_PKEY_free(key);
	assert_int_equal(recipient_key(protected, NULL, &key, &err),
	    ERR_CONFIG);
	assert_has(err.detail, "--passphrase-file");
	assert_int_equal(recipient_key(protected, wrong, &key, &err),
	    ERR_CONFIG);
	assert_has(err.detail, "passphrase does not open");
	assert_int_equal(recipient_key(junk, NULL, &key, &err), ERR_CONFIG);
	assert_has(err.detail, "no private key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(weak_keys_are_no_recipients),
	    cmocka_unit_test(
		a_certificate_that_is_not_valid_now_is_no_recipient),
	    cmocka_unit_test(a_certificate_for_other_use_is_no_recipient),
	    cmocka_unit_test(what_is_not_one_certificate_is_refused),
	    cmocka_unit_test(
		two_certificates_of_one_name_and_serial_are_refused),
	    cmocka_unit_test(
		the_file_key_is_sealed_by_the_algorithms_that_are_told),
	    cmocka_unit_test(there_are_no_more_recipients_than_the_limit),
	    cmocka_unit_test(a_key_is_read_with_its_passphrase_alone),
	};
	struct err err;
	int failed;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	size_t idle = fixture_heap_idle();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (secret_heap_used() != idle) {
		fprintf(stderr, "secret memory is left\n");
		return 1;
	}
	return failed;
}
