// SPDX-License-Identifier: Apache-2.0
/* Goal: a request is approved by enough others, each counted once and only while
 * they may; by nobody for themselves, for other content, or after its time; and of
 * two changes that meet one is refused. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policies/record.h"

static char admin_text[] = "admin", officer_text[] = "key-officer",
	    auditor_text[] = "auditor";
static char *admin_role[] = {admin_text}, *officer_role[] = {officer_text},
	    *auditor_role[] = {auditor_text};
static char ann_text[] = "Ann";
static char *named[] = {ann_text};
static const struct approver_rule rule = {.needed = 2,
    .expires = 3600,
    .roles = admin_role,
    .roles_count = 1,
    .names = named,
    .names_count = 1};

/* Identity NUMBER, committed. */
static struct identity *make(
    struct fixture *fixture, uint8_t number, const char *name, char **roles)
{
	struct identity *identity = mem_zalloc(sizeof(*identity));
	OWNED(batch) batch = batch_new();

	memset(identity->id, number, sizeof(identity->id));
	identity->kind = IDENTITY_CERTIFICATE;
	identity->name = mem_strdup(name);
	identity->roles = mem_zalloc_array(1, sizeof(*identity->roles));
	identity->roles[0] = mem_strdup(roles[0]);
	identity->roles_count = 1;
	identity->ttl = 3600;
	identity->created = identity->enrolled = 1;
	identity->creator = mem_strdup("test");
	identity_put(batch, identity);
	assert_commit(fixture->store, batch);
	identity->revision = 1;
	return identity;
}

static const uint8_t requester[IDENTITY_ID_SIZE] = {1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1};

static struct approval_content content(void)
{
	return (struct approval_content){.action = "cluster.retire",
	    .requester = requester,
	    .cluster = "orders",
	    .method = "DELETE",
	    .path = "/clusters/orders",
	    .body = ""};
}

/* Asks at NOW and reads it back. */
static struct approval *ask(struct fixture *fixture)
{
	const struct approval_content asked = content();
	OWNED(batch) batch = batch_new();
	OWNED(approval) made = NULL;
	struct approval *approval = NULL;

	clock_freeze(NOW);
	assert_int_equal(approval_create(batch, &asked, "Rex", &rule, 0, &made,
			     &fixture->err), ERR_OK);
	assert_commit(fixture->store, batch);
	assert_int_equal(approval_get(fixture->store, made->id, &approval,
			     &fixture->err), ERR_OK);
	return approval;
}

static enum err_code consent(struct fixture *fixture,
    struct approval *approval, const struct identity *identity)
{
	const struct approval_judge judge = {&rule, NULL, identity};
	OWNED(batch) batch = batch_new();
	enum err_code code = approval_consent(
	    batch, approval, &judge, approval->digest, &fixture->err);

	if (code != ERR_OK || batch_is_empty(batch))
		return code;
	code = store_commit(fixture->store, batch, &fixture->err);
	approval->revision += code == ERR_OK;
	return code;
}

static unsigned count(
    struct fixture *fixture, const struct approval *approval)
{
	unsigned counted = 99;

	assert_int_equal(approval_count(fixture->store, approval, &rule, NULL,
			     NULL, &counted, &fixture->err), ERR_OK);
	return counted;
}

static void two_others_are_two_and_one_twice_is_one(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) ann = make(fixture, 2, "Ann", officer_role);
	OWNED(identity) bob = make(fixture, 3, "Bob", admin_role);
	OWNED(identity) also_bob = make(fixture, 4, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);

	assert_int_equal(count(fixture, approval), 0);
	assert_int_equal(consent(fixture, approval, bob), ERR_OK);
	assert_int_equal(consent(fixture, approval, bob), ERR_OK);
	assert_int_equal(approval->decisions_count, 1);
	assert_int_equal(consent(fixture, approval, also_bob), ERR_OK);
	assert_int_equal(count(fixture, approval), 1);
	assert_int_equal(consent(fixture, approval, ann), ERR_OK);
	assert_int_equal(count(fixture, approval), 2);
}

