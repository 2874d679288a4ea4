// SPDX-License-Identifier: Apache-2.0
/* Every CRL is read back by OpenSSL's own parser and verified by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/crl.h"
#include "tests/unit/ca/authority.h"
#include "tests/unit/ca/golden.h"

#include <openssl/x509v3.h>

#define VALIDITY 86400

/* Builds and commits the next CRL of ISSUER. */
static struct crl *publish(struct authority *authority, const char *id)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	OWNED(batch) batch = batch_new();
	struct crl *crl = NULL;
	struct err err;

	assert_int_equal(crl_build(authority->store, issuer_set_find(set, id),
	    VALIDITY, NULL, batch, &crl, &err), ERR_OK);
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	return crl;
}

static X509_CRL *parse(const struct crl *crl)
{
	const uint8_t *next = crl->der;
	X509_CRL *x509 = d2i_X509_CRL(NULL, &next, (long)crl->der_len);
	uint8_t *again = NULL;
	int len;

	assert_non_null(x509);
	assert_ptr_equal(next, crl->der + crl->der_len);
	/* What OpenSSL would write is what we wrote. */
	len = i2d_X509_CRL(x509, &again);
	assert_int_equal(len, crl->der_len);
	assert_memory_equal(again, crl->der, crl->der_len);
	OPENSSL_free(again);
	return x509;
}

static void assert_verifies(
    struct authority *authority, const char *issuer, X509_CRL *crl)
{
	X509 *by = authority_x509(authority, issuer);

	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(by)), 1);
	assert_int_equal(X509_NAME_cmp(
	    X509_CRL_get_issuer(crl), X509_get_subject_name(by)), 0);
	X509_free(by);
}

static X509_REVOKED *entry(X509_CRL *crl, uint32_t n)
{
	struct serial serial = authority_serial(n);
	BIGNUM *number = BN_bin2bn(serial.octets, (int)serial.len, NULL);
	ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, NULL);
	X509_REVOKED *found = NULL;

	if (X509_CRL_get0_by_serial(crl, &found, integer) == 0)
		found = NULL;
	ASN1_INTEGER_free(integer);
	BN_free(number);
	return found;
}

static bool lists(const struct crl *crl, uint32_t n)
{
	X509_CRL *x509 = parse(crl);
	bool listed = entry(x509, n) != NULL;

	X509_CRL_free(x509);
	return listed;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	int days, seconds;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);

	assert_int_equal(ASN1_TIME_diff(&days, &seconds, epoch, time), 1);
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

static int64_t number_of(X509_CRL *crl)
{
	ASN1_INTEGER *number =
	    X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	int64_t value;

	assert_non_null(number);
	assert_int_equal(ASN1_INTEGER_get_int64(&value, number), 1);
	ASN1_INTEGER_free(number);
	return value;
}

static void an_empty_crl_verifies_and_has_no_list(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = publish(authority, "issuing-1");
	X509_CRL *x509 = parse(crl);

	assert_verifies(authority, "issuing-1", x509);
	assert_null(X509_CRL_get_REVOKED(x509));
	assert_int_equal(X509_CRL_get_version(x509), 1);
	assert_int_equal(number_of(x509), 1);
	assert_int_equal(seconds_of(X509_CRL_get0_lastUpdate(x509)),
	    AUTHORITY_NOW);
	assert_int_equal(seconds_of(X509_CRL_get0_nextUpdate(x509)),
	    AUTHORITY_NOW + VALIDITY);
	X509_CRL_free(x509);
}

static void the_authority_key_is_named_as_in_the_issuers_certificate(
    void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = publish(authority, "issuing-1");
	X509_CRL *x509 = parse(crl);
	X509 *issuer = authority_x509(authority, "issuing-1");
	AUTHORITY_KEYID *key_id = X509_CRL_get_ext_d2i(
	    x509, NID_authority_key_identifier, NULL, NULL);
	const ASN1_OCTET_STRING *subject_key_id =
	    X509_get0_subject_key_id(issuer);

	assert_non_null(key_id);
	assert_null(key_id->issuer);
	assert_non_null(subject_key_id);
	assert_int_equal(
	    ASN1_OCTET_STRING_cmp(key_id->keyid, subject_key_id), 0);
	AUTHORITY_KEYID_free(key_id);
	X509_free(issuer);
	X509_CRL_free(x509);
}

