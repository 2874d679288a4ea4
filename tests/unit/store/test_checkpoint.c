// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/text.h"
#include "store/audit_json.h"
#include "store/checkpoint.h"

static EVP_PKEY *new_key(const char *group, struct buf *spki)
{
	EVP_PKEY *key = EVP_EC_gen(group);
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	assert_true(len > 0);
	buf_reset(spki);
	buf_put(spki, der, (size_t)len);
	OPENSSL_free(der);
	return key;
}

static struct checkpoint sample(void)
{
	return (struct checkpoint){.origin = "signet.audit/00ff",
	    .size = 12,
	    .root = {1, 2, 3},
	    .time_ms = 1790000000042,
	    .node = 3};
}

static void sign(EVP_PKEY *key, struct bytes spki, struct buf *note)
{
	struct checkpoint checkpoint = sample();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[128];
	size_t len = sizeof(signature);
	struct err err;

	buf_reset(note);
	checkpoint_put_text(note, &checkpoint);
	assert_int_equal(EVP_DigestSignInit_ex(
			     ctx, NULL, "SHA256", NULL, NULL, key, NULL),
	    1);
	assert_int_equal(
	    EVP_DigestSign(ctx, signature, &len, note->data, note->len), 1);
	EVP_MD_CTX_free(ctx);
	assert_int_equal(checkpoint_put_signature(note, checkpoint.origin,
			     spki, BYTES(signature, len), &err),
	    ERR_OK);
}

/* By a key made on CURVE, whose SPKI is given, and then gone. */
static void sign_by_new_key(
    const char *curve, struct buf *spki, struct buf *note)
{
	EVP_PKEY *key = new_key(curve, spki);

	sign(key, buf_bytes(spki), note);
	EVP_PKEY_free(key);
}

static void a_checkpoint_has_the_text_that_is_documented(void **state)
{
	struct checkpoint checkpoint = sample();
	OWNED_BUF(text);

	(void)state;
	checkpoint_put_text(&text, &checkpoint);
	buf_put_u8(&text, 0);
	assert_string_equal((char *)text.data,
	    "signet.audit/00ff\n12\n"
	    "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	    "time 2026-09-21T14:13:20.042Z\nnode 3\n");
}

static void a_signed_checkpoint_is_read_as_it_was_written(void **state)
{
	struct checkpoint want = sample(), have;
	OWNED_BUF(spki);
	OWNED_BUF(note);
	struct err err;

	(void)state;
	sign_by_new_key("P-256", &spki, &note);
	assert_int_equal(checkpoint_check(buf_bytes(&note), buf_bytes(&spki),
			     &have, &err),
	    ERR_OK);
	assert_string_equal(have.origin, want.origin);
	assert_int_equal(have.size, want.size);
	assert_memory_equal(have.root, want.root, 32);
	assert_int_equal(have.time_ms, want.time_ms);
	assert_int_equal(have.node, want.node);
}

static void a_changed_octet_of_a_checkpoint_is_refused(void **state)
{
	struct checkpoint have;
	OWNED_BUF(spki);
	OWNED_BUF(note);
	struct err err;

	(void)state;
	sign_by_new_key("P-256", &spki, &note);
	for (size_t at = 0; at < note.len; at++) {
		note.data[at] ^= 1;
		assert_int_equal(checkpoint_check(buf_bytes(&note),
				     buf_bytes(&spki), &have, &err),
		    ERR_CORRUPT);
		note.data[at] ^= 1;
	}
	for (size_t len = 0; len < note.len; len++)
		assert_false(
		    checkpoint_parse(BYTES(note.data, len), &have, NULL));
	buf_put_u8(&note, '\n');
	assert_false(checkpoint_parse(buf_bytes(&note), &have, NULL));
}

static void a_checkpoint_by_another_key_is_refused(void **state)
{
	struct checkpoint have;
	OWNED_BUF(spki);
	OWNED_BUF(other);
	OWNED_BUF(note);
	EVP_PKEY *key = new_key("P-256", &spki);
	EVP_PKEY *wrong = new_key("P-256", &other);
	struct err err;

	(void)state;
	sign(key, buf_bytes(&spki), &note);
	assert_int_equal(checkpoint_check(buf_bytes(&note), buf_bytes(&other),
			     &have, &err),
	    ERR_CORRUPT);
	assert_contains(err.cause, "signed by another key");
	/* Under the right name, by the wrong key. */
	sign(wrong, buf_bytes(&spki), &note);
	err_clear(&err);
	assert_int_equal(checkpoint_check(buf_bytes(&note), buf_bytes(&spki),
			     &have, &err),
	    ERR_CORRUPT);
	assert_contains(err.cause, "signature does not verify");
	EVP_PKEY_free(key);
	EVP_PKEY_free(wrong);
}

static void a_key_of_another_kind_is_refused(void **state)
{
	struct checkpoint have;
	OWNED_BUF(spki);
	OWNED_BUF(note);
	struct err err;

	(void)state;
	sign_by_new_key("P-384", &spki, &note);
	assert_int_equal(checkpoint_check(buf_bytes(&note), buf_bytes(&spki),
			     &have, &err),
	    ERR_CORRUPT);
	assert_contains(err.cause, "no EC P-256 key");
}

static void keep(struct fixture *f, uint64_t size)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(note) = mem_printf("note %llu", (unsigned long long)size);

	assert_int_equal(checkpoint_put(f->store, batch, size,
			     bytes_str(note), &f->err),
	    ERR_OK);
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
}

