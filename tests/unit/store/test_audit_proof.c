// SPDX-License-Identifier: Apache-2.0
/* Goal: the head of the log is the root of the tree of RFC 9162, and proves
 * every entry and every smaller tree, and nothing else. */
#include "fixture.h"

#include <openssl/evp.h>
#include <string.h>

#include "store/key.h"
#include "store/ledger.h"

static void hash(uint8_t prefix, const uint8_t *a, size_t a_len,
    const uint8_t *b, size_t b_len, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, &prefix, 1), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, a, a_len), 1);
	assert_int_equal(EVP_DigestUpdate(ctx, b, b_len), 1);
	assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 1);
	EVP_MD_CTX_free(ctx);
}

static void an_empty_log_has_the_hash_of_nothing(void **state)
{
	struct fixture *f = *state;
	struct audit_head head = {9, {9}};
	uint8_t nothing[32];

	assert_int_equal(
	    EVP_Digest("", 0, nothing, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(head.sequence, 0);
	assert_memory_equal(head.hash, nothing, 32);
	assert_int_equal(assert_verifies(f->store), 0);
}

static void raw_leaf(struct fixture *f, uint64_t n, uint8_t leaf[32])
{
	OWNED_BUF(record);
	struct key key = KEY_INIT;
	struct ledger_record parsed;
	bool found;

	key_add_u64(&key, n);
	assert_int_equal(store_find(f->store, TABLE_AUDIT, key_bytes(&key),
			     &record, NULL, &found, &f->err),
	    ERR_OK);
	assert_true(found);
	assert_true(ledger_parse(buf_bytes(&record), &parsed));
	hash(0x00, parsed.octets.data, parsed.octets.len, NULL, 0, leaf);
}

/* Whoever holds the log can recompute the head. */
static void the_head_is_the_root_of_the_tree_of_rfc_9162(void **state)
{
	struct fixture *f = *state;
	struct audit_head head;
	uint8_t leaves[3][32], root[32];

	assert_audits(f->store, 3);
	for (uint64_t n = 1; n <= 3; n++)
		raw_leaf(f, n, leaves[n - 1]);
	hash(0x01, leaves[0], 32, leaves[1], 32, root);
	hash(0x01, root, 32, leaves[2], 32, root);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(head.sequence, 3);
	assert_memory_equal(head.hash, root, 32);
}

static bool take_leaf(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	uint8_t(*leaves)[32] = arg;

	memcpy(leaves[entry->sequence - 1], leaf, 32);
	return true;
}

#define PROVEN 35

static void every_entry_is_proven_to_be_in_every_tree(void **state)
{
	struct fixture *f = *state;
	OWNED(hasher) hasher = NULL;
	uint8_t leaves[PROVEN][32], root[32];

	assert_audits(f->store, PROVEN);
	assert_int_equal(hasher_new(&hasher, &f->err), ERR_OK);
	assert_int_equal(
	    audit_read(f->store, 1, PROVEN, take_leaf, leaves, &f->err),
	    ERR_OK);
	for (uint64_t size = 1; size <= PROVEN; size++) {
		assert_int_equal(
		    audit_root(f->store, size, root, &f->err), ERR_OK);
		for (uint64_t n = 1; n <= size; n++) {
			struct merkle_proof proof;
			struct merkle_inclusion claim = {
			    n - 1, size, leaves[n - 1], root};

			assert_int_equal(audit_prove_inclusion(f->store, n,
					     size, &proof, &f->err),
			    ERR_OK);
			assert_true(
			    merkle_check_inclusion(hasher, &claim, &proof));
			claim.leaf = leaves[n % PROVEN];
			assert_false(
			    merkle_check_inclusion(hasher, &claim, &proof));
		}
	}
}

static void every_tree_is_proven_to_go_on_every_smaller_one(void **state)
{
	struct fixture *f = *state;
	OWNED(hasher) hasher = NULL;
	uint8_t roots[PROVEN + 1][32];

	assert_audits(f->store, PROVEN);
	assert_int_equal(hasher_new(&hasher, &f->err), ERR_OK);
	for (uint64_t to = 1; to <= PROVEN; to++) {
		assert_int_equal(
		    audit_root(f->store, to, roots[to], &f->err), ERR_OK);
		for (uint64_t from = 1; from <= to; from++) {
			struct merkle_proof proof;
			struct merkle_consistency claim = {
			    from, to, roots[from], roots[to]};

			assert_int_equal(audit_prove_consistency(f->store,
					     from, to, &proof, &f->err),
			    ERR_OK);
			assert_true(
			    merkle_check_consistency(hasher, &claim, &proof));
			claim.from_root = roots[from == 1 ? to : 1];
			if (to > 1)
				assert_false(merkle_check_consistency(
				    hasher, &claim, &proof));
		}
	}
}

static void nothing_is_proven_of_what_the_log_does_not_hold(void **state)
{
	struct fixture *f = *state;
	struct merkle_proof proof;
	uint8_t root[32];

	assert_audits(f->store, 3);
	assert_int_equal(
	    audit_root(f->store, 4, root, &f->err), ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 0, 3, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 3, 2, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_inclusion(f->store, 1, 4, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 0, 3, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 3, 2, &proof, &f->err),
	    ERR_BAD_FIELD);
	assert_int_equal(
	    audit_prove_consistency(f->store, 1, 4, &proof, &f->err),
	    ERR_BAD_FIELD);
}

static void the_tree_goes_on_over_a_reopening(void **state)
{
	struct fixture *f = *state;
	struct audit_head head, verified;

	assert_audits(f->store, 3);
	fixture_reopen(f);
	assert_int_equal(assert_verifies(f->store), 3);
	assert_audits(f->store, 2);
	assert_int_equal(audit_head(f->store, &head, &f->err), ERR_OK);
	assert_int_equal(audit_verify(f->store, &verified, &f->err), ERR_OK);
	assert_int_equal(verified.sequence, 5);
	assert_memory_equal(head.hash, verified.hash, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_empty_log_has_the_hash_of_nothing),
	    TEST(the_head_is_the_root_of_the_tree_of_rfc_9162),
	    TEST(every_entry_is_proven_to_be_in_every_tree),
	    TEST(every_tree_is_proven_to_go_on_every_smaller_one),
	    TEST(nothing_is_proven_of_what_the_log_does_not_hold),
	    TEST(the_tree_goes_on_over_a_reopening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