static void each_reason_and_time_is_told(void **state)
{
	static const uint8_t reasons[] = {0, 1, 2, 3, 4, 5, 9, 10};
	struct authority *authority = *state;
	OWNED(crl) crl = NULL;
	X509_CRL *x509;

	for (uint32_t i = 0; i < ARRAY_LEN(reasons); i++) {
		authority_record(authority, "issuing-1", i);
		clock_freeze(AUTHORITY_NOW + i);
		authority_revoke(authority, i, reasons[i]);
	}
	crl = publish(authority, "issuing-1");
	x509 = parse(crl);
	assert_verifies(authority, "issuing-1", x509);
	assert_int_equal(crl->entries, ARRAY_LEN(reasons));
	for (uint32_t i = 0; i < ARRAY_LEN(reasons); i++) {
		X509_REVOKED *revoked = entry(x509, i);
		ASN1_ENUMERATED *reason;

		assert_non_null(revoked);
		assert_int_equal(
		    seconds_of(X509_REVOKED_get0_revocationDate(revoked)),
		    AUTHORITY_NOW + i);
		reason = X509_REVOKED_get_ext_d2i(
		    revoked, NID_crl_reason, NULL, NULL);
		/* RFC 5280 5.3.1: unspecified is left out. */
		assert_int_equal(reason == NULL, reasons[i] == 0);
		if (reason != NULL)
			assert_int_equal(
			    ASN1_ENUMERATED_get(reason), reasons[i]);
		ASN1_ENUMERATED_free(reason);
	}
	X509_CRL_free(x509);
}

static void a_valid_certificate_is_not_listed(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = NULL;

	authority_record(authority, "issuing-1", 1);
	authority_record(authority, "issuing-1", 2);
	authority_revoke(authority, 2, 1);
	crl = publish(authority, "issuing-1");
	assert_false(lists(crl, 1));
	assert_true(lists(crl, 2));
}

static void another_issuers_revocations_are_not_listed(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) first = NULL;
	OWNED(crl) second = NULL;

	authority_record(authority, "issuing-1", 1);
	authority_record(authority, "issuing-2", 2);
	authority_revoke(authority, 1, 1);
	authority_revoke(authority, 2, 1);
	first = publish(authority, "issuing-1");
	second = publish(authority, "issuing-2");
	assert_true(lists(first, 1));
	assert_false(lists(first, 2));
	assert_true(lists(second, 2));
	assert_false(lists(second, 1));
}

static void the_number_only_grows_over_reopening(void **state)
{
	struct authority *authority = *state;

	for (uint64_t n = 1; n <= 5; n++) {
		OWNED(crl) crl = publish(authority, "issuing-1");
		OWNED(crl) stored = NULL;
		struct err err;

		assert_int_equal(crl->number, n);
		authority_close(authority);
		authority_open(authority);
		assert_int_equal(crl_find(authority->store, "issuing-1",
		    &stored, &err), ERR_OK);
		assert_non_null(stored);
		assert_int_equal(stored->number, n);
		assert_int_equal(stored->revision, crl->revision);
		assert_int_equal(stored->this_update, crl->this_update);
		assert_int_equal(stored->next_update, crl->next_update);
		assert_int_equal(stored->entries, crl->entries);
		assert_string_equal(stored->etag, crl->etag);
		assert_int_equal(stored->der_len, crl->der_len);
		assert_memory_equal(stored->der, crl->der, crl->der_len);
	}
}

static void a_clock_set_back_does_not_lower_this_update(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) first = publish(authority, "issuing-1");
	OWNED(crl) second = NULL;
	OWNED(crl) third = NULL;

	clock_freeze(AUTHORITY_NOW - 3600);
	second = publish(authority, "issuing-1");
	assert_int_equal(second->this_update, first->this_update);
	assert_int_equal(second->number, first->number + 1);
	clock_freeze(AUTHORITY_NOW + 10);
	third = publish(authority, "issuing-1");
	assert_int_equal(third->this_update, AUTHORITY_NOW + 10);
}