static void assert_kept(struct fixture *f, uint64_t size, const char *want)
{
	OWNED_BUF(note);
	bool found;

	assert_int_equal(
	    checkpoint_find(f->store, size, &note, &found, &f->err), ERR_OK);
	assert_int_equal(found, want != NULL);
	if (want != NULL)
		assert_true(bytes_equal(buf_bytes(&note), bytes_str(want)));
}

static void checkpoints_are_found_by_what_they_cover(void **state)
{
	struct fixture *f = *state;
	OWNED_BUF(last);
	bool found;

	assert_kept(f, 0, NULL);
	assert_int_equal(
	    checkpoint_last(f->store, &last, &found, &f->err), ERR_OK);
	assert_false(found);
	keep(f, 5);
	keep(f, 9);
	assert_kept(f, 0, "note 5");
	assert_kept(f, 5, "note 5");
	assert_kept(f, 6, "note 9");
	assert_kept(f, 10, NULL);
	assert_int_equal(
	    checkpoint_last(f->store, &last, &found, &f->err), ERR_OK);
	assert_true(found);
	assert_true(bytes_equal(buf_bytes(&last), BYTES_STR("note 9")));
}

static void only_the_last_checkpoints_are_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t count;

	for (uint64_t size = 1; size <= CHECKPOINTS_KEPT + 2; size++)
		keep(f, size);
	assert_int_equal(
	    store_count(f->store, TABLE_CHECKPOINTS, &count, &f->err), ERR_OK);
	assert_int_equal(count, CHECKPOINTS_KEPT);
	assert_kept(f, 1, "note 3");
}

static void an_entry_told_as_json_has_its_octets_again(void **state)
{
	const struct audit_entry entry = {.sequence = 7,
	    .time_ms = 1790000000001,
	    .action = "a.b",
	    .object = "\xc3\xa4 \"q\" \\ \x01",
	    .detail = "one\ttwo"};
	struct audit_entry again;
	uint8_t leaf[32] = {1, 2}, leaf_again[32];
	OWNED_JSON(json) = audit_to_json(&entry, leaf);
	OWNED_JSON(read) = NULL;
	OWNED_BUF(text);
	struct err err;

	(void)state;
	json_put(&text, json);
	assert_int_equal(json_parse(buf_bytes(&text), &read, &err), ERR_OK);
	assert_int_equal(
	    audit_from_json(read, &again, leaf_again, &err), ERR_OK);
	assert_int_equal(again.sequence, 7);
	assert_int_equal(again.time_ms, entry.time_ms);
	assert_string_equal(again.action, entry.action);
	assert_string_equal(again.object, entry.object);
	assert_string_equal(again.detail, entry.detail);
	assert_null(again.actor);
	assert_memory_equal(leaf, leaf_again, 32);
	json_object_set_new(read, "time", json_string("2026-09-21T14:13:20Z"));
	assert_int_equal(
	    audit_from_json(read, &again, leaf_again, &err), ERR_BAD_FIELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_checkpoint_has_the_text_that_is_documented),
	    cmocka_unit_test(a_signed_checkpoint_is_read_as_it_was_written),
	    cmocka_unit_test(a_changed_octet_of_a_checkpoint_is_refused),
	    cmocka_unit_test(a_checkpoint_by_another_key_is_refused),
	    cmocka_unit_test(a_key_of_another_kind_is_refused),
	    TEST(checkpoints_are_found_by_what_they_cover),
	    TEST(only_the_last_checkpoints_are_kept),
	    cmocka_unit_test(an_entry_told_as_json_has_its_octets_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