static void nobody_approves_their_own(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) rex = make(fixture, 1, "Anybody", admin_role);
	OWNED(identity) namesake = make(fixture, 2, "Rex", admin_role);
	OWNED(approval) approval = ask(fixture);

	assert_refused(consent(fixture, approval, rex), ERR_POLICY,
	    &fixture->err, "themselves");
	assert_refused(consent(fixture, approval, namesake), ERR_POLICY,
	    &fixture->err, "themselves");
	assert_int_equal(count(fixture, approval), 0);
}

static void who_is_no_approver_decides_nothing(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) kay = make(fixture, 2, "Kay", officer_role);
	OWNED(identity) ann = make(fixture, 3, "Ann", auditor_role);
	OWNED(approval) approval = ask(fixture);
	const struct approval_judge judge = {&rule, NULL, kay};
	OWNED(batch) batch = batch_new();

	assert_refused(consent(fixture, approval, kay), ERR_FORBIDDEN,
	    &fixture->err, "none of the approvers");
	/* Named, but her role may not decide. */
	assert_refused(consent(fixture, approval, ann), ERR_FORBIDDEN,
	    &fixture->err, "may not decide");
	assert_refused(approval_reject(batch, approval, &judge, "no",
			   &fixture->err), ERR_FORBIDDEN, &fixture->err,
	    "none of the approvers");
}

static void another_digest_is_refused(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) bob = make(fixture, 2, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);
	const struct approval_judge judge = {&rule, NULL, bob};
	uint8_t digest[APPROVAL_DIGEST_SIZE];

	for (size_t i = 0; i < sizeof(digest); i += 31) {
		OWNED(batch) batch = batch_new();

		memcpy(digest, approval->digest, sizeof(digest));
		digest[i] ^= 1;
		assert_refused(approval_consent(batch, approval, &judge,
				   digest, &fixture->err), ERR_POLICY,
		    &fixture->err, "digest");
		assert_true(batch_is_empty(batch));
	}
}

static void whatever_differs_has_another_digest(void **state)
{
	static const uint8_t another[IDENTITY_ID_SIZE] = {2};
	struct fixture *fixture = *state;
	struct approval_content all[7];
	uint8_t digests[7][APPROVAL_DIGEST_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i] = content();
	all[1].action = "key.destroy";
	all[2].requester = another;
	all[3].cluster = NULL;
	all[4].method = "POST";
	all[5].path = "/clusters/order";
	all[6].body = "s";
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(
		    approval_digest(&all[i], digests[i], &fixture->err),
		    ERR_OK);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(
			    digests[i], digests[k], APPROVAL_DIGEST_SIZE);
	}
}

static void a_request_ends_with_its_time(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) ann = make(fixture, 2, "Ann", officer_role);
	OWNED(identity) bob = make(fixture, 3, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);

	clock_freeze(NOW + 3599);
	assert_true(approval_is_open(approval, clock_now()));
	assert_int_equal(consent(fixture, approval, ann), ERR_OK);
	clock_freeze(NOW + 3600);
	assert_false(approval_is_open(approval, clock_now()));
	assert_refused(consent(fixture, approval, bob), ERR_POLICY,
	    &fixture->err, "expired");
}

static void a_consent_counts_while_its_giver_may(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) ann = make(fixture, 2, "Ann", officer_role);
	OWNED(identity) bob = make(fixture, 3, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);
	OWNED(batch) spend = batch_new();
	OWNED(batch) end = batch_new();
	unsigned counted = 0;

	assert_int_equal(consent(fixture, approval, ann), ERR_OK);
	assert_int_equal(consent(fixture, approval, bob), ERR_OK);
	assert_int_equal(approval_count(fixture->store, approval, &rule, NULL,
			     spend, &counted, &fixture->err), ERR_OK);
	assert_int_equal(counted, 2);
	identity_revoke(end, bob);
	assert_commit(fixture->store, end);
	/* What was counted before does not hold. */
	approval_end(spend, approval, APPROVAL_EXECUTED);
	assert_int_equal(store_commit(fixture->store, spend, &fixture->err),
	    ERR_CONFLICT);
	assert_int_equal(count(fixture, approval), 1);
}

