// SPDX-License-Identifier: Apache-2.0
/* Goal: an identity is made only with roles that make sense, its code and its
 * token let in whom they were made for, and nobody learns why another was turned
 * away. */
#include "fixture.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "policies/identity.h"

static const char *const operator_only[] = {"operator"};
static const char *const kms_only[] = {"kms"};

static struct identity_request person(void)
{
	return (struct identity_request){.name = "Ann",
	    .creator = "serial:01",
	    .kind = IDENTITY_CERTIFICATE,
	    .roles = operator_only,
	    .roles_count = 1};
}

static struct identity_request program(void)
{
	return (struct identity_request){.name = "app",
	    .creator = "serial:01",
	    .kind = IDENTITY_TOKEN,
	    .cluster = "orders",
	    .roles = kms_only,
	    .roles_count = 1};
}

/* A committed identity, frozen at NOW; the caller frees both. */
static struct secret *create(struct fixture *fixture,
    const struct identity_request *request, struct identity **identity_out)
{
	OWNED(batch) batch = batch_new();
	struct secret *text = NULL;

	clock_freeze(NOW);
	if (identity_create(batch, NULL, request, identity_out, &text,
		&fixture->err) != ERR_OK)
		fail_msg("%s%s", fixture->err.detail, fixture->err.cause);
	assert_commit(fixture->store, batch);
	(*identity_out)->revision = 1;
	return text;
}

static enum err_code check(struct fixture *fixture, enum bearer_kind kind,
    struct bytes text, struct identity **identity_out, const char **why)
{
	struct ip ip;

	assert_true(ip_parse("10.1.2.3", &ip));
	return identity_check(fixture->store, kind, text, &ip, identity_out,
	    why, &fixture->err);
}

static void assert_turned_away(struct fixture *fixture, enum bearer_kind kind,
    struct bytes text, const char *why)
{
	OWNED(identity) identity = NULL;
	const char *found = NULL;

	assert_refused(check(fixture, kind, text, &identity, &found),
	    ERR_UNAUTHENTICATED, &fixture->err,
	    "the credentials are not accepted");
	assert_string_equal(found, why);
}

static void a_code_lets_in_whom_it_was_made_for(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(identity) found = NULL;
	const char *why = NULL;

	assert_int_equal(secret_len(text), 47);
	assert_memory_equal(secret_data(text), "sgc_", 4);
	assert_int_equal(made->ttl, IDENTITY_TTL_DEFAULT);
	assert_int_equal(made->code_expires, NOW + IDENTITY_CODE_TTL_DEFAULT);
	assert_int_equal(made->expires, 0);
	assert_string_equal(identity_state(made, NOW), "pending");
	assert_int_equal(check(fixture, BEARER_CODE, secret_bytes(text), &found,
			     &why), ERR_OK);
	assert_memory_equal(found->id, made->id, IDENTITY_ID_SIZE);
	assert_string_equal(found->name, "Ann");
	assert_null(why);
	/* The code is no bearer token, and nobody else's. */
	assert_turned_away(fixture, BEARER_KEY_TOKEN, secret_bytes(text),
	    "a code or token of the other kind");
	secret_data(text)[10] ^= 1;
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(text),
	    "no such code or token");
	assert_turned_away(fixture, BEARER_CODE, BYTES_STR(""),
	    "no such code or token");
}

static void a_code_ends_and_its_identity_with_it(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = NULL;

	request.code_ttl = 60;
	request.lifetime = 3600;
	text = create(fixture, &request, &made);
	clock_freeze(NOW + 60);
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(text),
	    "enrolment code has expired");
	assert_string_equal(identity_state(made, NOW + 60), "expired");
	made->enrolled = NOW;
	assert_string_equal(identity_state(made, NOW + 60), "active");
	assert_null(identity_fault(made, NOW + 3599));
	assert_string_equal(
	    identity_fault(made, NOW + 3600), "identity has expired");
}

static void a_code_is_marked_as_used_once(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(batch) first = batch_new();
	OWNED(batch) second = batch_new();
	OWNED(identity) found = NULL;
	const char *why;

	identity_enroll(first, made);
	identity_enroll(second, made);
	assert_commit(fixture->store, first);
	assert_int_equal(store_commit(fixture->store, second, &fixture->err),
	    ERR_CONFLICT);
	assert_int_equal(check(fixture, BEARER_CODE, secret_bytes(text), &found,
			     &why), ERR_OK);
	assert_int_equal(found->enrolled, NOW);
}

