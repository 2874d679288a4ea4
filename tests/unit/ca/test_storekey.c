// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what a ceremony leaves is sealed, opens by its own token, and
 * by no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ca/storekey.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
