// SPDX-License-Identifier: Apache-2.0
/* Goal: a token lets in whom it was made for, as often as it says, however many
 * ask at once; and nobody learns why another was turned away. */
#include "fixture.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/token.h"
#include "store/key.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static struct token_request request_of(const char *cluster)
{
	return (struct token_request){
	    .cluster = cluster, .creator = "serial:01"};
}

/* A committed token, frozen at NOW; the caller frees both. */
static struct secret *create(struct fixture *fixture,
    const struct token_request *request, struct token **token_out)
{
	OWNED(batch) batch = batch_new();
	struct secret *text = NULL;

	clock_freeze(NOW);
	if (token_create(batch, request, token_out, &text, &fixture->err) !=
	    ERR_OK)
		fail_msg("%s%s", fixture->err.detail, fixture->err.cause);
	assert_commit(fixture->store, batch);
	return text;
}

static enum err_code check(struct fixture *fixture, struct bytes text,
    const char *source, struct token **token_out, const char **why)
{
	struct ip ip = ip_of(source);

	return token_check(
	    fixture->store, text, &ip, token_out, why, &fixture->err);
}

/* Refused for WHY, which the one answer does not tell. */
static void assert_turned_away(struct fixture *fixture, struct bytes text,
    const char *source, const char *why)
{
	OWNED(token) token = NULL;
	const char *found = NULL;

	assert_int_equal(
	    check(fixture, text, source, &token, &found), ERR_UNAUTHENTICATED);
	/* Whose it was is for the audit log. */
	assert_int_equal(token == NULL, strcmp(why, "no such token") == 0);
	assert_string_equal(found, why);
	assert_string_equal(
	    fixture->err.detail, "the credentials are not accepted");
	assert_string_equal(fixture->err.cause, "");
}

static struct token *let_in(
    struct fixture *fixture, const struct secret *text, const char *source)
{
	struct token *token = NULL;
	const char *why = NULL;

	if (check(fixture, secret_bytes(text), source, &token, &why) != ERR_OK)
		fail_msg("%s", why);
	assert_null(why);
	return token;
}

static void a_token_is_text_of_256_random_bits_kept_as_a_hash(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) other = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(secret) other_text = create(fixture, &request, &other);
	struct bytes octets = secret_bytes(text);
	OWNED_BUF(record);
	OWNED_BUF(decoded);
	bool found = false;

	assert_int_equal(octets.len, 47);
	assert_memory_equal(octets.data, "sgt_", 4);
	assert_true(
	    base64url_parse(BYTES(octets.data + 4, 43), &decoded));
	assert_int_equal(decoded.len, 32);
	assert_false(secret_equal(text, secret_bytes(other_text)));
	assert_memory_equal(token->id, token->hash, TOKEN_ID_SIZE);
	assert_int_equal(token->uses, 1);
	assert_int_equal(token->spent, 0);
	assert_int_equal(token->created, NOW);
	assert_int_equal(token->expires, NOW + TOKEN_TTL_DEFAULT);
	assert_int_equal(store_find(fixture->store, TABLE_TOKENS,
			     BYTES_OF(token->id), &record, NULL, &found,
			     &fixture->err), ERR_OK);
	assert_true(found);
	assert_null(memmem(record.data, record.len, octets.data + 4, 8));
	assert_null(memmem(record.data, record.len, decoded.data, 8));
	buf_wipe(&decoded);
}

static void a_good_token_is_let_in_with_what_it_is_bound_to(void **state)
{
	static const char *const profiles[] = {"peer", "server"};
	static const char *const ranges[] = {"10.1.0.0/16", "fd00:1::/64"};
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) first = NULL;
	OWNED(token) second = NULL;
	OWNED(secret) text = NULL;

	request.profiles = profiles;
	request.profiles_count = 2;
	request.ranges = ranges;
	request.ranges_count = 2;
	request.uses = 3;
	request.ttl = 60;
	text = create(fixture, &request, &token);
	first = let_in(fixture, text, "10.1.255.1");
	second = let_in(fixture, text, "fd00:1::7");
	assert_string_equal(first->cluster, "orders");
	assert_string_equal(first->creator, "serial:01");
	assert_int_equal(first->uses, 3);
	assert_int_equal(first->expires, NOW + 60);
	assert_int_equal(first->revision, 1);
	assert_true(token_allows_profile(first, "peer"));
	assert_true(token_allows_profile(first, "server"));
	assert_false(token_allows_profile(first, "client"));
	assert_false(token_allows_profile(first, ""));
}