static void an_enrolment_that_came_to_nothing_is_taken_back(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(batch) first = batch_new();
	OWNED(batch) back = batch_new();
	OWNED(identity) found = NULL;

	identity_enroll(first, made);
	assert_commit(fixture->store, first);
	made->revision++;
	identity_unenroll(back, made);
	assert_commit(fixture->store, back);
	assert_int_equal(identity_get(fixture->store, made->id, &found,
			     &fixture->err), ERR_OK);
	assert_string_equal(identity_state(found, NOW), "pending");
}

static void an_identity_that_is_not_there_is_not_found(void **state)
{
	static const uint8_t id[IDENTITY_ID_SIZE] = {1};
	struct fixture *fixture = *state;
	OWNED(identity) found = NULL;

	assert_refused(
	    identity_get(fixture->store, id, &found, &fixture->err),
	    ERR_NOT_FOUND, &fixture->err, "there is no identity 0100");
}

static void a_token_is_good_until_it_ends_or_is_revoked(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = program();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(identity) found = NULL;
	OWNED(batch) batch = batch_new();
	const char *why;

	assert_memory_equal(secret_data(text), "sgk_", 4);
	assert_int_equal(made->expires, NOW + IDENTITY_TOKEN_TTL_DEFAULT);
	assert_string_equal(identity_state(made, NOW), "active");
	assert_int_equal(check(fixture, BEARER_KEY_TOKEN, secret_bytes(text),
			     &found, &why), ERR_OK);
	clock_freeze(made->expires);
	assert_turned_away(fixture, BEARER_KEY_TOKEN, secret_bytes(text),
	    "identity has expired");
	clock_freeze(NOW);
	identity_revoke(batch, made);
	assert_commit(fixture->store, batch);
	assert_turned_away(fixture, BEARER_KEY_TOKEN, secret_bytes(text),
	    "identity is revoked");
}

static void a_token_is_good_from_its_ranges_alone(void **state)
{
	static const char *const far[] = {"192.0.2.0/24"};
	static const char *const near[] = {"192.0.2.0/24", "10.1.0.0/16"};
	struct fixture *fixture = *state;
	struct identity_request request = program();
	OWNED(identity) one = NULL;
	OWNED(identity) two = NULL;
	OWNED(identity) found = NULL;
	OWNED(secret) refused = NULL;
	OWNED(secret) accepted = NULL;
	const char *why;

	request.ranges = far;
	request.ranges_count = 1;
	refused = create(fixture, &request, &one);
	assert_turned_away(fixture, BEARER_KEY_TOKEN, secret_bytes(refused),
	    "not for this address");
	request.ranges = near;
	request.ranges_count = 2;
	accepted = create(fixture, &request, &two);
	assert_int_equal(check(fixture, BEARER_KEY_TOKEN,
			     secret_bytes(accepted), &found, &why), ERR_OK);
}

/* Refuses REQUEST for WORD; without it the same is accepted. */
static void refuses(struct fixture *fixture, const struct role_set *set,
    struct identity_request request, const char *word)
{
	OWNED(batch) batch = batch_new();
	OWNED(identity) identity = NULL;
	OWNED(secret) text = NULL;

	assert_refused(identity_create(batch, set, &request, &identity, &text,
			   &fixture->err),
	    ERR_BAD_FIELD, &fixture->err, word);
	assert_null(identity);
	assert_null(text);
}

