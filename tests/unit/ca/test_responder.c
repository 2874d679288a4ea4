// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/ceremony.h"
#include "ca/ocsp.h"
#include "ca/responder.h"
#include "tests/unit/ca/authority.h"

#include <openssl/x509v3.h>

#define DAY 86400

static void renew(struct authority *authority, const char *issuer)
{
	struct err err;

	assert_int_equal(
	    responder_renew(authority->ca, issuer, &err), ERR_OK);
}

/* The responder's certificate; freed by the caller. */
static X509 *certificate_of(struct authority *authority, const char *id)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	const struct issuer *issuer = issuer_set_find(set, id);
	const uint8_t *next = issuer->responder_der;
	X509 *x509;

	assert_non_null(issuer->responder_der);
	x509 = d2i_X509(NULL, &next, (long)issuer->responder_der_len);
	assert_non_null(x509);
	return x509;
}

static bool is_due(
    struct authority *authority, const char *id, int64_t now)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);

	return responder_is_due(issuer_set_find(set, id), now);
}

static bool is_usable(
    struct authority *authority, const char *id, int64_t now)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);

	return responder_is_usable(issuer_set_find(set, id), now);
}

/* RFC 6960 4.2.2.2. */
static void a_responder_may_sign_answers_and_nothing_else(void **state)
{
	struct authority *authority = *state;
	X509 *issuer = authority_x509(authority, "issuing-1");
	X509 *x509;

	renew(authority, "issuing-1");
	x509 = certificate_of(authority, "issuing-1");
	assert_int_equal(X509_verify(x509, X509_get0_pubkey(issuer)), 1);
	assert_int_equal(X509_check_issued(issuer, x509), X509_V_OK);
	assert_int_equal(X509_get_extended_key_usage(x509), XKU_OCSP_SIGN);
	assert_int_equal(X509_get_key_usage(x509), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_check_ca(x509), 0);
	assert_true(
	    X509_get_ext_by_NID(x509, NID_id_pkix_OCSP_noCheck, -1) >= 0);
	X509_free(x509);
	X509_free(issuer);
}

static void a_responder_certificate_is_on_record_as_any_other(void **state)
{
	struct authority *authority = *state;
	OWNED(certificate) record = NULL;
	struct serial serial;
	const ASN1_INTEGER *number;
	struct err err;
	X509 *x509;

	renew(authority, "issuing-1");
	x509 = certificate_of(authority, "issuing-1");
	number = X509_get0_serialNumber(x509);
	assert_true(serial_read(BYTES(ASN1_STRING_get0_data(number),
	    (size_t)ASN1_STRING_length(number)), &serial));
	assert_int_equal(certificate_get(authority->store, &serial, &record,
	    &err), ERR_OK);
	assert_string_equal(record->profile, RESPONDER_PROFILE);
	assert_null(record->cluster);
	assert_int_equal(record->roles, 0);
	assert_int_equal(record->not_after,
	    AUTHORITY_NOW + RESPONDER_VALIDITY - 1);
	X509_free(x509);
}

static void a_responder_is_due_at_two_thirds_of_its_life(void **state)
{
	struct authority *authority = *state;
	int64_t end;

	assert_true(is_due(authority, "issuing-1", AUTHORITY_NOW));
	assert_false(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	renew(authority, "issuing-1");
	end = AUTHORITY_NOW + RESPONDER_VALIDITY - 1;
	assert_true(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	assert_false(is_due(authority, "issuing-1", AUTHORITY_NOW));
	assert_false(
	    is_due(authority, "issuing-1", AUTHORITY_NOW + 60 * DAY - 2));
	assert_true(
	    is_due(authority, "issuing-1", AUTHORITY_NOW + 60 * DAY - 1));
	assert_true(is_usable(authority, "issuing-1", end - 1));
	assert_false(is_usable(authority, "issuing-1", end));
	assert_true(is_due(authority, "issuing-1", end));
}

static void the_root_gets_no_responder(void **state)
{
	struct authority *authority = *state;

	assert_false(is_due(authority, "root", AUTHORITY_NOW));
	assert_false(is_usable(authority, "root", AUTHORITY_NOW));
}

static void a_renewal_keeps_the_key_and_makes_a_new_certificate(void **state)
{
	struct authority *authority = *state;
	X509 *before, *after;

	renew(authority, "issuing-1");
	before = certificate_of(authority, "issuing-1");
	clock_freeze(AUTHORITY_NOW + 60 * DAY);
	renew(authority, "issuing-1");
	after = certificate_of(authority, "issuing-1");
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(before),
	    X509_get0_pubkey(after)), 1);
	assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(before),
	    X509_get0_serialNumber(after)), 0);
	assert_false(
	    is_due(authority, "issuing-1", AUTHORITY_NOW + 60 * DAY));
	X509_free(before);
	X509_free(after);
}

