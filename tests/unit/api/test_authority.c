// SPDX-License-Identifier: Apache-2.0
/* What an authority may still do in the moment it ends, and what is left of it;
 * and that nothing is signed that contradicts what was signed. */
#include "harness.h"
#include "fixture.h"
#include "api/auditor.h"
#include "api/witness.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "ca/ceremony.h"
#include "ca/notary.h"
#include "store/checkpoint.h"

static struct fixture fixture;
static struct err err;

static void make_identity(
    uint8_t id[static IDENTITY_ID_SIZE], uint8_t first, const char *name)
{
	memset(id, 0, IDENTITY_ID_SIZE);
	id[0] = first;
	fixture_identity(&fixture, id, name);
}

static struct identity *read_identity(const uint8_t id[static IDENTITY_ID_SIZE])
{
	struct identity *identity = NULL;
	assert_ok(identity_get(fixture.app->store, id, &identity, &err));
	return identity;
}

static void certify_for(
    const uint8_t id[static IDENTITY_ID_SIZE], const char *cluster)
{
	OWNED(names) names = names_new();
	OWNED(secret) key = NULL;
	OWNED(certificate) record = NULL;
	assert_ok(names_set_cn(names, BYTES_STR("someone"), &err));
	const struct service_order order = {.profile = PROFILE_IDENTITY,
	    .names = names,
	    .roles = ROLE_ALL_HUMAN,
	    .identity = id,
	    .cluster = cluster,
	    .ttl = 3600,
	    .requester = "system"};
	assert_ok(service_issue(fixture.app->ca, &order, &key, &record, &err));
}

static void certify(const uint8_t id[static IDENTITY_ID_SIZE])
{
	certify_for(id, NULL);
}

static struct certificate *first_of(const uint8_t id[static IDENTITY_ID_SIZE])
{
	struct certificate *held[1];
	size_t count = 0;
	assert_ok(certificate_list_identity(
	    fixture.app->store, id, held, 1, &count, &err));
	assert_int_equal(count, 1);
	return held[0];
}

static size_t count_valid(const uint8_t id[static IDENTITY_ID_SIZE])
{
	struct certificate *held[IDENTITY_CERTIFICATES_MAX];
	size_t count = 0;
	assert_ok(certificate_list_identity(fixture.app->store, id, held,
	    IDENTITY_CERTIFICATES_MAX, &count, &err));
	for (size_t i = 0; i < count; i++)
		certificate_free(held[i]);
	return count;
}

/* A request of ID that was let in, and whose handler runs later. */
static struct exchange *let_in(
    const uint8_t id[static IDENTITY_ID_SIZE], const struct ask *ask)
{
	struct exchange *x = exchange_make(&fixture, ask);
	exchange_as(x, ROLE_ALL_HUMAN, NULL);
	x->identity = read_identity(id);
	err = (struct err){0};
	return x;
}

static struct exchange *ask_end(const uint8_t by[static IDENTITY_ID_SIZE],
    const uint8_t of[static IDENTITY_ID_SIZE])
{
	OWNED_STR(item) = hex_new(of, IDENTITY_ID_SIZE);
	struct exchange *x = let_in(by,
	    &(struct ask){.handler = handle_identity_revoke, .item = item});
	(void)!handle_identity_revoke(x, &err);
	return x;
}

static void two_admins_do_not_end_each_other(void **state)
{
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa1, "alice");
	make_identity(b, 0xb1, "bob");
	OWNED_STR(item) = hex_new(a, sizeof(a));
	struct exchange *late = let_in(b,
	    &(struct ask){.handler = handle_identity_revoke, .item = item});
	struct exchange *first = ask_end(a, b);
	assert_int_equal(err.code, ERR_OK);
	assert_refused(handle_identity_revoke(late, &err),
	    ERR_UNAUTHENTICATED, "not accepted");
	exchange_done(late);
	exchange_done(first);
	OWNED(identity) left = read_identity(a);
	OWNED(identity) gone = read_identity(b);
	assert_int_equal(left->revoked, 0);
	assert_int_not_equal(gone->revoked, 0);
}

static const char create_cluster[] =
    "{\"name\":\"shut\",\"policy\":\"etcd\",\"dns\":[\"*.shut.test\"]}";