static void an_identity_that_makes_no_sense_is_refused(void **state)
{
	static const char *const unknown[] = {"root"};
	static const char *const node[] = {"node"};
	static const char *const twice[] = {"auditor", "auditor"};
	static const char *const both[] = {"kms", "operator"};
	static const char *const wrong[] = {"here"};
	struct fixture *fixture = *state;
	struct identity_request request = person();

	request.name = " Ann";
	refuses(fixture, NULL, request, "Ann");
	request = person();
	request.roles_count = 0;
	refuses(fixture, NULL, request, "roles");
	request = person();
	request.roles = unknown;
	refuses(fixture, NULL, request, "\"root\"");
	request.roles = node;
	refuses(fixture, NULL, request, "bootstrap token");
	request.roles = kms_only;
	refuses(fixture, NULL, request, "\"cluster\" is missing");
	request.roles = twice;
	request.roles_count = 2;
	refuses(fixture, NULL, request, "twice");
	request = person();
	request.cluster = "Or ders";
	refuses(fixture, NULL, request, "Or ders");
	request = person();
	request.ttl = IDENTITY_TTL_MAX + 1;
	refuses(fixture, NULL, request, "ttl");
	request = person();
	request.code_ttl = IDENTITY_CODE_TTL_MAX + 1;
	refuses(fixture, NULL, request, "code_ttl");
	request = person();
	request.lifetime = -1;
	refuses(fixture, NULL, request, "lifetime");
	request = person();
	request.ranges = wrong;
	request.ranges_count = 1;
	refuses(fixture, NULL, request, "here");
	request = program();
	request.cluster = NULL;
	refuses(fixture, NULL, request, "\"cluster\" is missing");
	request = program();
	request.roles = operator_only;
	refuses(fixture, NULL, request, "kms alone");
	request.roles = both;
	request.roles_count = 2;
	refuses(fixture, NULL, request, "kms alone");
	request = program();
	request.lifetime = 60;
	refuses(fixture, NULL, request, "ttl");
}

static void a_role_of_a_file_that_uses_keys_needs_a_cluster(void **state)
{
	static const char *const app[] = {"app"};
	struct fixture *fixture = *state;
	OWNED_STR(path) = fs_join(fixture->dir, ROLES_FILE);
	OWNED(role_set) set = NULL;
	OWNED(batch) batch = batch_new();
	OWNED(identity) identity = NULL;
	OWNED(secret) text = NULL;
	struct identity_request request = person();
	struct caller caller = {.kind = CALLER_CERTIFICATE};
	struct caller later = {.kind = CALLER_CERTIFICATE};

	assert_int_equal(fs_write(path, 0600,
	    BYTES_STR("version: 1\nroles:\n  - name: app\n    description: d\n"
		      "    actions:\n      - key.use\n"), &fixture->err),
	    ERR_OK);
	assert_int_equal(role_set_load(path, &set, &fixture->err), ERR_OK);
	request.roles = app;
	refuses(fixture, NULL, request, "\"app\"");
	refuses(fixture, set, request, "\"cluster\" is missing");
	request.cluster = "orders";
	assert_int_equal(identity_create(batch, set, &request, &identity, &text,
			     &fixture->err), ERR_OK);
	identity_act(identity, set, &caller);
	assert_int_equal(caller.custom, PERMISSION_BIT(PERM_KEY_USE));
	assert_string_equal(caller.cluster, "orders");
	/* The role was taken out of the file: nothing is left of it. */
	identity_act(identity, NULL, &later);
	assert_int_equal(later.custom | later.roles, 0);
	free(caller.cluster);
	free(later.cluster);
}

/* ---- changing one ---- */

/* As it is in the store, with its revision. */
static struct identity *read_back(
    struct fixture *fixture, const struct identity *identity)
{
	struct identity *found = NULL;

	assert_int_equal(identity_get(fixture->store, identity->id, &found,
			     &fixture->err), ERR_OK);
	return found;
}

static struct secret *draw(struct fixture *fixture,
    const struct identity *made, int64_t code_ttl)
{
	OWNED(identity) now = read_back(fixture, made);
	OWNED(identity) changed = NULL;
	OWNED(batch) batch = batch_new();
	struct secret *text = NULL;

	assert_int_equal(identity_new_code(batch, now, code_ttl, &changed,
			     &text, &fixture->err), ERR_OK);
	assert_commit(fixture->store, batch);
	return text;
}

static void assert_let_in(struct fixture *fixture, const struct secret *text,
    const struct identity *whose)
{
	OWNED(identity) found = NULL;
	const char *why = NULL;

	assert_int_equal(check(fixture, BEARER_CODE, secret_bytes(text), &found,
			     &why), ERR_OK);
	assert_memory_equal(found->id, whose->id, IDENTITY_ID_SIZE);
}

