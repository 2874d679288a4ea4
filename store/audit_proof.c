// SPDX-License-Identifier: Apache-2.0
#include "store/audit.h"

#include <string.h>

#include "store/walk.h"

/* The log on one snapshot, as the tree that it is. */
struct view {
	struct walk walk;
	struct hasher *hasher;
	uint64_t size;
};

static void view_close(struct view *view)
{
	walk_close(&view->walk);
	hasher_free(view->hasher);
}

#define OWNED_VIEW(name)                                                       \
	__attribute__((cleanup(view_close))) struct view name = {0}

static enum err_code view_open(
    struct view *view, struct store *store, struct err *err)
{
	OWNED(ledger) ledger = NULL;
	enum err_code code;

	if ((code = hasher_new(&view->hasher, err)) != ERR_OK ||
	    (code = ledger_new(&ledger, err)) != ERR_OK ||
	    (code = walk_open(&view->walk, store, err)) != ERR_OK ||
	    (code = walk_head(&view->walk, ledger, err)) != ERR_OK)
		return code;
	view->size = ledger_size(ledger);
	return ERR_OK;
}

/* A node is in the record of the last entry below it. */
static enum err_code read_node(void *arg, unsigned level, uint64_t index,
    uint8_t hash_out[static MERKLE_SIZE], struct err *err)
{
	struct view *view = arg;
	struct ledger_record record;
	const uint8_t *node;
	enum err_code code =
	    walk_entry(&view->walk, (index + 1) << level, &record, err);

	if (code != ERR_OK)
		return code;
	if (level == 0) {
		merkle_leaf(view->hasher, record.octets, hash_out);
		return ERR_OK;
	}
	node = ledger_node(&record, level);
	if (node == NULL)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu completes no node of level %u",
		    (unsigned long long)record.entry.sequence, level);
	memcpy(hash_out, node, MERKLE_SIZE);
	return ERR_OK;
}

static struct merkle_source source_of(struct view *view)
{
	return (struct merkle_source){read_node, view, view->hasher};
}

/* LEAST to what the log has. */
static enum err_code check_size(const struct view *view, const char *name,
    uint64_t value, uint64_t least, struct err *err)
{
	if (value >= least && value <= view->size)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_FIELD,
	    "%s is %llu; want %llu to %llu, the entries of the log", name,
	    (unsigned long long)value, (unsigned long long)least,
	    (unsigned long long)view->size);
}

enum err_code audit_root(struct store *store, uint64_t size,
    uint8_t root_out[static 32], struct err *err)
{
	OWNED_VIEW(view);
	enum err_code code;

	if ((code = view_open(&view, store, err)) != ERR_OK ||
	    (code = check_size(&view, "size", size, 0, err)) != ERR_OK)
		return code;
	struct merkle_source source = source_of(&view);
	return merkle_root_at(&source, size, root_out, err);
}

enum err_code audit_prove_inclusion(struct store *store, uint64_t sequence,
    uint64_t size, struct merkle_proof *proof_out, struct err *err)
{
	OWNED_VIEW(view);
	enum err_code code;

	if ((code = view_open(&view, store, err)) != ERR_OK ||
	    (code = check_size(&view, "size", size, 1, err)) != ERR_OK ||
	    (code = check_size(&view, "sequence", sequence, 1, err)) != ERR_OK)
		return code;
	if (sequence > size)
		return err_refuse(err, ERR_BAD_FIELD,
		    "sequence %llu is beyond size %llu",
		    (unsigned long long)sequence, (unsigned long long)size);
	struct merkle_source source = source_of(&view);
	return merkle_prove_inclusion(
	    &source, sequence - 1, size, proof_out, err);
}

enum err_code audit_prove_consistency(struct store *store, uint64_t from,
    uint64_t to, struct merkle_proof *proof_out, struct err *err)
{
	OWNED_VIEW(view);
	enum err_code code;

	if ((code = view_open(&view, store, err)) != ERR_OK ||
	    (code = check_size(&view, "to", to, 1, err)) != ERR_OK ||
	    (code = check_size(&view, "from", from, 1, err)) != ERR_OK)
		return code;
	if (from > to)
		return err_refuse(err, ERR_BAD_FIELD,
		    "from %llu is beyond to %llu", (unsigned long long)from,
		    (unsigned long long)to);
	struct merkle_source source = source_of(&view);
	return merkle_prove_consistency(&source, from, to, proof_out, err);
}

enum err_code audit_find_time(struct store *store, int64_t time_ms,
    uint64_t *sequence_out, struct err *err)
{
	OWNED_VIEW(view);
	enum err_code code = view_open(&view, store, err);
	uint64_t low = 1, high = view.size + 1;

	while (code == ERR_OK && low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct ledger_record record;

		code = walk_entry(&view.walk, middle, &record, err);
		if (code == ERR_OK && record.entry.time_ms < time_ms)
			low = middle + 1;
		else
			high = middle;
	}
	*sequence_out = low;
	return code;
}