static void who_was_revoked_a_moment_ago_does_nothing(void **state)
{
	static const struct ask steps[] = {
	    {handle_cluster_create, "shut", NULL, NULL, create_cluster},
	    {handle_key_create, "shut", NULL, NULL, "{\"name\":\"k\"}"},
	    {handle_key_datakey, "shut", "k", NULL, "{\"context\":{}}"},
	    {handle_token_create, "shut", NULL, NULL, "{}"},
	    {handle_cluster_quarantine, "shut", NULL, NULL,
		"{\"reason\":\"ill\"}"},
	    {handle_cluster_release, "shut", NULL, NULL, NULL},
	    {handle_identity_create, NULL, NULL, NULL,
		"{\"name\":\"carol\",\"roles\":[\"admin\"]}"},
	};
	enum { MAKING = 2 };
	struct exchange *late[ARRAY_LEN(steps)] = {NULL};
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa2, "alice");
	make_identity(b, 0xb2, "bob");
	for (size_t i = MAKING; i < ARRAY_LEN(steps); i++)
		late[i] = let_in(b, &steps[i]);
	exchange_done(ask_end(a, b));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct exchange *x = let_in(a, &steps[i]);
		if (steps[i].handler(x, &err) != ERR_OK)
			fail_msg("%zu: %s%s", i, err.detail, err.cause);
		exchange_done(x);
		if (late[i] == NULL)
			continue;
		err = (struct err){0};
		assert_refused(steps[i].handler(late[i], &err),
		    ERR_UNAUTHENTICATED, "not accepted");
		exchange_done(late[i]);
	}
}

static char *new_token(const char *cluster)
{
	struct exchange *x = exchange_make(&fixture,
	    &(struct ask){.handler = handle_token_create,
		.cluster = cluster,
		.body = "{}"});
	exchange_as(x, ROLE_ALL_HUMAN, NULL);
	assert_ok(handle_token_create(x, &err));
	OWNED_JSON(json) = exchange_json(x);
	exchange_done(x);
	return mem_strdup(json_string_value(json_object_get(json, "id")));
}

static char *serial_of(const uint8_t id[static IDENTITY_ID_SIZE])
{
	OWNED(certificate) held = first_of(id);
	return serial_format(&held->serial);
}

static uint64_t entries(void)
{
	struct audit_head head;
	assert_ok(audit_head(fixture.app->store, &head, &err));
	return head.sequence;
}

/* Every handler that commits, run for a caller whose record was changed after
 * it was let in: refused, and nothing is left, in the audit log neither. */
static void every_write_depends_on_the_record_of_its_caller(void **state)
{
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE], c[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa5, "alice");
	make_identity(b, 0xb5, "bob");
	make_identity(c, 0xc5, "carol");
	certify(c);
	OWNED_STR(token) = new_token("shut");
	OWNED_STR(serial) = serial_of(c);
	OWNED_STR(csr) = csr_make(NULL, "a.shut.test", NULL);
	OWNED_STR(order) = body_make("csr", csr, "profile", "peer");
	OWNED_STR(carol) = hex_new(c, sizeof(c));
	const struct ask steps[] = {
	    {handle_identity_change, NULL, carol, NULL, "{\"ttl\":\"1h\"}"},
	    {handle_identity_code, NULL, carol, NULL, "{}"},
	    {handle_cluster_create, NULL, NULL, NULL,
		"{\"name\":\"late\",\"policy\":\"etcd\"}"},
	    {handle_key_create, "shut", NULL, NULL, "{\"name\":\"late\"}"},
	    {handle_certificate_revoke, NULL, serial, NULL,
		"{\"reason\":\"superseded\"}"},
	    {handle_certificate_issue, "shut", NULL, NULL, order},
	    {handle_token_revoke, "shut", token, NULL, NULL},
	    {handle_cluster_change, "shut", NULL, NULL, "{\"from\":[]}"},
	    {handle_issuer_crl, NULL, "services", NULL, NULL},
	    {handle_cluster_retire, "shut", NULL, NULL, NULL},
	};
	struct exchange *late[ARRAY_LEN(steps)];
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		late[i] = let_in(b, &steps[i]);
	exchange_done(ask_end(a, b));
	uint64_t before = entries();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		err = (struct err){0};
		enum err_code code = steps[i].handler(late[i], &err);
		if (code != ERR_UNAUTHENTICATED)
			fail_msg("%zu: %s %s%s", i, err_slug(code), err.detail,
			    err.cause);
		exchange_done(late[i]);
	}
	assert_int_equal(entries(), before);
}