static void a_new_code_takes_the_place_of_the_one_before(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) first = create(fixture, &request, &made);
	OWNED(secret) second = NULL;
	OWNED(secret) third = NULL;

	clock_freeze(NOW + IDENTITY_CODE_TTL_DEFAULT + 1);
	second = draw(fixture, made, 60);
	assert_let_in(fixture, second, made);
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(first),
	    "no such code or token");
	third = draw(fixture, made, 0);
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(second),
	    "no such code or token");
	assert_let_in(fixture, third, made);
	/* The id in it alone lets nobody in. */
	secret_data(third)[secret_len(third) - 1] ^= 1;
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(third),
	    "no such code or token");
	secret_data(third)[secret_len(third) - 1] ^= 1;
	clock_freeze(NOW + 2 * IDENTITY_CODE_TTL_DEFAULT + 1);
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(third),
	    "enrolment code has expired");
}

static void who_has_enrolled_stays_active_whatever_comes_of_the_next_code(
    void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) first = create(fixture, &request, &made);
	OWNED(secret) second = NULL;
	OWNED(identity) waiting = NULL;
	OWNED(identity) used = NULL;
	OWNED(identity) back = NULL;
	OWNED(batch) one = batch_new();
	OWNED(batch) two = batch_new();
	OWNED(batch) undo = batch_new();

	identity_enroll(one, made);
	assert_commit(fixture->store, one);
	second = draw(fixture, made, 60);
	waiting = read_back(fixture, made);
	assert_string_equal(identity_state(waiting, NOW + 60), "active");
	assert_int_equal(waiting->code_used, 0);
	/* In the same second: it is told apart from the first all the same. */
	identity_enroll(two, waiting);
	assert_commit(fixture->store, two);
	used = read_back(fixture, made);
	assert_int_equal(used->enrolled, NOW);
	assert_true(identity_spent(used, used->hash));
	assert_false(identity_spent(used, used->id));
	identity_unenroll(undo, used);
	assert_commit(fixture->store, undo);
	back = read_back(fixture, made);
	assert_int_equal(back->enrolled, NOW);
	assert_int_equal(back->code_used, 0);
	assert_let_in(fixture, second, made);
}

static void a_code_that_is_forgotten_lets_nobody_in(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(batch) batch = batch_new();

	identity_forget_code(made);
	identity_put(batch, made);
	assert_commit(fixture->store, batch);
	assert_turned_away(fixture, BEARER_CODE, secret_bytes(text),
	    "no such code or token");
	assert_string_equal(identity_state(made, NOW), "expired");
}

static void a_bearer_token_gets_no_code_and_no_other_end(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = program();
	const struct identity_request later = {.ttl = 60};
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(identity) changed = NULL;
	OWNED(secret) code = NULL;
	OWNED(batch) batch = batch_new();

	assert_refused(identity_new_code(batch, made, 0, &changed, &code,
			   &fixture->err),
	    ERR_POLICY, &fixture->err, "no code");
	assert_refused(identity_change(NULL, made, &later, &changed,
			   &fixture->err),
	    ERR_BAD_FIELD, &fixture->err, "ttl");
	assert_null(changed);
	assert_null(code);
}

static void a_change_replaces_what_it_names_and_nothing_else(void **state)
{
	static const char *const two[] = {"auditor", "key-officer"};
	static const char *const near[] = {"10.0.0.0/8"};
	struct fixture *fixture = *state;
	struct identity_request request = person();
	const struct identity_request roles = {.roles = two, .roles_count = 2};
	const struct identity_request rest = {.name = "Ann B", .ranges = near,
	    .ranges_count = 1, .ttl = 60, .lifetime = 3600};
	const struct identity_request anywhere = {.ranges = near};
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(identity) first = NULL;
	OWNED(identity) second = NULL;
	OWNED(identity) third = NULL;

	assert_int_equal(identity_change(NULL, made, &roles, &first,
			     &fixture->err), ERR_OK);
	assert_int_equal(first->roles_count, 2);
	assert_string_equal(first->roles[0], "auditor");
	assert_string_equal(first->name, "Ann");
	assert_int_equal(first->ttl, made->ttl);
	assert_memory_equal(first->hash, made->hash, sizeof(made->hash));
	clock_freeze(NOW + 5);
	assert_int_equal(identity_change(NULL, first, &rest, &second,
			     &fixture->err), ERR_OK);
	assert_string_equal(second->name, "Ann B");
	assert_int_equal(second->roles_count, 2);
	assert_int_equal(second->ranges_count, 1);
	assert_int_equal(second->ttl, 60);
	assert_int_equal(second->expires, NOW + 5 + 3600);
	assert_int_equal(second->created, NOW);
	assert_int_equal(identity_change(NULL, second, &anywhere, &third,
			     &fixture->err), ERR_OK);
	assert_int_equal(third->ranges_count, 0);
	assert_int_equal(third->expires, second->expires);
}