static void two_builders_do_not_use_one_number_twice(void **state)
{
	struct authority *authority = *state;
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	const struct issuer *issuer = issuer_set_find(set, "issuing-1");
	OWNED(batch) first = batch_new();
	OWNED(batch) second = batch_new();
	OWNED(crl) one = NULL;
	OWNED(crl) two = NULL;
	struct err err;

	assert_int_equal(crl_build(authority->store, issuer, VALIDITY, NULL,
	    first, &one, &err), ERR_OK);
	assert_int_equal(crl_build(authority->store, issuer, VALIDITY, NULL,
	    second, &two, &err), ERR_OK);
	assert_int_equal(two->number, one->number);
	assert_int_equal(store_commit(authority->store, first, &err), ERR_OK);
	assert_int_equal(
	    store_commit(authority->store, second, &err), ERR_CONFLICT);
}

/* RFC 5280 3.3. */
static void an_entry_stays_until_it_was_listed_after_its_expiry(void **state)
{
	struct authority *authority = *state;
	int64_t end = AUTHORITY_NOW + 7200;

	authority_record_until(authority, "issuing-1", 1, end);
	authority_record(authority, "issuing-1", 2);
	authority_revoke(authority, 1, 1);
	authority_revoke(authority, 2, 1);
	for (int64_t now = AUTHORITY_NOW; now < end + 3600; now += 1800) {
		OWNED(crl) crl = NULL;

		clock_freeze(now);
		crl = publish(authority, "issuing-1");
		assert_true(lists(crl, 1));
	}
	/* The first that is issued an hour past its end lists it yet. */
	clock_freeze(end + 3700);
	crl_free(publish(authority, "issuing-1"));
	clock_freeze(end + 3800);
	{
		OWNED(crl) crl = publish(authority, "issuing-1");

		assert_false(lists(crl, 1));
		assert_true(lists(crl, 2));
		assert_int_equal(crl->entries, 1);
	}
}

static void what_is_revoked_after_its_expiry_is_listed_too(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = NULL;

	authority_record_until(authority, "issuing-1", 1, AUTHORITY_NOW + 60);
	clock_freeze(AUTHORITY_NOW + 86400);
	crl_free(publish(authority, "issuing-1"));
	authority_revoke(authority, 1, 1);
	clock_freeze(AUTHORITY_NOW + 86401);
	crl = publish(authority, "issuing-1");
	assert_true(lists(crl, 1));
}

static void nothing_is_dropped_while_the_clock_is_set_back(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = NULL;

	authority_record_until(authority, "issuing-1", 1, AUTHORITY_NOW + 60);
	clock_freeze(AUTHORITY_NOW + 86400);
	crl_free(publish(authority, "issuing-1"));
	clock_freeze(AUTHORITY_NOW + 10);
	authority_revoke(authority, 1, 1);
	crl = publish(authority, "issuing-1");
	assert_true(lists(crl, 1));
}

static void a_malformed_row_stops_the_crl_rather_than_shorten_it(void **state)
{
	static const uint8_t rubbish[] = {0xff, 1, 2, 3};
	struct authority *authority = *state;
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	OWNED(batch) batch = batch_new();
	OWNED(batch) next = batch_new();
	struct crl *crl = NULL;
	struct err err;

	batch_put(batch, TABLE_REVOKED, BYTES("issuing-1\0\x01", 11),
	    BYTES_OF(rubbish));
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	assert_int_equal(crl_build(authority->store,
	    issuer_set_find(set, "issuing-1"), VALIDITY, NULL, next, &crl,
	    &err), ERR_CORRUPT);
	assert_null(crl);
	assert_true(batch_is_empty(next));
}

static void a_malformed_stored_crl_is_not_served(void **state)
{
	static const uint8_t rubbish[] = {1, 0, 0};
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	struct crl *crl = NULL;
	struct err err;

	batch_put(batch, TABLE_CRLS, BYTES("issuing-1", 10), BYTES_OF(rubbish));
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	assert_int_equal(
	    crl_find(authority->store, "issuing-1", &crl, &err), ERR_CORRUPT);
	assert_null(crl);
}

static void a_lying_token_makes_no_crl(void **state)
{
	struct authority *authority = *state;
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	OWNED(batch) batch = batch_new();
	struct crl *crl = NULL;
	struct err err;

	fake_hsm_set_lie(authority->hsm, FAKE_FLIPPED);
	assert_int_equal(crl_build(authority->store,
	    issuer_set_find(set, "issuing-1"), VALIDITY, NULL, batch, &crl,
	    &err), ERR_CORRUPT);
	assert_null(crl);
	assert_true(batch_is_empty(batch));
}

