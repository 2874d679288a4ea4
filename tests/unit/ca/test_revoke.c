// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/ca/authority.h"

static struct certificate *get(struct authority *authority, uint32_t n)
{
	struct serial serial = authority_serial(n);
	struct certificate *record;
	struct err err;

	assert_int_equal(certificate_get(authority->store, &serial, &record,
	    &err), ERR_OK);
	return record;
}

static void reasons_that_hold_for_good_are_accepted_by_name(void **state)
{
	static const struct {
		const char *name;
		uint8_t reason;
	} cases[] = {{"unspecified", 0}, {"keyCompromise", 1},
	    {"cACompromise", 2}, {"affiliationChanged", 3}, {"superseded", 4},
	    {"cessationOfOperation", 5}, {"privilegeWithdrawn", 9},
	    {"aACompromise", 10}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t reason = 99;

		assert_true(reason_parse(cases[i].name, &reason));
		assert_int_equal(reason, cases[i].reason);
		assert_string_equal(reason_name(reason), cases[i].name);
	}
}

static void reasons_that_could_be_lifted_or_are_none_are_refused(void **state)
{
	static const char *const names[] = {"certificateHold", "removeFromCRL",
	    "keycompromise", "keyCompromise ", "", "1", "unknown"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint8_t reason = 99;

		assert_false(reason_parse(names[i], &reason));
		assert_int_equal(reason, 99);
	}
	assert_string_equal(reason_name(6), "certificateHold");
	assert_string_equal(reason_name(8), "removeFromCRL");
	assert_string_equal(reason_name(7), "unknown");
	assert_string_equal(reason_name(255), "unknown");
}

static void a_revocation_is_recorded_with_time_and_reason(void **state)
{
	struct authority *authority = *state;
	OWNED(certificate) record = NULL;

	authority_record(authority, "issuing-1", 1);
	clock_freeze(AUTHORITY_NOW + 77);
	authority_revoke(authority, 1, 4);
	record = get(authority, 1);
	assert_int_equal(record->state, CERTIFICATE_REVOKED);
	assert_int_equal(record->revoked, AUTHORITY_NOW + 77);
	assert_int_equal(record->reason, 4);
}

static void a_second_revocation_is_refused_and_told_of_the_first(void **state)
{
	struct authority *authority = *state;
	OWNED(certificate) record = NULL;
	OWNED(batch) batch = batch_new();
	struct err err;

	authority_record(authority, "issuing-1", 1);
	authority_revoke(authority, 1, 4);
	record = get(authority, 1);
	clock_freeze(AUTHORITY_NOW + 1000);
	assert_int_equal(
	    ca_revoke(authority->ca, batch, record, 1, &err), ERR_CONFLICT);
	assert_true(batch_is_empty(batch));
	assert_non_null(strstr(err.detail, "2027-01-15T08:00:00Z"));
	assert_non_null(strstr(err.detail, "superseded"));
}

static void an_unresolved_serial_counts_as_revoked_already(void **state)
{
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	struct certificate record = {.state = CERTIFICATE_UNRESOLVED,
	    .revoked = AUTHORITY_NOW};
	struct err err;

	assert_int_equal(
	    ca_revoke(authority->ca, batch, &record, 1, &err), ERR_CONFLICT);
	assert_true(batch_is_empty(batch));
	assert_non_null(strstr(err.detail, "2027-01-15T08:00:00Z"));
}

static void of_two_that_revoke_at_once_one_is_refused(void **state)
{
	struct authority *authority = *state;
	OWNED(certificate) record = NULL;
	OWNED(batch) one = batch_new();
	OWNED(batch) two = batch_new();
	struct err err;

	authority_record(authority, "issuing-1", 1);
	record = get(authority, 1);
	assert_int_equal(
	    ca_revoke(authority->ca, one, record, 1, &err), ERR_OK);
	assert_int_equal(
	    ca_revoke(authority->ca, two, record, 4, &err), ERR_OK);
	assert_int_equal(store_commit(authority->store, one, &err), ERR_OK);
	assert_int_equal(
	    store_commit(authority->store, two, &err), ERR_CONFLICT);
}

static void several_revocations_join_in_one_commit(void **state)
{
	struct authority *authority = *state;
	OWNED(batch) batch = batch_new();
	struct err err;

	for (uint32_t n = 0; n < 3; n++) {
		OWNED(certificate) record = NULL;

		authority_record(authority, "issuing-1", n);
		record = get(authority, n);
		assert_int_equal(ca_revoke(authority->ca, batch, record, 5,
		    &err), ERR_OK);
	}
	assert_int_equal(store_commit(authority->store, batch, &err), ERR_OK);
	for (uint32_t n = 0; n < 3; n++) {
		OWNED(certificate) record = get(authority, n);

		assert_int_equal(record->state, CERTIFICATE_REVOKED);
	}
}

static void a_revocation_is_never_dated_before_the_certificate(void **state)
{
	struct authority *authority = *state;
	OWNED(certificate) record = NULL;

	authority_record(authority, "issuing-1", 1);
	clock_freeze(AUTHORITY_NOW - 500);
	authority_revoke(authority, 1, 1);
	record = get(authority, 1);
	assert_int_equal(record->revoked, AUTHORITY_NOW);
}

#define WITH_CA(test)                                                          \
	cmocka_unit_test_setup_teardown(                                       \
	    test, authority_setup, authority_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reasons_that_hold_for_good_are_accepted_by_name),
	    cmocka_unit_test(
		reasons_that_could_be_lifted_or_are_none_are_refused),
	    WITH_CA(a_revocation_is_recorded_with_time_and_reason),
	    WITH_CA(a_second_revocation_is_refused_and_told_of_the_first),
	    WITH_CA(an_unresolved_serial_counts_as_revoked_already),
	    WITH_CA(of_two_that_revoke_at_once_one_is_refused),
	    WITH_CA(several_revocations_join_in_one_commit),
	    WITH_CA(a_revocation_is_never_dated_before_the_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
