// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what the log told after a backup is taken away again from
 * what was restored, and gives nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/crl.h"
#include "ca/replay.h"
#include "policies/approval.h"
#include "tests/unit/ca/fixture.h"

#define SERIAL "010203040506070809"
#define TERMS "profile server, issuer issuing-1, valid until 2030-01-01T00:00:00Z"

static enum err_code take(struct replay *replay, const char *action,
    const char *object, const char *detail, struct err *err)
{
	const struct audit_entry entry = {.action = action,
	    .result = strcmp(action, "certificate.unresolved") == 0
		? "failed" : "granted",
	    .actor = "serial:0a", .cluster = "web", .object = object,
	    .detail = detail, .time_ms = (clock_now() + 5) * 1000};

	return replay_entry(replay, &entry, true, err);
}

static void must(struct replay *replay, const char *action, const char *object,
    const char *detail)
{
	struct err err = {0};

	if (take(replay, action, object, detail, &err) != ERR_OK)
		fail_msg("%s: %s%s", action, err.detail, err.cause);
}

static void finish(struct replay *replay, uint64_t above)
{
	struct err err = {0};
	const struct replay_end end = {
	    .crl_above = above, .object = "backup:x", .detail = "y"};

	assert_int_equal(replay_finish(replay, &end, &err), ERR_OK);
}

static struct certificate *find(struct fixture *fixture, const char *hex)
{
	struct certificate *record = NULL;
	struct serial serial;
	struct err err = {0};

	assert_true(serial_parse(hex, &serial));
	assert_int_equal(
	    certificate_find(fixture->store, &serial, &record, &err), ERR_OK);
	return record;
}

static void a_certificate_that_only_the_log_knows_has_its_status(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(certificate) record = NULL;
	OWNED(certificate) revoked = NULL;

	(void)state;
	must(replay, "certificate.issue", "serial:" SERIAL, TERMS);
	finish(replay, 0);
	record = find(fixture, SERIAL);
	assert_non_null(record);
	assert_int_equal(record->state, CERTIFICATE_VALID);
	assert_true(certificate_is_told(record));
	assert_string_equal(record->issuer, "issuing-1");
	assert_string_equal(record->cluster, "web");
	assert_int_equal(record->not_after, 1893456000);
	assert_int_equal(record->roles, 0);

	must(replay, "certificate.revoke", "serial:" SERIAL, "keyCompromise");
	finish(replay, 0);
	revoked = find(fixture, SERIAL);
	assert_int_equal(revoked->state, CERTIFICATE_REVOKED);
	assert_int_equal(revoked->reason, 1);
}

static void issued_and_revoked_at_once_it_is_revoked(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(certificate) record = NULL;

	(void)state;
	must(replay, "certificate.issue", "serial:" SERIAL, TERMS);
	must(replay, "certificate.revoke", "serial:" SERIAL, NULL);
	finish(replay, 0);
	record = find(fixture, SERIAL);
	assert_int_equal(record->state, CERTIFICATE_REVOKED);
	assert_int_equal(replay_counts(replay)->revoked, 1);
}

static void what_no_checkpoint_covers_counts_as_revoked(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(certificate) record = NULL;
	struct err err = {0};
	const struct audit_entry entry = {.action = "certificate.issue",
	    .result = "granted", .actor = "serial:0a",
	    .object = "serial:" SERIAL, .detail = TERMS, .time_ms = 1800000000000};

	(void)state;
	assert_int_equal(replay_entry(replay, &entry, false, &err), ERR_OK);
	finish(replay, 0);
	record = find(fixture, SERIAL);
	assert_int_equal(record->state, CERTIFICATE_UNRESOLVED);
}

static void an_issuance_that_failed_stays_unresolved(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(certificate) record = NULL;

	(void)state;
	must(replay, "certificate.unresolved", "serial:" SERIAL,
	    TERMS "; the server stopped");
	finish(replay, 0);
	record = find(fixture, SERIAL);
	assert_int_equal(record->state, CERTIFICATE_UNRESOLVED);
	assert_int_equal(record->not_after, 1893456000);
}

