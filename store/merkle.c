// SPDX-License-Identifier: Apache-2.0
#include "store/merkle.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct hasher {
	EVP_MD *sha256;
	EVP_MD_CTX *ctx;
};

enum err_code hasher_new(struct hasher **hasher_out, struct err *err)
{
	OWNED(hasher) hasher = mem_zalloc(sizeof(*hasher));

	hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hasher->ctx = EVP_MD_CTX_new();
	if (hasher->sha256 == NULL || hasher->ctx == NULL ||
	    EVP_DigestInit_ex2(hasher->ctx, hasher->sha256, NULL) != 1)
		return err_fail_crypto(err, "SHA-256 of the audit log");
	*hasher_out = GIVE(hasher);
	return ERR_OK;
}

void hasher_free(struct hasher *hasher)
{
	if (hasher == NULL)
		return;
	EVP_MD_CTX_free(hasher->ctx);
	EVP_MD_free(hasher->sha256);
	free(hasher);
}

static void hash(struct hasher *hasher, const struct bytes *parts,
    size_t count, uint8_t hash_out[static MERKLE_SIZE])
{
	bool done = EVP_DigestInit_ex2(hasher->ctx, hasher->sha256, NULL) == 1;

	for (size_t i = 0; i < count; i++)
		done = done && EVP_DigestUpdate(hasher->ctx, parts[i].data,
				   parts[i].len) == 1;
	if (!done || EVP_DigestFinal_ex(hasher->ctx, hash_out, NULL) != 1)
		abort();
}

void merkle_leaf(struct hasher *hasher, struct bytes entry,
    uint8_t leaf_out[static MERKLE_SIZE])
{
	const struct bytes parts[] = {BYTES("\x00", 1), entry};

	hash(hasher, parts, ARRAY_LEN(parts), leaf_out);
}

void merkle_node(struct hasher *hasher, const uint8_t left[static MERKLE_SIZE],
    const uint8_t right[static MERKLE_SIZE],
    uint8_t node_out[static MERKLE_SIZE])
{
	uint8_t octets[1 + 2 * MERKLE_SIZE] = {0x01};

	memcpy(octets + 1, left, MERKLE_SIZE);
	memcpy(octets + 1 + MERKLE_SIZE, right, MERKLE_SIZE);
	hash(hasher, &BYTES_OF(octets), 1, node_out);
}

/* ---- growing ---- */

unsigned merkle_add(struct merkle *tree, struct hasher *hasher,
    const uint8_t leaf[static MERKLE_SIZE],
    uint8_t done_out[static MERKLE_LEVELS][MERKLE_SIZE])
{
	const uint8_t *node = leaf;
	unsigned level = 0;

	for (; tree->size >> level & 1; level++) {
		merkle_node(hasher, tree->edge[level], node, done_out[level]);
		node = done_out[level];
	}
	memcpy(tree->edge[level], node, MERKLE_SIZE);
	tree->size++;
	return level;
}

/* Joins subtrees from the right to the left, where the smallest stands. */
static void join(struct hasher *hasher, const uint8_t *left, bool *begun,
    uint8_t joined[static MERKLE_SIZE])
{
	if (*begun)
		merkle_node(hasher, left, joined, joined);
	else
		memcpy(joined, left, MERKLE_SIZE);
	*begun = true;
}

void merkle_root(const struct merkle *tree, struct hasher *hasher,
    uint8_t root_out[static MERKLE_SIZE])
{
	bool begun = false;

	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (tree->size >> level & 1)
			join(hasher, tree->edge[level], &begun, root_out);
	if (!begun)
		hash(hasher, NULL, 0, root_out);
}

/* ---- proving ---- */

/* Leaves [FIRST, END) of a tree, of which FIRST begins a subtree that is large
 * enough for all of them. */
struct range {
	uint64_t first, end;
};

static enum err_code range_root(const struct merkle_source *source,
    struct range range, uint8_t root_out[static MERKLE_SIZE], struct err *err)
{
	uint64_t count = range.end - range.first;
	uint64_t at = range.end;
	bool begun = false;

	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		uint8_t node[MERKLE_SIZE];
		enum err_code code;

		if (!(count >> level & 1))
			continue;
		at -= UINT64_C(1) << level;
		code = source->read(
		    source->arg, level, at >> level, node, err);
		if (code != ERR_OK)
			return code;
		join(source->hasher, node, &begun, root_out);
	}
	if (!begun)
		hash(source->hasher, NULL, 0, root_out);
	return ERR_OK;
}

enum err_code merkle_root_at(const struct merkle_source *source, uint64_t size,
    uint8_t root_out[static MERKLE_SIZE], struct err *err)
{
	return range_root(source, (struct range){0, size}, root_out, err);
}

