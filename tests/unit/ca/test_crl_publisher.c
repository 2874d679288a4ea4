// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/crl.h"
#include "tests/unit/ca/authority.h"

#define SETTLE_MS 30000	/* never waited out but by a failure */

/* The publisher of the running test. */
static struct crl_publisher *publisher;

static void open_publisher(struct authority *authority)
{
	struct err err;

	assert_int_equal(
	    crl_publisher_open(authority->ca, &publisher, &err), ERR_OK);
}

static void close_publisher(void)
{
	crl_publisher_close(publisher);
	publisher = NULL;
}

static int setup(void **state)
{
	if (authority_setup(state) != 0)
		return -1;
	open_publisher(*state);
	return 0;
}

static int teardown(void **state)
{
	close_publisher();
	return authority_teardown(state);
}

static void settle(const char *issuer)
{
	assert_true(crl_settle(publisher, issuer, SETTLE_MS));
}

static bool lists(const struct crl *crl, uint32_t n)
{
	struct serial serial = authority_serial(n);
	BIGNUM *number = BN_bin2bn(serial.octets, (int)serial.len, NULL);
	ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, NULL);
	const uint8_t *next = crl->der;
	X509_CRL *x509 = d2i_X509_CRL(NULL, &next, (long)crl->der_len);
	X509_REVOKED *entry;
	bool found;

	assert_non_null(x509);
	found = X509_CRL_get0_by_serial(x509, &entry, integer) == 1;
	X509_CRL_free(x509);
	ASN1_INTEGER_free(integer);
	BN_free(number);
	return found;
}

static bool is_published(const char *issuer, uint32_t n)
{
	OWNED(crl) crl = crl_current(publisher, issuer);

	assert_non_null(crl);
	return lists(crl, n);
}

static uint64_t number(const char *issuer)
{
	OWNED(crl) crl = crl_current(publisher, issuer);

	return crl == NULL ? 0 : crl->number;
}

/* What the thread does by the clock alone has no count to settle by. */
static void await_number_above(const char *issuer, uint64_t above)
{
	int64_t end = clock_mono_ms() + SETTLE_MS;

	while (number(issuer) <= above && clock_mono_ms() < end)
		sched_yield();
	assert_true(number(issuer) > above);
}

static void every_issuer_that_signs_gets_its_crl(void **state)
{
	(void)state;
	settle("issuing-1");
	settle("issuing-2");
	assert_int_equal(number("issuing-1"), 1);
	assert_int_equal(number("issuing-2"), 1);
	assert_null(crl_current(publisher, "root"));
	assert_null(crl_current(publisher, "nobody"));
	assert_false(crl_settle(publisher, "nobody", 0));
}

static void a_revocation_told_is_published(void **state)
{
	struct authority *authority = *state;

	settle("issuing-1");
	settle("issuing-2");
	for (uint32_t n = 0; n < 3; n++) {
		uint64_t before = number("issuing-1");

		authority_record(authority, "issuing-1", n);
		authority_revoke(authority, n, 1);
		settle("issuing-1");
		assert_true(is_published("issuing-1", n));
		assert_true(number("issuing-1") > before);
	}
	/* The other issuer had no reason to sign again. */
	assert_int_equal(number("issuing-2"), 1);
}

static void a_stop_between_revocation_and_crl_is_made_good(void **state)
{
	struct authority *authority = *state;
	uint64_t before;

	settle("issuing-1");
	before = number("issuing-1");
	authority_record(authority, "issuing-1", 1);
	authority_revoke_silently(authority, 1, 1);
	close_publisher();
	authority_close(authority);
	authority_open(authority);
	open_publisher(authority);
	settle("issuing-1");
	assert_true(is_published("issuing-1", 1));
	assert_true(number("issuing-1") > before);
}

struct meanwhile {
	struct authority *authority;
	atomic_uint left;
};

