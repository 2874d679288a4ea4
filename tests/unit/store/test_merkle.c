// SPDX-License-Identifier: Apache-2.0
/* Goal: trees are those of RFC 9162, by vectors that others published, and no
 * altered proof is accepted. */
#include "fixture.h"

#include <string.h>

#include "base/text.h"
#include "store/merkle.h"

/* The leaves and roots with which Certificate Transparency is tested. */
static const struct {
	const char *leaf, *root;
} vectors[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void assert_hash(const uint8_t *hash, const char *hex)
{
	char text[2 * MERKLE_SIZE + 1];

	assert_string_equal(hex_write(hash, MERKLE_SIZE, text), hex);
}

static void leaf_of(struct hasher *hasher, size_t i, uint8_t *leaf)
{
	OWNED_BUF(octets);

	assert_true(hex_parse_any(vectors[i].leaf, 64, &octets));
	merkle_leaf(hasher, buf_bytes(&octets), leaf);
}

static void roots_are_those_of_the_published_vectors(void **state)
{
	OWNED(hasher) hasher = NULL;
	struct merkle tree = {0};
	uint8_t done[MERKLE_LEVELS][MERKLE_SIZE], hash[MERKLE_SIZE];
	struct err err;

	(void)state;
	assert_int_equal(hasher_new(&hasher, &err), ERR_OK);
	merkle_root(&tree, hasher, hash);
	assert_hash(hash, EMPTY);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		unsigned count;

		leaf_of(hasher, i, hash);
		count = merkle_add(&tree, hasher, hash, done);
		assert_int_equal(count, __builtin_ctzll(i + 1));
		merkle_root(&tree, hasher, hash);
		assert_hash(hash, vectors[i].root);
	}
}

/* The tree of RFC 9162 2.1.5, made of the vectors: every node at hand. */
struct grove {
	struct hasher *hasher;
	uint8_t nodes[4][8][MERKLE_SIZE];
};

static enum err_code read_node(void *arg, unsigned level, uint64_t index,
    uint8_t hash_out[static MERKLE_SIZE], struct err *err)
{
	struct grove *grove = arg;

	(void)err;
	assert_true(level < 4 && index < 8u >> level);
	memcpy(hash_out, grove->nodes[level][index], MERKLE_SIZE);
	return ERR_OK;
}

static void plant(struct grove *grove)
{
	struct err err;

	assert_int_equal(hasher_new(&grove->hasher, &err), ERR_OK);
	for (size_t i = 0; i < 8; i++)
		leaf_of(grove->hasher, i, grove->nodes[0][i]);
	for (unsigned level = 1; level < 4; level++)
		for (unsigned i = 0; i < 8u >> level; i++)
			merkle_node(grove->hasher,
			    grove->nodes[level - 1][2 * i],
			    grove->nodes[level - 1][2 * i + 1],
			    grove->nodes[level][i]);
}

static void assert_path(
    const struct merkle_proof *proof, const uint8_t *const *path)
{
	unsigned count = 0;

	for (; path[count] != NULL; count++) {
		assert_true(count < proof->count);
		assert_memory_equal(
		    proof->hashes[count], path[count], MERKLE_SIZE);
	}
	assert_int_equal(proof->count, count);
}

/* The letters are those of the picture in RFC 9162 2.1.5, of seven leaves. */
static void proofs_are_those_of_the_example_of_rfc_9162(void **state)
{
	struct grove grove;
	struct merkle_source source = {read_node, &grove, NULL};
	struct merkle_proof proof;
	struct err err;
	uint8_t l[MERKLE_SIZE];

	(void)state;
	plant(&grove);
	source.hasher = grove.hasher;
	const uint8_t *a = grove.nodes[0][0], *b = grove.nodes[0][1];
	const uint8_t *c = grove.nodes[0][2], *d = grove.nodes[0][3];
	const uint8_t *e = grove.nodes[0][4], *f = grove.nodes[0][5];
	const uint8_t *j = grove.nodes[0][6];
	const uint8_t *g = grove.nodes[1][0], *h = grove.nodes[1][1];
	const uint8_t *i = grove.nodes[1][2], *k = grove.nodes[2][0];
	(void)a, (void)e;
	merkle_node(grove.hasher, i, j, l);
	const struct {
		uint64_t index;
		const uint8_t *path[4];
	} inclusions[] = {{0, {b, h, l, NULL}}, {3, {c, g, l, NULL}},
	    {4, {f, j, k, NULL}}, {6, {i, k, NULL}}};
	const struct {
		uint64_t from;
		const uint8_t *path[5];
	} consistencies[] = {{3, {c, d, g, l, NULL}}, {4, {l, NULL}},
	    {6, {i, j, k, NULL}}, {7, {NULL}}};

	for (size_t n = 0; n < ARRAY_LEN(inclusions); n++) {
		assert_int_equal(merkle_prove_inclusion(&source,
				     inclusions[n].index, 7, &proof, &err),
		    ERR_OK);
		assert_path(&proof, inclusions[n].path);
	}
	for (size_t n = 0; n < ARRAY_LEN(consistencies); n++) {
		assert_int_equal(merkle_prove_consistency(&source,
				     consistencies[n].from, 7, &proof, &err),
		    ERR_OK);
		assert_path(&proof, consistencies[n].path);
	}
	hasher_free(grove.hasher);
}