static void a_token_without_profiles_and_ranges_is_for_all(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(token) found = let_in(fixture, text, "203.0.113.9");

	assert_true(token_allows_profile(found, "anything"));
}

static void a_token_is_refused_from_outside_its_ranges(void **state)
{
	static const char *const ranges[] = {"10.1.0.0/16"};
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = NULL;

	request.ranges = ranges;
	request.ranges_count = 1;
	text = create(fixture, &request, &token);
	assert_turned_away(fixture, secret_bytes(text), "10.2.0.1",
	    "token is not for this address");
	assert_turned_away(fixture, secret_bytes(text), "::1",
	    "token is not for this address");
	token_free(let_in(fixture, text, "10.1.0.1"));
}

static void a_token_is_refused_from_the_second_it_expires(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = NULL;

	request.ttl = 60;
	text = create(fixture, &request, &token);
	clock_freeze(NOW + 59);
	token_free(let_in(fixture, text, "10.1.0.1"));
	clock_freeze(NOW + 60);
	assert_turned_away(fixture, secret_bytes(text), "10.1.0.1",
	    "token has expired");
}

static void a_revoked_token_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(token) found = let_in(fixture, text, "10.1.0.1");
	OWNED(batch) batch = batch_new();
	OWNED(batch) late = batch_new();

	token_revoke(batch, found);
	token_spend(late, found);
	assert_commit(fixture->store, batch);
	assert_turned_away(fixture, secret_bytes(text), "10.1.0.1",
	    "token is revoked");
	/* Who read it before can no longer spend it. */
	assert_int_equal(
	    store_commit(fixture->store, late, &fixture->err), ERR_CONFLICT);
}

static void what_is_no_token_is_refused_as_one_that_is_unknown(void **state)
{
	static const char *const texts[] = {"", "sgt_", "x",
	    "sgt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "Bearer sgt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	struct bytes octets = secret_bytes(text);
	OWNED(secret) longer = secret_new(4096);
	OWNED(secret) changed = secret_copy(octets.data, octets.len);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_turned_away(fixture, BYTES_STR(texts[i]), "10.1.0.1",
		    "no such token");
	memcpy(secret_data(longer), octets.data, octets.len);
	assert_turned_away(fixture, secret_bytes(longer), "10.1.0.1",
	    "no such token");
	assert_turned_away(fixture, BYTES(octets.data, octets.len - 1),
	    "10.1.0.1", "no such token");
	assert_turned_away(fixture,
	    BYTES(secret_data(longer), octets.len + 1), "10.1.0.1",
	    "no such token");
	for (size_t i = 0; i < octets.len; i++) {
		secret_data(changed)[i] ^= 1;
		assert_turned_away(fixture, secret_bytes(changed), "10.1.0.1",
		    "no such token");
		secret_data(changed)[i] ^= 1;
	}
	token_free(let_in(fixture, changed, "10.1.0.1"));
}

static void a_request_beyond_its_bounds_is_refused(void **state)
{
	static const char *const bad_profile[] = {"Peer"};
	static const char *const bad_range[] = {"10.1.0.1/16"};
	static const char *const many[TOKEN_PROFILES_MAX + 1] = {0};
	static char creator[300];
	const struct {
		struct token_request request;
		const char *word;
	} samples[] = {
		{{.cluster = NULL}, "cluster"},
		{{.cluster = "Orders"}, "cluster"},
		{{.cluster = "orders", .uses = -1}, "from 1 to 10000"},
		{{.cluster = "orders", .uses = TOKEN_USES_MAX + 1},
		    "from 1 to 10000"},
		{{.cluster = "orders", .uses = INT64_MAX}, "from 1 to 10000"},
		{{.cluster = "orders", .ttl = -1}, "30 days"},
		{{.cluster = "orders", .ttl = TOKEN_TTL_MAX + 1}, "30 days"},
		{{.cluster = "orders", .profiles = bad_profile,
		    .profiles_count = 1}, "\"Peer\""},
		{{.cluster = "orders", .ranges = bad_range, .ranges_count = 1},
		    "\"10.1.0.1/16\""},
		{{.cluster = "orders", .profiles = many,
		    .profiles_count = TOKEN_PROFILES_MAX + 1}, "at most 16"},
		{{.cluster = "orders", .ranges = many,
		    .ranges_count = TOKEN_RANGES_MAX + 1}, "at most 16"},
		{{.cluster = "orders", .creator = creator}, "creator"},
	};
	struct err err;

	(void)state;
	memset(creator, 'a', sizeof(creator) - 1);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		OWNED(batch) batch = batch_new();
		struct token *token = NULL;
		struct secret *text = NULL;

		assert_refused(token_create(batch, &samples[i].request, &token,
				   &text, &err),
		    ERR_BAD_FIELD, &err, samples[i].word);
		assert_null(token);
		assert_null(text);
		assert_true(batch_is_empty(batch));
	}
}