static void of_two_who_decide_or_spend_at_once_one_is_refused(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) ann = make(fixture, 2, "Ann", officer_role);
	OWNED(identity) bob = make(fixture, 3, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);
	OWNED(approval) same = NULL;
	OWNED(batch) one = batch_new();
	OWNED(batch) two = batch_new();

	assert_int_equal(approval_get(fixture->store, approval->id, &same,
			     &fixture->err), ERR_OK);
	assert_int_equal(consent(fixture, approval, ann), ERR_OK);
	assert_int_equal(consent(fixture, same, bob), ERR_CONFLICT);
	approval_free(GIVE(same));
	assert_int_equal(approval_get(fixture->store, approval->id, &same,
			     &fixture->err), ERR_OK);
	approval_end(one, approval, APPROVAL_EXECUTED);
	approval_end(two, same, APPROVAL_EXECUTED);
	assert_commit(fixture->store, one);
	assert_int_equal(
	    store_commit(fixture->store, two, &fixture->err), ERR_CONFLICT);
}

static void what_has_ended_takes_no_decision(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) bob = make(fixture, 2, "Bob", admin_role);
	OWNED(identity) rex = make(fixture, 1, "Rex", admin_role);
	OWNED(approval) approval = ask(fixture);
	const struct approval_judge judge = {&rule, NULL, rex};
	OWNED(batch) batch = batch_new();
	OWNED(batch) again = batch_new();

	/* One's own request one may take back. */
	assert_int_equal(approval_reject(batch, approval, &judge, "a slip",
			     &fixture->err), ERR_OK);
	assert_commit(fixture->store, batch);
	approval->revision++;
	assert_refused(consent(fixture, approval, bob), ERR_POLICY,
	    &fixture->err, "rejected");
	assert_refused(approval_reject(again, approval, &judge, "no",
			   &fixture->err), ERR_POLICY, &fixture->err,
	    "rejected");
}

static void what_was_refused_is_open_again(void **state)
{
	struct fixture *fixture = *state;
	OWNED(approval) approval = ask(fixture);
	OWNED(batch) spend = batch_new();
	OWNED(batch) back = batch_new();

	approval_end(spend, approval, APPROVAL_EXECUTED);
	assert_commit(fixture->store, spend);
	approval->revision++;
	assert_false(approval_is_open(approval, NOW));
	approval_reopen(back, approval);
	assert_commit(fixture->store, back);
	assert_true(approval_is_open(approval, NOW));
}

static void the_same_asked_twice_at_once_is_one_request(void **state)
{
	struct fixture *fixture = *state;
	const struct approval_content asked = content();
	OWNED(approval) approval = ask(fixture);
	OWNED(approval) again = NULL;
	OWNED(approval) found = NULL;
	OWNED(batch) late = batch_new();
	OWNED(batch) later = batch_new();
	uint64_t index = 0;

	assert_int_equal(approval_create(late, &asked, "Rex", &rule, index,
			     &again, &fixture->err), ERR_OK);
	assert_int_equal(
	    store_commit(fixture->store, late, &fixture->err), ERR_CONFLICT);
	assert_int_equal(approval_find_digest(fixture->store,
			     approval->digest, &found, &index, &fixture->err),
	    ERR_OK);
	assert_memory_equal(found->id, approval->id, APPROVAL_ID_SIZE);
	/* A later one of the same content takes the place in the index. */
	approval_free(GIVE(again));
	assert_int_equal(approval_create(later, &asked, "Rex", &rule, index,
			     &again, &fixture->err), ERR_OK);
	assert_commit(fixture->store, later);
	approval_free(GIVE(found));
	assert_int_equal(approval_find_digest(fixture->store,
			     approval->digest, &found, &index, &fixture->err),
	    ERR_OK);
	assert_memory_equal(found->id, again->id, APPROVAL_ID_SIZE);
}