static void root_of(const char *hex, uint8_t *root)
{
	assert_true(hex_parse(hex, root, MERKLE_SIZE));
}

/* Each octet of each hash, a hash too many, a hash too few. */
static void an_altered_proof_of_inclusion_is_refused(void **state)
{
	struct grove grove;
	struct merkle_source source = {read_node, &grove, NULL};
	struct merkle_proof proof;
	uint8_t root[MERKLE_SIZE];
	struct err err;

	(void)state;
	plant(&grove);
	source.hasher = grove.hasher;
	root_of(vectors[6].root, root);
	for (uint64_t at = 0; at < 7; at++) {
		struct merkle_inclusion claim = {
		    at, 7, grove.nodes[0][at], root};

		assert_int_equal(
		    merkle_prove_inclusion(&source, at, 7, &proof, &err),
		    ERR_OK);
		assert_true(
		    merkle_check_inclusion(grove.hasher, &claim, &proof));
		for (unsigned i = 0; i < proof.count; i++) {
			proof.hashes[i][at] ^= 1;
			assert_false(merkle_check_inclusion(
			    grove.hasher, &claim, &proof));
			proof.hashes[i][at] ^= 1;
		}
		proof.count++;
		assert_false(
		    merkle_check_inclusion(grove.hasher, &claim, &proof));
		proof.count -= 2;
		assert_false(
		    merkle_check_inclusion(grove.hasher, &claim, &proof));
		proof.count++;
		claim.index = (at + 1) % 7;
		assert_false(
		    merkle_check_inclusion(grove.hasher, &claim, &proof));
		claim.index = 7;
		assert_false(
		    merkle_check_inclusion(grove.hasher, &claim, &proof));
	}
	hasher_free(grove.hasher);
}

static void an_altered_proof_of_consistency_is_refused(void **state)
{
	struct grove grove;
	struct merkle_source source = {read_node, &grove, NULL};
	struct merkle_proof proof;
	uint8_t old[MERKLE_SIZE], root[MERKLE_SIZE];
	struct err err;

	(void)state;
	plant(&grove);
	source.hasher = grove.hasher;
	root_of(vectors[6].root, root);
	for (uint64_t from = 1; from < 7; from++) {
		struct merkle_consistency claim = {from, 7, old, root};

		root_of(vectors[from - 1].root, old);
		assert_int_equal(
		    merkle_prove_consistency(&source, from, 7, &proof, &err),
		    ERR_OK);
		assert_true(
		    merkle_check_consistency(grove.hasher, &claim, &proof));
		for (unsigned i = 0; i < proof.count; i++) {
			proof.hashes[i][0] ^= 1;
			assert_false(merkle_check_consistency(
			    grove.hasher, &claim, &proof));
			proof.hashes[i][0] ^= 1;
		}
		proof.count++;
		assert_false(
		    merkle_check_consistency(grove.hasher, &claim, &proof));
		proof.count -= 2;
		assert_false(
		    merkle_check_consistency(grove.hasher, &claim, &proof));
		proof.count++;
		old[0] ^= 1;
		assert_false(
		    merkle_check_consistency(grove.hasher, &claim, &proof));
	}
	hasher_free(grove.hasher);
}

static void trees_of_one_size_are_consistent_when_they_are_one(void **state)
{
	OWNED(hasher) hasher = NULL;
	uint8_t a[MERKLE_SIZE] = {1}, b[MERKLE_SIZE] = {2};
	struct merkle_proof none = {.count = 0};
	struct err err;

	(void)state;
	assert_int_equal(hasher_new(&hasher, &err), ERR_OK);
	assert_true(merkle_check_consistency(hasher,
	    &(struct merkle_consistency){5, 5, a, a}, &none));
	assert_false(merkle_check_consistency(hasher,
	    &(struct merkle_consistency){5, 5, a, b}, &none));
	assert_false(merkle_check_consistency(hasher,
	    &(struct merkle_consistency){6, 5, a, a}, &none));
	assert_true(merkle_check_consistency(hasher,
	    &(struct merkle_consistency){0, 5, a, b}, &none));
	assert_false(merkle_check_consistency(hasher,
	    &(struct merkle_consistency){4, 5, a, b}, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(roots_are_those_of_the_published_vectors),
	    cmocka_unit_test(proofs_are_those_of_the_example_of_rfc_9162),
	    cmocka_unit_test(an_altered_proof_of_inclusion_is_refused),
	    cmocka_unit_test(an_altered_proof_of_consistency_is_refused),
	    cmocka_unit_test(
		trees_of_one_size_are_consistent_when_they_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
