// SPDX-License-Identifier: Apache-2.0
/* signet audit verify --offline on what somebody has prepared: nothing passes
 * because what would show it was taken away, and nothing fills the memory.  The
 * rest is shown end to end. */
#include "tests/unit/cli/harness.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "store/audit.h"
#include "store/store.h"

#define SIGNET PROGRAMS "/signet"

static int verify(const char *path, char **errors)
{
	const char *argv[] = {
	    SIGNET, "audit", "verify", "--offline", path, NULL};
	OWNED_STR(out) = NULL;

	return run_program(argv, &out, errors);
}

static void make_store(const char *path)
{
	struct store_options options = {.path = path, .create = true};
	OWNED(store) store = NULL;
	OWNED(batch) batch = batch_new();
	struct err err = {0};

	assert_ok(store_open(&options, &store, &err), &err);
	batch_audit(batch,
	    &(struct audit_entry){.action = "key.create", .result = "granted"});
	assert_ok(store_commit(store, batch, &err), &err);
}

static void a_store_without_its_audit_key_does_not_verify(void **state)
{
	OWNED_STR(path) = fs_join(*state, "store");
	OWNED_STR(errors) = NULL;

	make_store(path);
	assert_int_equal(verify(path, &errors), 1);
	assert_has(errors, "the store has no audit key");
}

static void make_key(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *out = BIO_new_file(path, "w");

	assert_int_equal(PEM_write_bio_PUBKEY(out, key), 1);
	BIO_free(out);
	EVP_PKEY_free(key);
}

static void a_line_that_does_not_end_is_refused(void **state)
{
	const char *dir = *state;
	OWNED_STR(path) = fs_join(dir, "witness.jsonl");
	OWNED_STR(key) = fs_join(dir, "key.pem");
	const char *argv[] = {SIGNET, "audit", "verify", "--offline", path,
	    "--key", key, NULL};
	OWNED_STR(out) = NULL;
	OWNED_STR(errors) = NULL;
	OWNED_BUF(text);

	make_key(key);
	buf_put_str(&text, "{\"sequence\":1}\n{\"detail\":\"");
	memset(buf_extend(&text, 4u << 20), 'x', 4u << 20);
	buf_put_u8(&text, 0);
	spill(dir, "witness.jsonl", 0600, (const char *)text.data);
	assert_int_equal(run_program(argv, &out, &errors), 1);
	assert_has(errors, "line 2 is longer than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_store_without_its_audit_key_does_not_verify),
	    TEST(a_line_that_does_not_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
