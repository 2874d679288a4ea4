// SPDX-License-Identifier: Apache-2.0
/*
 * Merkle trees as RFC 9162 2.1 defines them: hashes, roots, proofs.
 *
 * A node is named by its level (leaves: 0) and its index in that level; it
 * stands over the leaves INDEX << LEVEL up to (INDEX + 1) << LEVEL.  Leaves are
 * counted from 0.
 */
#ifndef STORE_MERKLE_H
#define STORE_MERKLE_H

#include "base/buf.h"
#include "base/err.h"

#define MERKLE_SIZE 32	/* octets of a hash: SHA-256 */
#define MERKLE_LEVELS 64
#define MERKLE_PROOF_MAX 65

/* SHA-256, fetched once: a fetch costs more than a hash.  One thread at a time.
 * Errors: ERR_CRYPTO; what comes after cannot fail. */
struct hasher;
MUST_CHECK enum err_code hasher_new(
    struct hasher **hasher_out, struct err *err);
void hasher_free(struct hasher *hasher);
DEFINE_CLEANUP(hasher, hasher_free)

/* SHA-256(0x00 || ENTRY) */
void merkle_leaf(struct hasher *hasher, struct bytes entry,
    uint8_t leaf_out[static MERKLE_SIZE]);
/* SHA-256(0x01 || LEFT || RIGHT); may overwrite what it reads. */
void merkle_node(struct hasher *hasher, const uint8_t left[static MERKLE_SIZE],
    const uint8_t right[static MERKLE_SIZE],
    uint8_t node_out[static MERKLE_SIZE]);

/* What it takes to grow a tree: the roots of the complete subtrees that it
 * consists of, one for each bit that is set in its size. */
struct merkle {
	uint64_t size;
	uint8_t edge[MERKLE_LEVELS][MERKLE_SIZE];	/* by level */
};
/*
 * Adds LEAF.  DONE_OUT receives the nodes that it completes, of level 1 and
 * up; their number is returned.
 */
unsigned merkle_add(struct merkle *tree, struct hasher *hasher,
    const uint8_t leaf[static MERKLE_SIZE],
    uint8_t done_out[static MERKLE_LEVELS][MERKLE_SIZE]);
/* Of no leaf: SHA-256 of nothing. */
void merkle_root(const struct merkle *tree, struct hasher *hasher,
    uint8_t root_out[static MERKLE_SIZE]);

/* Gives the hash of a complete node. */
typedef enum err_code merkle_read(void *arg, unsigned level, uint64_t index,
    uint8_t hash_out[static MERKLE_SIZE], struct err *err);
struct merkle_source {
	merkle_read *read;
	void *arg;
	struct hasher *hasher;
};
struct merkle_proof {
	unsigned count;
	uint8_t hashes[MERKLE_PROOF_MAX][MERKLE_SIZE];
};

/* The following make O(log n) reads.  Errors: those of read. */
MUST_CHECK enum err_code merkle_root_at(const struct merkle_source *source,
    uint64_t size, uint8_t root_out[static MERKLE_SIZE], struct err *err);
/* 2.1.3.1; INDEX below SIZE. */
MUST_CHECK enum err_code merkle_prove_inclusion(
    const struct merkle_source *source, uint64_t index, uint64_t size,
    struct merkle_proof *proof_out, struct err *err);
/* 2.1.4.1; 0 < FROM <= TO. */
MUST_CHECK enum err_code merkle_prove_consistency(
    const struct merkle_source *source, uint64_t from, uint64_t to,
    struct merkle_proof *proof_out, struct err *err);

/* 2.1.3.2 */
struct merkle_inclusion {
	uint64_t index, size;
	const uint8_t *leaf, *root;
};
MUST_CHECK bool merkle_check_inclusion(struct hasher *hasher,
    const struct merkle_inclusion *claim, const struct merkle_proof *proof);
/* 2.1.4.2; the empty tree is consistent with every other. */
struct merkle_consistency {
	uint64_t from, to;
	const uint8_t *from_root, *to_root;
};
MUST_CHECK bool merkle_check_consistency(struct hasher *hasher,
    const struct merkle_consistency *claim, const struct merkle_proof *proof);

#endif