static void a_change_that_would_not_be_made_is_refused(void **state)
{
	static const char *const unknown[] = {"root"};
	static const char *const node[] = {"node"};
	static const char *const wrong[] = {"here"};
	const struct {
		struct identity_request change;
		const char *word;
	} cases[] = {
		{{.roles = unknown, .roles_count = 1}, "\"root\""},
		{{.roles = node, .roles_count = 1}, "bootstrap token"},
		{{.roles = kms_only, .roles_count = 1}, "\"cluster\""},
		{{.roles = unknown}, "roles"},
		{{.name = " Ann"}, "Ann"},
		{{.ranges = wrong, .ranges_count = 1}, "here"},
		{{.ttl = IDENTITY_TTL_MAX + 1}, "ttl"},
		{{.lifetime = -1}, "lifetime"},
	};
	struct fixture *fixture = *state;
	struct identity_request request = person();
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OWNED(identity) changed = NULL;

		assert_refused(identity_change(NULL, made, &cases[i].change,
				   &changed, &fixture->err),
		    ERR_BAD_FIELD, &fixture->err, cases[i].word);
		assert_null(changed);
	}
}

/* Its role was taken out of the file: what else it has may be changed still. */
static void a_role_that_is_gone_hinders_no_other_change(void **state)
{
	struct fixture *fixture = *state;
	struct identity_request request = person();
	const struct identity_request rename = {.name = "Ann B"};
	OWNED(identity) made = NULL;
	OWNED(secret) text = create(fixture, &request, &made);
	OWNED(identity) changed = NULL;

	free(made->roles[0]);
	made->roles[0] = mem_strdup("gone");
	assert_int_equal(identity_change(NULL, made, &rename, &changed,
			     &fixture->err), ERR_OK);
	assert_string_equal(changed->roles[0], "gone");
}

static size_t idle;

static int open_heap(void **state)
{
	struct err err;
	uint8_t octet;

	(void)state;
	if (secret_heap_open(1 << 16, &err) != ERR_OK ||
	    RAND_priv_bytes(&octet, 1) != 1)
		return -1;
	idle = secret_heap_used();
	return 0;
}

static int close_heap(void **state)
{
	(void)state;
	clock_thaw();
	return secret_heap_used() == idle ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_STORE(a_code_lets_in_whom_it_was_made_for),
		TEST_STORE(a_code_ends_and_its_identity_with_it),
		TEST_STORE(a_code_is_marked_as_used_once),
		TEST_STORE(an_enrolment_that_came_to_nothing_is_taken_back),
		TEST_STORE(an_identity_that_is_not_there_is_not_found),
		TEST_STORE(a_token_is_good_until_it_ends_or_is_revoked),
		TEST_STORE(a_token_is_good_from_its_ranges_alone),
		TEST_STORE(an_identity_that_makes_no_sense_is_refused),
		TEST_STORE(a_role_of_a_file_that_uses_keys_needs_a_cluster),
		TEST_STORE(a_new_code_takes_the_place_of_the_one_before),
		TEST_STORE(
		    who_has_enrolled_stays_active_whatever_comes_of_the_next_code),
		TEST_STORE(a_code_that_is_forgotten_lets_nobody_in),
		TEST_STORE(a_bearer_token_gets_no_code_and_no_other_end),
		TEST_STORE(a_change_replaces_what_it_names_and_nothing_else),
		TEST_STORE(a_change_that_would_not_be_made_is_refused),
		TEST_STORE(a_role_that_is_gone_hinders_no_other_change),
	};

	return cmocka_run_group_tests(tests, open_heap, close_heap);
}