static void a_certificate_of_the_backup_is_revoked(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(certificate) issued = fixture_issue(fixture, "a.db1.example.net");
	OWNED_STR(hex) = serial_format(&issued->serial);
	OWNED_STR(object) = mem_printf("serial:%s", hex);
	OWNED(certificate) record = NULL;

	(void)state;
	/* It is told again, as one that a backup has under way may be. */
	must(replay, "certificate.issue", object, TERMS);
	must(replay, "certificate.revoke", object, "superseded");
	finish(replay, 0);
	record = find(fixture, hex);
	assert_int_equal(record->state, CERTIFICATE_REVOKED);
	assert_int_equal(record->reason, 4);
	assert_int_equal(replay_counts(replay)->issued, 0);
}

static void the_next_crl_is_above_all_that_was_told(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(crl) gone = NULL;
	struct err err = {0};
	uint64_t number;

	(void)state;
	must(replay, "crl.publish", "crl:issuing-1", "number 77, 3 entries");
	must(replay, "crl.publish", "crl:issuing-1", "number 76, 3 entries");
	finish(replay, 0);
	assert_int_equal(crl_number(fixture->store, "issuing-1", &number, &err),
	    ERR_OK);
	assert_true(number >= 77 + 1000 && number < 77 + 1200);
	/* What may lack revocations is given to nobody. */
	assert_int_equal(
	    crl_find(fixture->store, "issuing-1", &gone, &err), ERR_OK);
	assert_null(gone);
	/* That of the root is made elsewhere. */
	assert_int_equal(
	    crl_find(fixture->store, "root", &gone, &err), ERR_OK);
	assert_non_null(gone);
	finish(replay, 1000000);
	assert_int_equal(crl_number(fixture->store, "issuing-1", &number, &err),
	    ERR_OK);
	assert_int_equal(number, 1000000);
	/* A lower one lifts nothing down. */
	finish(replay, 5);
	assert_int_equal(crl_number(fixture->store, "issuing-1", &number, &err),
	    ERR_OK);
	assert_true(number >= 1000000);
}

static void a_number_that_no_crl_has_is_refused(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	struct err err = {0};
	const struct replay_end end = {.crl_above = UINT64_MAX, .object = "b"};

	(void)state;
	assert_int_equal(replay_finish(replay, &end, &err), ERR_BAD_FIELD);
	assert_int_equal(take(replay, "crl.publish", "crl:issuing-1",
	    "number 18446744073709551615, 1 entries", &err), ERR_CORRUPT);
}