static void the_bounds_themselves_are_allowed(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) read = NULL;
	OWNED(secret) text = NULL;

	request.uses = TOKEN_USES_MAX;
	request.ttl = TOKEN_TTL_MAX;
	request.creator = NULL;
	text = create(fixture, &request, &token);
	read = let_in(fixture, text, "10.1.0.1");
	assert_int_equal(read->uses, TOKEN_USES_MAX);
	assert_int_equal(read->expires, NOW + TOKEN_TTL_MAX);
	assert_string_equal(read->creator, "");
}

static void a_spent_token_is_still_found_and_says_so(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(token) fresh = let_in(fixture, text, "10.1.0.1");
	OWNED(token) spent = NULL;
	OWNED(batch) batch = batch_new();

	assert_false(token_is_spent(fresh));
	token_spend(batch, fresh);
	assert_commit(fixture->store, batch);
	spent = let_in(fixture, text, "10.1.0.1");
	assert_true(token_is_spent(spent));
	assert_int_equal(spent->spent, 1);
	assert_int_equal(spent->revision, 2);
}

static void a_refund_gives_one_use_back_and_never_more(void **state)
{
	static const uint8_t gone[TOKEN_ID_SIZE] = {1};
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(token) fresh = let_in(fixture, text, "10.1.0.1");
	OWNED(token) refunded = NULL;
	OWNED(batch) spend = batch_new();
	OWNED(batch) refund = batch_new();
	OWNED(batch) nothing = batch_new();

	token_spend(spend, fresh);
	assert_commit(fixture->store, spend);
	assert_int_equal(token_refund(fixture->store, refund, token->id,
			     &fixture->err), ERR_OK);
	assert_commit(fixture->store, refund);
	refunded = let_in(fixture, text, "10.1.0.1");
	assert_int_equal(refunded->spent, 0);
	/* None was spent; and one that is gone is no error. */
	assert_int_equal(token_refund(fixture->store, nothing, token->id,
			     &fixture->err), ERR_OK);
	assert_int_equal(
	    token_refund(fixture->store, nothing, gone, &fixture->err), ERR_OK);
	assert_true(batch_is_empty(nothing));
}

#define RACERS 16
#define RACE_USES 21

struct race {
	struct fixture *fixture;
	const struct secret *text;
	atomic_uint won;
	atomic_uint faults;
};

/* Spends until the token is spent, reading again after each conflict. */
static void *racer(void *arg)
{
	struct race *race = arg;
	struct ip source;
	bool spent = false;

	if (!ip_parse("10.1.0.1", &source))
		return NULL;
	while (!spent) {
		OWNED(token) token = NULL;
		OWNED(batch) batch = batch_new();
		const char *why = NULL;
		struct err err;
		enum err_code code = token_check(race->fixture->store,
		    secret_bytes(race->text), &source, &token, &why, &err);

		if (code != ERR_OK) {
			atomic_fetch_add(&race->faults, 1);
			return NULL;
		}
		spent = token_is_spent(token);
		if (spent)
			break;
		token_spend(batch, token);
		code = store_commit(race->fixture->store, batch, &err);
		if (code == ERR_OK)
			atomic_fetch_add(&race->won, 1);
		else if (code != ERR_CONFLICT)
			atomic_fetch_add(&race->faults, 1);
	}
	return NULL;
}