/* Where RFC 9162 splits: after the greatest power of two below the count. */
static uint64_t middle(struct range range)
{
	uint64_t last = range.end - range.first - 1;

	return range.first +
	       (UINT64_C(1) << (63 - (unsigned)__builtin_clzll(last)));
}

static enum err_code add_range(const struct merkle_source *source,
    struct range range, struct merkle_proof *proof, struct err *err)
{
	return range_root(source, range, proof->hashes[proof->count++], err);
}

/* What was gathered from the root down is told from the leaf up. */
static void turn(struct merkle_proof *proof)
{
	for (unsigned i = 0; i < proof->count / 2; i++) {
		uint8_t *a = proof->hashes[i];
		uint8_t *b = proof->hashes[proof->count - 1 - i];
		uint8_t kept[MERKLE_SIZE];

		memcpy(kept, a, MERKLE_SIZE);
		memcpy(a, b, MERKLE_SIZE);
		memcpy(b, kept, MERKLE_SIZE);
	}
}

enum err_code merkle_prove_inclusion(const struct merkle_source *source,
    uint64_t index, uint64_t size, struct merkle_proof *proof_out,
    struct err *err)
{
	struct range range = {0, size};
	enum err_code code = ERR_OK;

	proof_out->count = 0;
	while (code == ERR_OK && range.end - range.first > 1) {
		uint64_t split = middle(range);
		struct range other = {range.first, split};

		if (index < split) {
			other = (struct range){split, range.end};
			range.end = split;
		} else {
			range.first = split;
		}
		code = add_range(source, other, proof_out, err);
	}
	turn(proof_out);
	return code;
}

enum err_code merkle_prove_consistency(const struct merkle_source *source,
    uint64_t from, uint64_t to, struct merkle_proof *proof_out,
    struct err *err)
{
	struct range range = {0, to};
	enum err_code code = ERR_OK;

	proof_out->count = 0;
	while (code == ERR_OK && range.end != from) {
		uint64_t split = middle(range);
		struct range other = {range.first, split};

		if (from <= split) {
			other = (struct range){split, range.end};
			range.end = split;
		} else {
			range.first = split;
		}
		code = add_range(source, other, proof_out, err);
	}
	/* The verifier has the old root: where that is the node, it is left
	 * out. */
	if (code == ERR_OK && range.first != 0)
		code = add_range(source, range, proof_out, err);
	turn(proof_out);
	return code;
}

/* ---- checking ---- */

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, MERKLE_SIZE) == 0;
}

/* Up from a right child that may lack its sibling: to where it is one. */
static void skip_lone(uint64_t *fn, uint64_t *sn)
{
	while (!(*fn & 1) && *fn != 0) {
		*fn >>= 1;
		*sn >>= 1;
	}
}

bool merkle_check_inclusion(struct hasher *hasher,
    const struct merkle_inclusion *claim, const struct merkle_proof *proof)
{
	uint64_t fn = claim->index, sn = claim->size - 1;
	uint8_t r[MERKLE_SIZE];

	if (claim->index >= claim->size)
		return false;
	memcpy(r, claim->leaf, MERKLE_SIZE);
	for (unsigned i = 0; i < proof->count; i++) {
		const uint8_t *p = proof->hashes[i];

		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			merkle_node(hasher, p, r, r);
			skip_lone(&fn, &sn);
		} else {
			merkle_node(hasher, r, p, r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && same(r, claim->root);
}

/* FR and SR: roots of the smaller and the larger tree, as far as they are. */
static bool climb(struct hasher *hasher,
    const struct merkle_consistency *claim, const struct merkle_proof *proof,
    unsigned next, const uint8_t *first)
{
	uint64_t fn = claim->from - 1, sn = claim->to - 1;
	uint8_t fr[MERKLE_SIZE], sr[MERKLE_SIZE];

	memcpy(fr, first, MERKLE_SIZE);
	memcpy(sr, first, MERKLE_SIZE);
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	for (; next < proof->count; next++) {
		const uint8_t *c = proof->hashes[next];

		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			merkle_node(hasher, c, fr, fr);
			merkle_node(hasher, c, sr, sr);
			skip_lone(&fn, &sn);
		} else {
			merkle_node(hasher, sr, c, sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && same(fr, claim->from_root) &&
	       same(sr, claim->to_root);
}

bool merkle_check_consistency(struct hasher *hasher,
    const struct merkle_consistency *claim, const struct merkle_proof *proof)
{
	bool power = (claim->from & (claim->from - 1)) == 0;

	if (claim->from > claim->to)
		return false;
	if (claim->from == 0)
		return proof->count == 0;
	if (claim->from == claim->to)
		return proof->count == 0 &&
		       same(claim->from_root, claim->to_root);
	if (proof->count == 0)
		return false;
	if (power)
		return climb(hasher, claim, proof, 0, claim->from_root);
	return climb(hasher, claim, proof, 1, proof->hashes[0]);
}