/* A conflict is told as what it was. */
static void a_name_that_is_taken_is_told_apart_from_a_lost_authority(
    void **state)
{
	static const struct ask steps[] = {
	    {handle_cluster_create, NULL, NULL, NULL, create_cluster},
	    {handle_key_create, "shut", NULL, NULL, "{\"name\":\"k\"}"},
	};
	uint8_t a[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa6, "alice");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct exchange *x = let_in(a, &steps[i]);
		assert_refused(steps[i].handler(x, &err), ERR_EXISTS, "or ");
		exchange_done(x);
	}
}

/* Its own certificate is the last to go, or the pages behind it would stay. */
static void who_retires_their_own_cluster_retires_all_of_it(void **state)
{
	static const char create[] =
	    "{\"name\":\"own\",\"policy\":\"etcd\",\"dns\":[\"*.own.test\"]}";
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa7, "alice");
	make_identity(b, 0xb7, "bob");
	struct exchange *x = let_in(
	    a, &(struct ask){handle_cluster_create, NULL, NULL, NULL, create});
	assert_ok(handle_cluster_create(x, &err));
	exchange_done(x);
	certify_for(b, "own");
	for (int i = 0; i < 101; i++)
		certify_for(a, "own");
	x = let_in(a, &(struct ask){.handler = handle_cluster_retire,
			  .cluster = "own"});
	x->certificate = first_of(a);
	assert_ok(handle_cluster_retire(x, &err));
	exchange_done(x);
	assert_int_equal(count_valid(a), 0);
	assert_int_equal(count_valid(b), 0);
}

/* More than one commit revokes: as many renewals at a time can leave. */
static void every_certificate_of_a_revoked_identity_is_revoked(void **state)
{
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE];
	(void)state;
	make_identity(a, 0xa3, "alice");
	make_identity(b, 0xb3, "bob");
	for (int i = 0; i < IDENTITY_CERTIFICATES_MAX + 2; i++)
		certify(b);
	exchange_done(ask_end(a, b));
	assert_int_equal(err.code, ERR_OK);
	assert_int_equal(count_valid(b), 0);
}

static void asking_again_revokes_what_a_stop_has_left(void **state)
{
	uint8_t a[IDENTITY_ID_SIZE], b[IDENTITY_ID_SIZE];
	struct audit_head before, after;
	(void)state;
	make_identity(a, 0xa4, "alice");
	make_identity(b, 0xb4, "bob");
	exchange_done(ask_end(a, b));
	certify(b);
	exchange_done(ask_end(a, b));
	assert_int_equal(err.code, ERR_OK);
	assert_int_equal(count_valid(b), 0);
	assert_ok(audit_head(fixture.app->store, &before, &err));
	exchange_done(ask_end(a, b));
	assert_ok(audit_head(fixture.app->store, &after, &err));
	assert_int_equal(before.sequence, after.sequence);
}

static void a_caller_shut_in_by_a_quarantine_does_not_lift_it(void **state)
{
	const struct {
		route_handler *handler;
		const char *body, *bound;
		enum err_code want;
	} steps[] = {
	    {handle_cluster_quarantine, "{\"reason\":\"ill\"}", "shut", ERR_OK},
	    {handle_cluster_release, NULL, "shut", ERR_FORBIDDEN},
	    {handle_cluster_release, NULL, NULL, ERR_OK},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct exchange *x = exchange_make(
		    &fixture, &(struct ask){.handler = steps[i].handler,
				  .cluster = "shut",
				  .body = steps[i].body});
		exchange_as(x, ROLE_ADMIN, steps[i].bound);
		err = (struct err){0};
		assert_int_equal(steps[i].handler(x, &err), steps[i].want);
		exchange_done(x);
	}
}

/* ---- The auditor ---- */