static void revoke_meanwhile(const char *uri, void *arg)
{
	struct meanwhile *meanwhile = arg;

	if (strstr(uri, "issuing-1") != NULL &&
	    atomic_exchange(&meanwhile->left, 0) > 0)
		authority_revoke(meanwhile->authority, 2, 1);
}

/* The rows have been read by the time the token signs. */
static void a_revocation_during_a_build_asks_for_the_next(void **state)
{
	struct authority *authority = *state;
	struct meanwhile meanwhile = {authority, 1};

	settle("issuing-1");
	authority_record(authority, "issuing-1", 1);
	authority_record(authority, "issuing-1", 2);
	fake_hsm_on_sign(authority->hsm, revoke_meanwhile, &meanwhile);
	authority_revoke(authority, 1, 1);
	settle("issuing-1");
	assert_int_equal(meanwhile.left, 0);
	/* Told by now: from here on SETTLE counts it. */
	settle("issuing-1");
	assert_true(is_published("issuing-1", 1));
	assert_true(is_published("issuing-1", 2));
	fake_hsm_on_sign(authority->hsm, NULL, NULL);
}

static void the_token_away_stops_no_reading_and_comes_back_by_itself(
    void **state)
{
	struct authority *authority = *state;
	uint64_t before;

	settle("issuing-1");
	before = number("issuing-1");
	fake_hsm_set_away(authority->hsm, true);
	authority_record(authority, "issuing-1", 1);
	authority_revoke(authority, 1, 1);
	assert_false(crl_settle(publisher, "issuing-1", 50));
	assert_int_equal(number("issuing-1"), before);
	assert_false(is_published("issuing-1", 1));
	fake_hsm_set_away(authority->hsm, false);
	settle("issuing-1");
	assert_true(is_published("issuing-1", 1));
}

static void a_start_without_the_token_serves_what_is_stored(void **state)
{
	struct authority *authority = *state;

	settle("issuing-1");
	close_publisher();
	authority_close(authority);
	fake_hsm_set_away(authority->hsm, true);
	authority_open(authority);
	open_publisher(authority);
	assert_int_equal(number("issuing-1"), 1);
	fake_hsm_set_away(authority->hsm, false);
	settle("issuing-1");
	assert_int_equal(number("issuing-1"), 2);
}

static void a_lying_token_publishes_nothing(void **state)
{
	struct authority *authority = *state;
	struct crl *crl = NULL;
	struct err err;

	settle("issuing-1");
	fake_hsm_set_lie(authority->hsm, FAKE_OTHER_KEY);
	assert_int_equal(
	    crl_publish(publisher, "issuing-1", &crl, &err), ERR_CORRUPT);
	assert_null(crl);
	assert_int_equal(number("issuing-1"), 1);
}

static void a_crl_is_made_anew_before_it_goes_stale(void **state)
{
	struct authority *authority = *state;
	uint64_t before;

	settle("issuing-1");
	settle("issuing-2");
	before = number("issuing-1");
	clock_freeze(AUTHORITY_NOW + authority->config.crl.refresh);
	await_number_above("issuing-1", before);
	await_number_above("issuing-2", 1);
}

static void freshness_is_lost_at_next_update_and_without_any(void **state)
{
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	OWNED(crl) root = NULL;
	struct err err;
	struct issuer issuer;
	OWNED(issuer_set) set = ca_issuers(authority->ca);

	settle("issuing-1");
	settle("issuing-2");
	/* The root has none yet. */
	assert_false(crl_all_fresh(publisher, AUTHORITY_NOW));
	close_publisher();
	/* Signed where its key is: at the ceremony. */
	issuer = *issuer_set_find(set, "root");
	{
		OWNED(signer) signer = NULL;
		X509 *x509 = authority_x509(authority, "root");
		uint8_t *spki = NULL;
		int len = i2d_PUBKEY(X509_get0_pubkey(x509), &spki);

		assert_int_equal(signer_new(authority->hsm, issuer.key_uri,
		    BYTES(spki, (size_t)len), &signer, &err), ERR_OK);
		issuer.signer = signer;
		assert_int_equal(crl_build(authority->store, &issuer, 1000,
		    NULL, batch, &root, &err), ERR_OK);
		OPENSSL_free(spki);
		X509_free(x509);
	}
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	open_publisher(authority);
	assert_int_equal(number("root"), 1);
	assert_true(crl_all_fresh(publisher, AUTHORITY_NOW));
	assert_true(crl_all_fresh(publisher, AUTHORITY_NOW + 999));
	assert_false(crl_all_fresh(publisher, AUTHORITY_NOW + 1000));
	/* And it is served as it is, never signed here. */
	settle("issuing-1");
	assert_int_equal(number("root"), 1);
}

