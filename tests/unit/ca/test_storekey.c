// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what a ceremony leaves is sealed, opens by its own token, and
 * by no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ca/digest.h"
#include "ca/storekey.h"
#include "store/alias.h"
#include "tests/unit/ca/fixture.h"

static int setup(void **state)
{
	*state = fixture_with_ca();
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* Closes the store and opens it, locked. */
static void reopen(struct fixture *f)
{
	struct err err = {0};

	ca_close(f->ca);
	f->ca = NULL;
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(&(struct store_options){.path = f->dir,
				 .map_size = 64 << 20},
			     &f->store, &err),
	    ERR_OK);
}

static void assert_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void a_ceremony_leaves_a_sealed_store_that_its_token_opens(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	uint64_t rows;

	reopen(f);
	assert_int_equal(ca_open(f->store, f->hsm, &f->config, &f->ca, &err),
	    ERR_STORE);
	assert_int_equal(storekey_unseal(f->store, f->hsm, &err), ERR_OK);
	assert_int_equal(store_verify(f->store, &rows, &err), ERR_OK);
	assert_true(rows > 0);
	fixture_reopen(f);
}

static void another_token_does_not_open_it(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(uri) = NULL;
	struct hsm *other = fake_hsm_new();
	struct err err = {0};

	reopen(f);
	/* It has no key of that name; and then it has one. */
	assert_int_equal(storekey_unseal(f->store, other, &err), ERR_CONFIG);
	assert_contains(err.detail, "another token");
	assert_int_equal(hsm_generate_secret(
			     other, LABEL_WRAP, HSM_USE_WRAP, &uri, &err),
	    ERR_OK);
	assert_int_equal(storekey_unseal(f->store, other, &err), ERR_CONFIG);
	assert_contains(err.detail, "another token");
	assert_int_equal(storekey_unseal(f->store, f->hsm, &err), ERR_OK);
	fake_hsm_free(other);
}

static void a_token_that_is_away_is_no_other_token(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	reopen(f);
	fake_hsm_set_away(f->hsm, true);
	assert_int_equal(
	    storekey_unseal(f->store, f->hsm, &err), ERR_HSM_UNAVAILABLE);
	fake_hsm_set_away(f->hsm, false);
	assert_int_equal(storekey_unseal(f->store, f->hsm, &err), ERR_OK);
}

static void a_renewed_key_opens_and_the_store_is_whole(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(before);
	OWNED_BUF(after);
	struct err err = {0};
	uint64_t rows, rows_after;
	bool sealed;

	ca_close(f->ca);
	f->ca = NULL;
	assert_int_equal(store_verify(f->store, &rows, &err), ERR_OK);
	assert_int_equal(
	    store_seal_record(f->store, &before, &sealed, &err), ERR_OK);
	assert_int_equal(storekey_renew(f->store, f->hsm, &err), ERR_OK);
	assert_int_equal(
	    store_seal_record(f->store, &after, &sealed, &err), ERR_OK);
	assert_false(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	reopen(f);
	assert_int_equal(storekey_unseal(f->store, f->hsm, &err), ERR_OK);
	assert_int_equal(store_verify(f->store, &rows_after, &err), ERR_OK);
	assert_int_equal(rows, rows_after);
}

static int setup_empty(void **state)
{
	*state = fixture_new();
	return 0;
}

static void a_store_that_is_not_sealed_is_not_served(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	assert_int_equal(
	    storekey_unseal(f->store, f->hsm, &err), ERR_CONFIG);
	assert_contains(err.detail, "signet store seal");
}

static void a_store_without_a_ceremony_has_no_key_to_seal_it(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	assert_int_equal(
	    storekey_renew(f->store, f->hsm, &err), ERR_NOT_FOUND);
}

static void a_store_of_before_is_sealed_by_the_root_kek_it_names(void **state)
{
	struct fixture *f = *state;
	OWNED_STR(uri) = NULL;
	OWNED(batch) batch = batch_new();
	struct err err = {0};

	assert_int_equal(hsm_generate_secret(
			     f->hsm, LABEL_WRAP, HSM_USE_WRAP, &uri, &err),
	    ERR_OK);
	meta_put_text(batch, META_WRAP_KEY_URI, uri);
	assert_int_equal(store_commit(f->store, batch, &err), ERR_OK);
	assert_int_equal(storekey_renew(f->store, f->hsm, &err), ERR_OK);
	reopen(f);
	assert_int_equal(storekey_unseal(f->store, f->hsm, &err), ERR_OK);
}

#define TEST(name, begin)                                                      \
	cmocka_unit_test_setup_teardown(name, begin, teardown)

/* What a request's row is found by (ca/issue.c). */
static void put_guess(const struct fixture_order *order, struct buf *out)
{
	buf_put_lv_str(out, FIXTURE_CLUSTER);
	buf_put_lv_str(out, order->order.issuer);
	buf_put_lv_str(out, order->order.profile);
	buf_put(out, order->request->spki_hash, 32);
	names_write(order->decision->names, out);
}

static bool has_row(struct fixture *f, const uint8_t digest[static 32])
{
	struct err err;
	bool found;

	assert_int_equal(store_find(f->store, TABLE_CERTS_BY_REQUEST,
			     BYTES(digest, 32), NULL, NULL, &found, &err),
	    ERR_OK);
	return found;
}

/* Who has the file and knows the public key tries names. */
static void the_row_of_a_request_tells_no_name_to_who_guesses_it(void **state)
{
	struct fixture *f = *state;
	OWNED(fixture_order) order = fixture_order_new("db7.example.net");
	OWNED(batch) intent = batch_new();
	OWNED(certificate) issued = NULL;
	OWNED_BUF(guess);
	uint8_t digest[32];
	struct err err;

	assert_int_equal(
	    ca_issue(f->ca, &order->order, intent, &issued, &err), ERR_OK);
	put_guess(order, &guess);
	digest_sha256(buf_bytes(&guess), digest);
	assert_false(has_row(f, digest));
	/* With the key the same octets find it: the guess is right. */
	alias_digest(f->store, buf_bytes(&guess), digest);
	assert_true(has_row(f, digest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_row_of_a_request_tells_no_name_to_who_guesses_it, setup),
	    TEST(a_ceremony_leaves_a_sealed_store_that_its_token_opens, setup),
	    TEST(another_token_does_not_open_it, setup),
	    TEST(a_token_that_is_away_is_no_other_token, setup),
	    TEST(a_renewed_key_opens_and_the_store_is_whole, setup),
	    TEST(a_store_that_is_not_sealed_is_not_served, setup_empty),
	    TEST(a_store_without_a_ceremony_has_no_key_to_seal_it,
		setup_empty),
	    TEST(a_store_of_before_is_sealed_by_the_root_kek_it_names,
		setup_empty),
	};
	struct err err = {0};
	size_t idle;
	int failed;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed != 0 || secret_heap_used() != idle ? 1 : 0;
}
