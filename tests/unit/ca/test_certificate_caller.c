// SPDX-License-Identifier: Apache-2.0
/* Goal: a caller is known by the exact octets on record, while they are valid,
 * and by nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/ca/fixture.h"

static struct err err;
static const char *why;

static enum err_code authenticate(
    struct fixture *fixture, struct bytes der, int64_t now)
{
	OWNED(certificate) found = NULL;

	return certificate_authenticate(
	    fixture->store, der, now, &found, &why, &err);
}

static void the_octets_on_record_authenticate_while_valid(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(certificate) found = NULL;
	struct bytes der = BYTES(issued->der, issued->der_len);

	(void)state;
	assert_int_equal(certificate_authenticate(fixture->store, der,
	    issued->not_before, &found, &why, &err), ERR_OK);
	assert_null(why);
	assert_memory_equal(found->serial.octets, issued->serial.octets, 18);
	assert_int_equal(
	    authenticate(fixture, der, issued->not_after), ERR_OK);
}

static void assert_refused(struct fixture *fixture, struct bytes der,
    int64_t now, const char *reason)
{
	assert_int_equal(
	    authenticate(fixture, der, now), ERR_UNAUTHENTICATED);
	assert_string_equal(why, reason);
	/* One text for every reason. */
	assert_string_equal(
	    err.detail, "the client certificate is not accepted");
}

static void anything_else_does_not_authenticate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(batch) batch = batch_new();
	struct bytes der = BYTES(issued->der, issued->der_len);
	int64_t now = issued->created;

	(void)state;
	assert_refused(fixture, der, issued->not_before - 1, "not yet valid");
	assert_refused(fixture, der, issued->not_after + 1, "expired");
	assert_refused(fixture, BYTES("", 0), now, "not a certificate");
	assert_refused(fixture, BYTES(der.data, der.len - 1), now,
	    "not a certificate");
	issued->der[issued->der_len - 1] ^= 1;
	assert_refused(fixture, der, now, "not the octets on record");
	issued->der[issued->der_len - 1] ^= 1;
	/* Serial: SEQUENCE, SEQUENCE, [0], INTEGER. */
	assert_int_equal(issued->der[13], 0x02);
	issued->der[20] ^= 1;
	assert_refused(fixture, der, now, "no record of its serial");
	issued->der[20] ^= 1;
	assert_int_equal(ca_revoke(fixture->ca, batch, issued, 1, &err),
	    ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_refused(fixture, der, now, "revoked");
}

static void no_prefix_and_no_flip_of_a_certificate_authenticates(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	int64_t now = issued->created;

	(void)state;
	for (size_t len = 0; len < issued->der_len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, issued->der, len);
		assert_int_equal(authenticate(fixture, BYTES(copy, len), now),
		    ERR_UNAUTHENTICATED);
		free(copy);
	}
	for (size_t i = 0; i < issued->der_len; i++) {
		issued->der[i] ^= 0x10;
		assert_int_equal(authenticate(fixture,
		    BYTES(issued->der, issued->der_len), now),
		    ERR_UNAUTHENTICATED);
		issued->der[i] ^= 0x10;
	}
}

static void an_unresolved_serial_does_not_authenticate(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = fixture_issue(fixture, "a.example.net");
	OWNED(batch) batch = batch_new();
	struct certificate unresolved = *issued;

	(void)state;
	unresolved.state = CERTIFICATE_UNRESOLVED;
	unresolved.revoked = issued->created;
	unresolved.der = NULL;
	unresolved.der_len = 0;
	certificate_put(batch, &unresolved);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_refused(fixture, BYTES(issued->der, issued->der_len),
	    issued->created, "not the octets on record");
}

#define TEST cmocka_unit_test

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_octets_on_record_authenticate_while_valid),
	    TEST(anything_else_does_not_authenticate),
	    TEST(no_prefix_and_no_flip_of_a_certificate_authenticates),
	    TEST(an_unresolved_serial_does_not_authenticate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