static void what_cannot_be_signed_here_is_refused_by_name(void **state)
{
	struct crl *crl = NULL;
	struct err err;

	(void)state;
	assert_int_equal(
	    crl_publish(publisher, "root", &crl, &err), ERR_CONFLICT);
	assert_non_null(strstr(err.detail, "root"));
	assert_int_equal(
	    crl_publish(publisher, "nobody", &crl, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.detail, "nobody"));
	assert_null(crl);
}

/* Two on one store, as two nodes will be: each goes on from the other's. */
static void two_publishers_never_use_a_number_twice(void **state)
{
	struct authority *authority = *state;
	struct crl_publisher *other;
	uint64_t last = 0;
	struct err err;

	assert_int_equal(
	    crl_publisher_open(authority->ca, &other, &err), ERR_OK);
	for (int i = 0; i < 10; i++) {
		OWNED(crl) crl = NULL;

		assert_int_equal(crl_publish(i % 2 == 0 ? publisher : other,
		    "issuing-1", &crl, &err), ERR_OK);
		assert_true(crl->number > last);
		last = crl->number;
	}
	crl_publisher_close(other);
}

#define REVOKERS 4
#define EACH 50

struct revoker {
	struct authority *authority;
	uint32_t first;
};

static void *revoke_many(void *arg)
{
	struct revoker *revoker = arg;

	for (uint32_t i = 0; i < EACH; i++)
		authority_revoke(revoker->authority, revoker->first + i, 1);
	return NULL;
}

static void revocations_together_are_gathered_and_none_is_missed(void **state)
{
	struct authority *authority = *state;
	struct revoker revokers[REVOKERS];
	pthread_t threads[REVOKERS];
	OWNED(crl) crl = NULL;

	settle("issuing-1");
	for (uint32_t n = 0; n < REVOKERS * EACH; n++)
		authority_record(authority, "issuing-1", n);
	for (uint32_t i = 0; i < REVOKERS; i++) {
		revokers[i] = (struct revoker){authority, i * EACH};
		assert_int_equal(pthread_create(&threads[i], NULL,
		    revoke_many, &revokers[i]), 0);
	}
	for (uint32_t i = 0; i < REVOKERS; i++)
		pthread_join(threads[i], NULL);
	settle("issuing-1");
	crl = crl_current(publisher, "issuing-1");
	assert_int_equal(crl->entries, REVOKERS * EACH);
	assert_true(crl->number < REVOKERS * EACH);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(every_issuer_that_signs_gets_its_crl),
	    TEST(a_revocation_told_is_published),
	    TEST(a_stop_between_revocation_and_crl_is_made_good),
	    TEST(a_revocation_during_a_build_asks_for_the_next),
	    TEST(the_token_away_stops_no_reading_and_comes_back_by_itself),
	    TEST(a_start_without_the_token_serves_what_is_stored),
	    TEST(a_lying_token_publishes_nothing),
	    TEST(a_crl_is_made_anew_before_it_goes_stale),
	    TEST(freshness_is_lost_at_next_update_and_without_any),
	    TEST(what_cannot_be_signed_here_is_refused_by_name),
	    TEST(two_publishers_never_use_a_number_twice),
	    TEST(revocations_together_are_gathered_and_none_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
