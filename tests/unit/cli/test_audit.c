// SPDX-License-Identifier: Apache-2.0
/* signet audit verify --offline on what somebody has prepared: nothing passes
 * because what would show it was taken away, and nothing fills the memory.  The
 * rest is shown end to end. */
#include "tests/unit/cli/harness.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/text.h"
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

/* As ca/notary.c records it. */
static void give_key(const char *path)
{
	const struct store_options options = {.path = path};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	OWNED(store) store = NULL;
	OWNED(batch) batch = batch_new();
	OWNED_BUF(base64);
	OWNED_BUF(value);
	struct err err = {0};
	uint8_t *spki = NULL;
	int len = i2d_PUBKEY(key, &spki);

	EVP_PKEY_free(key);
	assert_true(len > 0);
	base64_put(&base64, BYTES(spki, (size_t)len));
	OPENSSL_free(spki);
	OWNED_STR(text) = buf_to_str(&base64);
	buf_put_u8(&value, 1);
	buf_put_lv_str(&value, text);
	batch_put(batch, TABLE_META, BYTES_STR("audit-key-spki"),
	    buf_bytes(&value));
	assert_ok(store_open(&options, &store, &err), &err);
	assert_ok(store_commit(store, batch, &err), &err);
}

/* Whoever took them out left the key, so that nothing seems to be missing. */
static void a_store_without_its_checkpoints_does_not_verify(void **state)
{
	OWNED_STR(path) = fs_join(*state, "store");
	OWNED_STR(errors) = NULL;

	make_store(path);
	give_key(path);
	assert_int_equal(verify(path, &errors), 1);
	assert_has(errors, "the store has no checkpoint");
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
	    TEST(a_store_without_its_checkpoints_does_not_verify),
	    TEST(a_line_that_does_not_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