static void of_many_at_once_exactly_as_many_win_as_there_are_uses(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) after = NULL;
	OWNED(secret) text = NULL;
	struct race race = {.fixture = fixture};
	pthread_t threads[RACERS];

	request.uses = RACE_USES;
	race.text = text = create(fixture, &request, &token);
	for (size_t i = 0; i < RACERS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, racer, &race), 0);
	for (size_t i = 0; i < RACERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(race.won, RACE_USES);
	assert_int_equal(race.faults, 0);
	after = let_in(fixture, text, "10.1.0.1");
	assert_int_equal(after->spent, RACE_USES);
}

static void a_token_of_another_cluster_is_not_there(void **state)
{
	static const uint8_t gone[TOKEN_ID_SIZE] = {1};
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) found = NULL;
	struct token *none = NULL;

	secret_free(create(fixture, &request, &token));
	assert_int_equal(token_get(fixture->store, "orders", token->id, &found,
			     &fixture->err), ERR_OK);
	assert_memory_equal(found->hash, token->hash, 32);
	assert_refused(token_get(fixture->store, "billing", token->id, &none,
			   &fixture->err),
	    ERR_NOT_FOUND, &fixture->err, "cluster \"billing\" has no token");
	assert_refused(token_get(fixture->store, "orders", gone, &none,
			   &fixture->err),
	    ERR_NOT_FOUND, &fixture->err, "01000000");
	assert_null(none);
}

static size_t count_tokens(
    struct fixture *fixture, const char *cluster, size_t limit)
{
	uint8_t last[TOKEN_ID_SIZE] = {0};
	struct token *page[8];
	size_t seen = 0, count;

	do {
		assert_int_equal(token_list(fixture->store, cluster,
				     seen == 0 ? NULL : last, limit, page,
				     &count, &fixture->err), ERR_OK);
		for (size_t i = 0; i < count; i++) {
			assert_string_equal(page[i]->cluster, cluster);
			assert_true(memcmp(last, page[i]->id, sizeof(last)) < 0);
			memcpy(last, page[i]->id, sizeof(last));
			token_free(page[i]);
		}
		seen += count;
	} while (count == limit);
	return seen;
}

static void tokens_of_a_cluster_are_listed_in_pages(void **state)
{
	struct fixture *fixture = *state;
	static const char *const clusters[] = {
	    "orders", "billing", "orders", "orders-2", "orders", "orders"};

	for (size_t i = 0; i < ARRAY_LEN(clusters); i++) {
		struct token_request request = request_of(clusters[i]);
		OWNED(token) token = NULL;

		secret_free(create(fixture, &request, &token));
	}
	assert_int_equal(count_tokens(fixture, "orders", 2), 4);
	assert_int_equal(count_tokens(fixture, "orders", 8), 4);
	assert_int_equal(count_tokens(fixture, "orders-2", 3), 1);
	assert_int_equal(count_tokens(fixture, "absent", 3), 0);
	assert_int_equal(count_tokens(fixture, "", 3), 0);
	assert_int_equal(count_tokens(fixture, "Orders", 3), 0);
}

static void a_record_that_cannot_be_read_is_a_fault(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(secret) text = create(fixture, &request, &token);
	OWNED(batch) garble = batch_new();
	OWNED(batch) batch = batch_new();
	struct token *none = NULL, *page[4];
	const char *why = NULL;
	size_t count = 9;

	batch_put(garble, TABLE_TOKENS, BYTES_OF(token->id),
	    BYTES_STR("\x02garbled"));
	assert_commit(fixture->store, garble);
	assert_int_equal(check(fixture, secret_bytes(text), "10.1.0.1", &none,
			     &why), ERR_CORRUPT);
	assert_string_equal(fixture->err.detail, "");
	assert_int_equal(token_get(fixture->store, "orders", token->id, &none,
			     &fixture->err), ERR_CORRUPT);
	assert_int_equal(token_refund(fixture->store, batch, token->id,
			     &fixture->err), ERR_CORRUPT);
	assert_int_equal(token_list(fixture->store, "orders", NULL, 4, page,
			     &count, &fixture->err), ERR_CORRUPT);
	assert_int_equal(count, 0);
	assert_null(none);
}