static void entries_that_tell_nothing_are_refused(void **state)
{
	static const struct {
		const char *action, *object, *detail;
	} cases[] = {
	    {"certificate.issue", "serial:xyz", TERMS},
	    {"certificate.issue", NULL, TERMS},
	    {"certificate.issue", "serial:" SERIAL, NULL},
	    {"certificate.issue", "serial:" SERIAL, "profile a, issuer b"},
	    {"certificate.issue", "serial:" SERIAL,
		"profile a, issuer b, valid until never"},
	    {"certificate.revoke", "key:1", NULL},
	    {"token.revoke", "token:12", NULL},
	    {"identity.revoke", "identity:", NULL},
	    {"identity.change", "identity:12", "roles admin"},
	    {"identity.code", NULL, NULL},
	    {"cluster.retire", "web", NULL},
	    {"crl.publish", "crl:issuing-1", "number -1, 3 entries"},
	    {"crl.publish", "crl:issuing-1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED(fixture) fixture = fixture_with_ca();
		OWNED(replay) replay = replay_new(fixture->store);
		struct err err = {0};

		assert_int_equal(take(replay, cases[i].action, cases[i].object,
		    cases[i].detail, &err), ERR_CORRUPT);
	}
}

static void what_cannot_come_back_is_listed(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	struct bytes lines;

	(void)state;
	must(replay, "key.create", "key:web/tde", NULL);
	must(replay, "key.datakey", "key:web/tde", NULL);
	must(replay, "key.read", "tde", NULL);
	must(replay, "self", NULL, NULL);
	must(replay, "some.later-action", "thing:1", NULL);
	finish(replay, 0);
	lines = replay_by_hand(replay);
	assert_int_equal(replay_counts(replay)->by_hand, 2);
	assert_non_null(memmem(lines.data, lines.len,
	    BYTES_STR("key.create key:web/tde of web\n").data, 30));
}

/* One that waits for its code, with two roles. */
static struct identity *make_identity(
    struct fixture *fixture, struct secret **code_out)
{
	static const char *const roles[] = {"admin", "auditor"};
	const struct identity_request request = {.name = "ann",
	    .kind = IDENTITY_CERTIFICATE, .creator = "local", .roles = roles,
	    .roles_count = 2};
	OWNED(batch) batch = batch_new();
	struct identity *made = NULL;
	struct err err = {0};

	assert_int_equal(identity_create(batch, NULL, &request, &made,
			     code_out, &err), ERR_OK);
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	return made;
}

static char *object_of(const struct identity *identity)
{
	char id[2 * IDENTITY_ID_SIZE + 1];

	return mem_printf("identity:%s",
	    hex_write(identity->id, IDENTITY_ID_SIZE, id));
}

static void an_identity_keeps_of_its_roles_what_the_log_left_it(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(secret) code = NULL;
	OWNED(identity) made = make_identity(fixture, &code);
	OWNED(identity) now = NULL;
	OWNED_STR(object) = object_of(made);
	struct err err = {0};

	(void)state;
	must(replay, "identity.change", object, "ttl");
	must(replay, "identity.change", object,
	    "roles key-officer,auditor; name");
	finish(replay, 0);
	assert_int_equal(
	    identity_get(fixture->store, made->id, &now, &err), ERR_OK);
	assert_int_equal(now->roles_count, 1);
	assert_string_equal(now->roles[0], "auditor");
	/* What it was given is for an admin to give. */
	assert_int_equal(replay_counts(replay)->by_hand, 2);
}

static void a_code_that_another_took_the_place_of_stays_void(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	OWNED(secret) code = NULL;
	OWNED(identity) made = make_identity(fixture, &code);
	OWNED(identity) found = NULL;
	OWNED_STR(object) = object_of(made);
	const char *why = NULL;
	struct ip ip;
	struct err err = {0};

	(void)state;
	assert_true(ip_parse("10.1.2.3", &ip));
	must(replay, "identity.code", object, NULL);
	must(replay, "identity.code", "identity:" SERIAL "0a0b0c0d0e0f10", NULL);
	finish(replay, 0);
	assert_int_equal(identity_check(fixture->store, BEARER_CODE,
			     secret_bytes(code), &ip, &found, &why, &err),
	    ERR_UNAUTHENTICATED);
	assert_int_equal(replay_counts(replay)->by_hand, 2);
}

static void ask_for_approval(struct fixture *fixture)
{
	const uint8_t requester[IDENTITY_ID_SIZE] = {7};
	const struct approval_content content = {.action = "cluster.retire",
	    .requester = requester, .method = "DELETE",
	    .path = "/api/v1/clusters/web", .body = ""};
	const struct approver_rule rule = {.needed = 1, .expires = 3600};
	OWNED(approval) approval = NULL;
	OWNED(batch) batch = batch_new();
	struct err err = {0};

	assert_int_equal(approval_create(batch, &content, "ann", &rule, 0,
			     &approval, &err),
	    ERR_OK);
	assert_int_equal(
	    store_commit(fixture->store, batch, &err), ERR_OK);
}

static void what_waited_for_approval_is_to_be_asked_for_anew(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(replay) replay = replay_new(fixture->store);
	struct approval *page[2];
	struct err err = {0};
	size_t count;

	(void)state;
	ask_for_approval(fixture);
	must(replay, "approval.execute", "approval:07", NULL);
	finish(replay, 0);
	assert_int_equal(
	    approval_list(fixture->store, NULL, 2, page, &count, &err), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(page[0]->state, APPROVAL_EXPIRED);
	approval_free(page[0]);
	assert_int_equal(replay_counts(replay)->by_hand, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_certificate_that_only_the_log_knows_has_its_status),
	    cmocka_unit_test(issued_and_revoked_at_once_it_is_revoked),
	    cmocka_unit_test(what_no_checkpoint_covers_counts_as_revoked),
	    cmocka_unit_test(an_issuance_that_failed_stays_unresolved),
	    cmocka_unit_test(a_certificate_of_the_backup_is_revoked),
	    cmocka_unit_test(the_next_crl_is_above_all_that_was_told),
	    cmocka_unit_test(a_number_that_no_crl_has_is_refused),
	    cmocka_unit_test(entries_that_tell_nothing_are_refused),
	    cmocka_unit_test(what_cannot_come_back_is_listed),
	    cmocka_unit_test(
		an_identity_keeps_of_its_roles_what_the_log_left_it),
	    cmocka_unit_test(
		a_code_that_another_took_the_place_of_stays_void),
	    cmocka_unit_test(what_waited_for_approval_is_to_be_asked_for_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