/* The lengths of the headers change at 128, 256 and 65,536 octets, and pages
 * of the scan end at 4,096 rows. */
static void every_length_of_list_verifies(void **state)
{
	static const uint32_t counts[] = {1, 2, 3, 4, 5, 6, 7, 30, 1300, 1400,
	    4095, 4096, 4097, 8193};
	struct authority *authority = *state;
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		OWNED(batch) batch = batch_new();
		OWNED(crl) crl = NULL;
		struct err err;
		X509_CRL *x509;

		for (; n < counts[i]; n++) {
			struct certificate record = {
			    .serial = authority_serial(n),
			    .state = CERTIFICATE_REVOKED,
			    .issuer = (char[]){"issuing-1"},
			    .profile = (char[]){"p"},
			    .requester = (char[]){"r"},
			    .not_after = AUTHORITY_NOW + 1,
			    .revoked = AUTHORITY_NOW, .reason = 1,
			    .der = (uint8_t[]){1}, .der_len = 1};
			OWNED(names) names = names_new();

			record.names = names;
			certificate_put(batch, &record);
		}
		assert_int_equal(
		    store_commit(authority->store, batch, &err), ERR_OK);
		crl = publish(authority, "issuing-1");
		assert_int_equal(crl->entries, counts[i]);
		x509 = parse(crl);
		assert_verifies(authority, "issuing-1", x509);
		assert_int_equal(
		    sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x509)),
		    (int)counts[i]);
		X509_CRL_free(x509);
	}
}

/* As OpenSSL prints it, up to the signature, which is random. */
static void put_print(X509_CRL *x509, struct buf *text)
{
	static const char signature[] = "    Signature Algorithm:";
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *end = NULL, *next;
	long len;

	assert_int_equal(X509_CRL_print(bio, x509), 1);
	BIO_write(bio, "", 1);
	len = BIO_get_mem_data(bio, &data);
	assert_true(len > 0);
	next = data;
	while ((next = strstr(next, signature)) != NULL)
		end = next++;
	assert_non_null(end);
	buf_put(text, data, (size_t)(end - data));
	BIO_free(bio);
}

static void a_crl_is_octet_for_octet_as_it_was(void **state)
{
	struct authority *authority = *state;
	OWNED(crl) crl = NULL;
	OWNED_BUF(text);
	X509_CRL *x509;
	uint8_t *tbs = NULL;
	int len;

	authority_record(authority, "issuing-1", 1);
	authority_record(authority, "issuing-1", 2);
	authority_revoke(authority, 1, 0);
	authority_revoke(authority, 2, 1);
	crl = publish(authority, "issuing-1");
	x509 = parse(crl);
	put_print(x509, &text);
	len = i2d_re_X509_CRL_tbs(x509, &tbs);
	assert_true(len > 0);
	golden_put_hex(&text, BYTES(tbs, (size_t)len));
	golden_check("crl.txt", &text);
	OPENSSL_free(tbs);
	X509_CRL_free(x509);
}

#define WITH_CA(test)                                                          \
	cmocka_unit_test_setup_teardown(                                       \
	    test, authority_setup, authority_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    WITH_CA(an_empty_crl_verifies_and_has_no_list),
	    WITH_CA(
		the_authority_key_is_named_as_in_the_issuers_certificate),
	    WITH_CA(each_reason_and_time_is_told),
	    WITH_CA(a_valid_certificate_is_not_listed),
	    WITH_CA(another_issuers_revocations_are_not_listed),
	    WITH_CA(the_number_only_grows_over_reopening),
	    WITH_CA(a_clock_set_back_does_not_lower_this_update),
	    WITH_CA(two_builders_do_not_use_one_number_twice),
	    WITH_CA(an_entry_stays_until_it_was_listed_after_its_expiry),
	    WITH_CA(what_is_revoked_after_its_expiry_is_listed_too),
	    WITH_CA(nothing_is_dropped_while_the_clock_is_set_back),
	    WITH_CA(a_malformed_row_stops_the_crl_rather_than_shorten_it),
	    WITH_CA(a_malformed_stored_crl_is_not_served),
	    WITH_CA(a_lying_token_makes_no_crl),
	    WITH_CA(every_length_of_list_verifies),
	    WITH_CA(a_crl_is_octet_for_octet_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