static void put_checkpoint(uint64_t size, struct bytes note)
{
	OWNED(batch) batch = batch_new();
	assert_ok(checkpoint_put(fixture.app->store, batch, size, note, &err));
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

/* A checkpoint by the store's own key, of what is said. */
static void plant(uint64_t size, const uint8_t root[static 32])
{
	struct audit_head head = {.sequence = size};
	OWNED(notary) notary = NULL;
	OWNED_BUF(note);
	memcpy(head.hash, root, 32);
	assert_ok(notary_open(
	    fixture.app->store, fixture.app->hsm, &notary, &err));
	assert_ok(notary_sign(notary, &head, &note, &err));
	put_checkpoint(size, buf_bytes(&note));
}

/* One that says what is so, by no key. */
static void forge(const struct audit_head *head)
{
	static const uint8_t signature[72];
	struct checkpoint checkpoint = {.origin = "signet.audit/test",
	    .size = head->sequence, .time_ms = 1};
	OWNED_BUF(note);
	OWNED_BUF(spki);
	memcpy(checkpoint.root, head->hash, 32);
	checkpoint_put_text(&note, &checkpoint);
	assert_ok(notary_find_key(fixture.app->store, &spki, &err));
	assert_ok(checkpoint_put_signature(&note, checkpoint.origin,
	    buf_bytes(&spki), BYTES_OF(signature), &err));
	put_checkpoint(head->sequence, buf_bytes(&note));
}

static void try_open(enum err_code want, const char *text)
{
	struct auditor *auditor = NULL;
	err = (struct err){0};
	assert_int_equal(auditor_check(fixture.config, NULL, fixture.app->store,
	    &err), want);
	err = (struct err){0};
	assert_int_equal(auditor_open(fixture.app, &auditor, &err), want);
	if (want == ERR_OK)
		assert_true(auditor_close(auditor));
	else if (strstr(err.cause, text) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err.cause, text);
}

static void a_checkpoint_in_the_store_is_not_believed_unsigned(void **state)
{
	struct audit_head head;
	(void)state;
	assert_ok(audit_head(fixture.app->store, &head, &err));
	forge(&head);
	try_open(ERR_CORRUPT, "signature does not verify");
	plant(head.sequence, head.hash);
	try_open(ERR_OK, "");
}

static void a_witness_that_cannot_be_read_is_no_empty_one(void **state)
{
	OWNED_STR(spec) = mem_printf("file:%s/witness", fixture.dir);
	OWNED(witness) witness = witness_new(spec);
	struct witness_position position = {0};
	(void)state;
	fixture_write(&fixture, "witness", "");
	assert_ok(witness_compare(witness, fixture.app->store, &err));
	/* A crash within the first entry leaves no more. */
	fixture_write(&fixture, "witness", "{\"sequence\":1,\"ti");
	assert_ok(witness_compare(witness, fixture.app->store, &err));
	fixture_write(&fixture, "witness", "Nov 24 rotated\n");
	assert_int_equal(witness_compare(witness, fixture.app->store, &err),
	    ERR_CORRUPT);
	assert_non_null(strstr(err.cause, "no entry can be read"));
	err = (struct err){0};
	assert_int_equal(
	    witness_open(witness, fixture.app->store, &position, &err),
	    ERR_CORRUPT);
	err = (struct err){0};
}

/* The last test but for the end: what it plants stays. */
static void a_log_that_a_checkpoint_contradicts_is_not_signed(void **state)
{
	struct audit_head head;
	uint8_t other[32] = {1};
	(void)state;
	try_open(ERR_OK, "");
	assert_ok(audit_head(fixture.app->store, &head, &err));
	plant(head.sequence, head.hash);
	try_open(ERR_OK, "");
	plant(head.sequence, other);
	try_open(ERR_CORRUPT, "was changed");
	plant(head.sequence, head.hash);
	plant(head.sequence + 1000, head.hash);
	try_open(ERR_CORRUPT, "cut or rolled back");
}

static int begin(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_admins_do_not_end_each_other),
	    cmocka_unit_test(who_was_revoked_a_moment_ago_does_nothing),
	    cmocka_unit_test(every_write_depends_on_the_record_of_its_caller),
	    cmocka_unit_test(
		a_name_that_is_taken_is_told_apart_from_a_lost_authority),
	    cmocka_unit_test(who_retires_their_own_cluster_retires_all_of_it),
	    cmocka_unit_test(
		every_certificate_of_a_revoked_identity_is_revoked),
	    cmocka_unit_test(asking_again_revokes_what_a_stop_has_left),
	    cmocka_unit_test(
		a_caller_shut_in_by_a_quarantine_does_not_lift_it),
	    cmocka_unit_test(a_checkpoint_in_the_store_is_not_believed_unsigned),
	    cmocka_unit_test(a_witness_that_cannot_be_read_is_no_empty_one),
	    cmocka_unit_test(a_log_that_a_checkpoint_contradicts_is_not_signed),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