static void an_index_entry_without_its_token_is_a_fault(void **state)
{
	struct fixture *fixture = *state;
	struct token_request request = request_of("orders");
	OWNED(token) token = NULL;
	OWNED(token) other = NULL;
	OWNED(batch) batch = batch_new();
	struct token *page[4];
	size_t count = 9;
	bool is_last;

	secret_free(create(fixture, &request, &token));
	secret_free(create(fixture, &request, &other));
	/* The one behind, so that a token was read before the fault is met. */
	is_last = memcmp(token->id, other->id, TOKEN_ID_SIZE) > 0;
	batch_delete(batch, TABLE_TOKENS,
	    BYTES(is_last ? token->id : other->id, TOKEN_ID_SIZE));
	assert_commit(fixture->store, batch);
	assert_int_equal(token_list(fixture->store, "orders", NULL, 4, page,
			     &count, &fixture->err), ERR_CORRUPT);
	assert_int_equal(count, 0);
}

static void a_short_index_key_is_a_fault(void **state)
{
	struct fixture *fixture = *state;
	OWNED(batch) batch = batch_new();
	struct key key = KEY_INIT;
	struct token *page[4];
	size_t count = 9;

	key_add_text(&key, "orders");
	key_add_octets(&key, BYTES_STR("x"));
	batch_put(batch, TABLE_TOKENS_BY_CLUSTER, key_bytes(&key),
	    BYTES_STR("\x01"));
	assert_commit(fixture->store, batch);
	assert_int_equal(token_list(fixture->store, "orders", NULL, 4, page,
			     &count, &fixture->err), ERR_CORRUPT);
	assert_int_equal(count, 0);
}

/* OpenSSL keeps the state of its generator in the locked heap for good. */
static size_t used_by_generator;

static int open_heap(void **state)
{
	struct err err = {0};
	uint8_t octet;

	(void)state;
	if (secret_heap_open(1 << 16, &err) != ERR_OK) {
		print_error("%s%s\n", err.detail, err.cause);
		return -1;
	}
	assert_int_equal(RAND_priv_bytes(&octet, 1), 1);
	used_by_generator = secret_heap_used();
	return 0;
}

static int no_secret_is_left(void **state)
{
	(void)state;
	clock_thaw();
	return secret_heap_used() == used_by_generator ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_STORE(a_token_is_text_of_256_random_bits_kept_as_a_hash),
		TEST_STORE(a_good_token_is_let_in_with_what_it_is_bound_to),
		TEST_STORE(a_token_without_profiles_and_ranges_is_for_all),
		TEST_STORE(a_token_is_refused_from_outside_its_ranges),
		TEST_STORE(a_token_is_refused_from_the_second_it_expires),
		TEST_STORE(a_revoked_token_is_refused),
		TEST_STORE(what_is_no_token_is_refused_as_one_that_is_unknown),
		TEST_STORE(the_bounds_themselves_are_allowed),
		TEST_STORE(a_spent_token_is_still_found_and_says_so),
		TEST_STORE(a_refund_gives_one_use_back_and_never_more),
		TEST_STORE(
		    of_many_at_once_exactly_as_many_win_as_there_are_uses),
		TEST_STORE(a_token_of_another_cluster_is_not_there),
		TEST_STORE(tokens_of_a_cluster_are_listed_in_pages),
		TEST_STORE(a_record_that_cannot_be_read_is_a_fault),
		TEST_STORE(an_index_entry_without_its_token_is_a_fault),
		TEST_STORE(a_short_index_key_is_a_fault),
		cmocka_unit_test(a_request_beyond_its_bounds_is_refused),
	};

	return cmocka_run_group_tests(tests, open_heap, no_secret_is_left);
}