static void a_responder_is_there_after_opening_again(void **state)
{
	struct authority *authority = *state;

	renew(authority, "issuing-1");
	authority_close(authority);
	authority_open(authority);
	assert_true(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	assert_false(is_usable(authority, "issuing-2", AUTHORITY_NOW));
}

/* As when a run ends between the certificate and the issuer's record. */
static void a_run_that_was_cut_short_is_gone_on_with(void **state)
{
	struct authority *authority = *state;
	X509 *one, *two;

	renew(authority, "issuing-1");
	one = certificate_of(authority, "issuing-1");
	renew(authority, "issuing-1");
	two = certificate_of(authority, "issuing-1");
	assert_int_equal(X509_cmp(one, two), 0);
	X509_free(one);
	X509_free(two);
}

/* As when a run ends between the key and its record. */
static void a_key_that_is_on_no_record_does_not_stand_in_the_way(void **state)
{
	struct authority *authority = *state;
	OWNED_STR(orphan) = NULL;
	OWNED_BUF(spki);
	struct err err;

	/* The ceremony's label is the responder's too. */
	assert_int_equal(hsm_generate_pair(authority->hsm, LABEL_ISSUING_OCSP,
	    HSM_EC_P256, &orphan, &spki, &err), ERR_OK);
	renew(authority, "issuing-1");
	{
		OWNED(issuer_set) set = ca_issuers(authority->ca);
		const struct issuer *issuer =
		    issuer_set_find(set, "issuing-1");

		assert_string_not_equal(issuer->responder_uri, orphan);
		assert_non_null(
		    strstr(issuer->responder_uri, LABEL_ISSUING_OCSP "-2"));
	}
}

static void a_failed_signature_leaves_the_key_for_the_next_try(void **state)
{
	struct authority *authority = *state;
	struct err err;

	fake_hsm_fail_sign(authority->hsm, 1, ERR_HSM_UNAVAILABLE);
	assert_int_equal(responder_renew(authority->ca, "issuing-1", &err),
	    ERR_HSM_UNAVAILABLE);
	assert_false(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	renew(authority, "issuing-1");
	assert_true(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	{
		OWNED(issuer_set) set = ca_issuers(authority->ca);
		const struct issuer *issuer =
		    issuer_set_find(set, "issuing-1");

		assert_null(strstr(issuer->responder_uri, "-2"));
	}
}

static void no_responder_outlives_its_issuer(void **state)
{
	struct authority *authority = *state;
	int64_t end = AUTHORITY_NOW + 10 * AUTHORITY_YEAR;
	X509 *x509, *issuer;

	clock_freeze(end - 10 * DAY);
	renew(authority, "issuing-1");
	x509 = certificate_of(authority, "issuing-1");
	issuer = authority_x509(authority, "issuing-1");
	assert_int_equal(ASN1_TIME_compare(
	    X509_get0_notAfter(x509), X509_get0_notAfter(issuer)), 0);
	/* A newer one would gain nothing. */
	assert_false(is_due(authority, "issuing-1", end - 10 * DAY));
	X509_free(x509);
	X509_free(issuer);
}

static void set_state(struct authority *authority, enum issuer_state state)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	struct issuer issuer = *issuer_set_find(set, "issuing-1");
	OWNED(batch) batch = batch_new();
	struct err err;

	issuer.state = state;
	issuer_put(batch, &issuer);
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	assert_int_equal(ca_reload(authority->ca, &err), ERR_OK);
}

static void an_issuer_that_signs_only_crls_keeps_its_responder(void **state)
{
	struct authority *authority = *state;
	struct err err;

	set_state(authority, ISSUER_CRL_ONLY);
	assert_true(is_due(authority, "issuing-1", AUTHORITY_NOW));
	renew(authority, "issuing-1");
	assert_true(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	set_state(authority, ISSUER_RETIRED);
	assert_false(is_due(authority, "issuing-1",
	    AUTHORITY_NOW + RESPONDER_VALIDITY));
	clock_freeze(AUTHORITY_NOW + RESPONDER_VALIDITY);
	assert_int_equal(responder_renew(authority->ca, "issuing-1", &err),
	    ERR_POLICY);
}

static void an_unknown_issuer_is_refused(void **state)
{
	struct authority *authority = *state;
	struct err err;

	assert_int_equal(responder_renew(authority->ca, "nobody", &err),
	    ERR_NOT_FOUND);
	assert_non_null(strstr(err.detail, "nobody"));
}

static void one_that_fails_does_not_keep_the_others_from_it(void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp) ocsp = NULL;
	struct err err;

	assert_int_equal(ocsp_open(authority->ca, &ocsp, &err), ERR_OK);
	fake_hsm_fail_generate(authority->hsm, 1, ERR_HSM_REFUSED);
	assert_int_equal(ocsp_renew_responders(ocsp, &err), ERR_HSM_REFUSED);
	assert_int_equal(err.code, ERR_HSM_REFUSED);
	assert_false(is_usable(authority, "issuing-1", AUTHORITY_NOW));
	assert_true(is_usable(authority, "issuing-2", AUTHORITY_NOW));
	assert_int_equal(ocsp_renew_responders(ocsp, &err), ERR_OK);
	assert_true(is_usable(authority, "issuing-1", AUTHORITY_NOW));
}

static void what_is_not_due_costs_nothing(void **state)
{
	struct authority *authority = *state;
	OWNED(ocsp) ocsp = NULL;
	unsigned signatures;
	struct err err;

	assert_int_equal(ocsp_open(authority->ca, &ocsp, &err), ERR_OK);
	assert_int_equal(ocsp_renew_responders(ocsp, &err), ERR_OK);
	signatures = fake_hsm_signatures(authority->hsm);
	fake_hsm_set_away(authority->hsm, true);
	assert_int_equal(ocsp_renew_responders(ocsp, &err), ERR_OK);
	assert_int_equal(fake_hsm_signatures(authority->hsm), signatures);
}

#define WITH_CA(test)                                                          \
	cmocka_unit_test_setup_teardown(                                       \
	    test, authority_setup, authority_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    WITH_CA(a_responder_may_sign_answers_and_nothing_else),
	    WITH_CA(a_responder_certificate_is_on_record_as_any_other),
	    WITH_CA(a_responder_is_due_at_two_thirds_of_its_life),
	    WITH_CA(the_root_gets_no_responder),
	    WITH_CA(a_renewal_keeps_the_key_and_makes_a_new_certificate),
	    WITH_CA(a_responder_is_there_after_opening_again),
	    WITH_CA(a_run_that_was_cut_short_is_gone_on_with),
	    WITH_CA(a_key_that_is_on_no_record_does_not_stand_in_the_way),
	    WITH_CA(a_failed_signature_leaves_the_key_for_the_next_try),
	    WITH_CA(no_responder_outlives_its_issuer),
	    WITH_CA(an_issuer_that_signs_only_crls_keeps_its_responder),
	    WITH_CA(an_unknown_issuer_is_refused),
	    WITH_CA(one_that_fails_does_not_keep_the_others_from_it),
	    WITH_CA(what_is_not_due_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