static void the_old_is_forgotten_and_what_came_after_it_is_not(void **state)
{
	struct fixture *fixture = *state;
	OWNED(approval) approval = ask(fixture);
	OWNED(approval) found = NULL;
	OWNED(batch) end = batch_new();
	OWNED(batch) forget = batch_new();
	uint64_t index = 0, rows = 9;

	assert_false(approval_is_old(approval, NOW + 10 * APPROVAL_KEPT));
	approval_end(end, approval, APPROVAL_EXPIRED);
	assert_commit(fixture->store, end);
	approval->revision++;
	assert_false(approval_is_old(approval, NOW + APPROVAL_KEPT));
	assert_true(approval_is_old(approval, NOW + APPROVAL_KEPT + 1));
	assert_int_equal(approval_forget(fixture->store, forget, approval,
			     &fixture->err), ERR_OK);
	assert_commit(fixture->store, forget);
	assert_int_equal(approval_find_digest(fixture->store,
			     approval->digest, &found, &index, &fixture->err),
	    ERR_OK);
	assert_null(found);
	assert_int_equal(index, 0);
	assert_int_equal(store_count(fixture->store, TABLE_APPROVALS, &rows,
			     &fixture->err), ERR_OK);
	assert_int_equal(rows, 0);
	assert_refused(approval_get(fixture->store, approval->id, &found,
			   &fixture->err), ERR_NOT_FOUND, &fixture->err,
	    "no approval");
}

/* Whole, cut anywhere, and with any octet changed. */
static void a_record_is_read_as_it_was_written_or_not_at_all(void **state)
{
	struct fixture *fixture = *state;
	OWNED(identity) bob = make(fixture, 2, "Bob", admin_role);
	OWNED(approval) approval = ask(fixture);
	OWNED_BUF(record);

	assert_int_equal(consent(fixture, approval, bob), ERR_OK);
	approval_write(approval, &record);
	for (size_t i = 0; i <= record.len; i++) {
		OWNED(approval) read = NULL;
		OWNED_BUF(again);
		bool whole = approval_read(
		    approval->id, BYTES(record.data, i), &read);

		assert_int_equal(whole, i == record.len);
		if (!whole)
			continue;
		approval_write(read, &again);
		assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&record)));
	}
	for (size_t i = 0; i < record.len; i++) {
		OWNED(approval) read = NULL;
		OWNED_BUF(again);

		record.data[i] ^= 0x80;
		if (approval_read(approval->id, buf_bytes(&record), &read)) {
			approval_write(read, &again);
			assert_true(bytes_equal(
			    buf_bytes(&again), buf_bytes(&record)));
		}
		record.data[i] ^= 0x80;
	}
}

static void only_so_many_decisions_are_kept(void **state)
{
	struct fixture *fixture = *state;
	OWNED(approval) approval = ask(fixture);

	for (unsigned i = 0; i <= APPROVAL_DECISIONS_MAX; i++) {
		OWNED_STR(name) = mem_printf("a%u", i);
		OWNED(identity) one =
		    make(fixture, (uint8_t)(10 + i), name, admin_role);
		enum err_code code = consent(fixture, approval, one);

		if (i < APPROVAL_DECISIONS_MAX)
			assert_int_equal(code, ERR_OK);
		else
			assert_refused(
			    code, ERR_POLICY, &fixture->err, "no more");
	}
	assert_int_equal(count(fixture, approval), APPROVAL_DECISIONS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_STORE(two_others_are_two_and_one_twice_is_one),
		TEST_STORE(nobody_approves_their_own),
		TEST_STORE(who_is_no_approver_decides_nothing),
		TEST_STORE(another_digest_is_refused),
		TEST_STORE(whatever_differs_has_another_digest),
		TEST_STORE(a_request_ends_with_its_time),
		TEST_STORE(a_consent_counts_while_its_giver_may),
		TEST_STORE(of_two_who_decide_or_spend_at_once_one_is_refused),
		TEST_STORE(what_has_ended_takes_no_decision),
		TEST_STORE(what_was_refused_is_open_again),
		TEST_STORE(the_same_asked_twice_at_once_is_one_request),
		TEST_STORE(the_old_is_forgotten_and_what_came_after_it_is_not),
		TEST_STORE(a_record_is_read_as_it_was_written_or_not_at_all),
		TEST_STORE(only_so_many_decisions_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
