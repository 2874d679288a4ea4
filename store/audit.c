// SPDX-License-Identifier: Apache-2.0
#include "store/audit.h"

#include <string.h>

#include "store/chain.h"
#include "store/inside.h"
#include "store/key.h"

/* Entries of one snapshot: a long walk must not pin old pages. */
#define PAGE_ENTRIES 4096

void batch_audit(struct batch *batch, const struct audit_entry *entry)
{
	size_t at = batch->octets.len;

	chain_write_body(&batch->octets, entry);
	batch_add_audit(batch, at);
}

/* A cursor on the log with the snapshot that it walks. */
struct walk {
	const struct engine_ops *ops;
	struct snapshot *snapshot;
	struct cursor *cursor;
};

static void walk_close(struct walk *walk)
{
	if (walk->cursor != NULL)
		walk->ops->cursor_close(walk->cursor);
	if (walk->snapshot != NULL)
		walk->ops->snapshot_close(walk->snapshot);
}

#define OWNED_WALK(name)                                                       \
	__attribute__((cleanup(walk_close))) struct walk name = {0}

static enum err_code walk_open(
    struct walk *walk, struct store *store, struct err *err)
{
	walk->ops = store->engine->ops;
	return walk->ops->snapshot_open(store->engine, &walk->snapshot, err);
}

/* From entry SEQUENCE on; from 0: with whatever stands before the first. */
static enum err_code walk_from(
    struct walk *walk, uint64_t sequence, struct err *err)
{
	struct key key = {.len = 0};

	if (sequence > 0)
		key_add_u64(&key, sequence);
	return walk->ops->cursor_open(
	    walk->snapshot, TABLE_AUDIT, key_bytes(&key), &walk->cursor, err);
}

/* The chain as the head record of the walk's snapshot says. */
static enum err_code walk_head(
    struct walk *walk, struct chain *chain, struct err *err)
{
	struct record record;
	enum err_code code = walk->ops->find(walk->snapshot, TABLE_META,
	    BYTES_STR(STORE_META_AUDIT), &record, err);

	if (code != ERR_OK)
		return code;
	return chain_resume(chain, record.value, err);
}

enum err_code audit_head(
    struct store *store, struct audit_head *head_out, struct err *err)
{
	OWNED(chain) chain = NULL;
	OWNED_WALK(walk);
	enum err_code code;

	if ((code = chain_new(&chain, err)) != ERR_OK ||
	    (code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_head(&walk, chain, err)) != ERR_OK)
		return code;
	chain_head(chain, head_out);
	return ERR_OK;
}

static bool is_place_of(struct bytes key, uint64_t sequence)
{
	struct key want = {.len = 0};

	key_add_u64(&want, sequence);
	return bytes_equal(key, key_bytes(&want));
}

enum err_code audit_read(struct store *store, uint64_t from, uint64_t count,
    audit_each *each, void *arg, struct err *err)
{
	OWNED_WALK(walk);
	enum err_code code;

	if ((code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_from(&walk, from, err)) != ERR_OK)
		return code;
	for (uint64_t i = 0; i < count; i++) {
		struct audit_entry entry;
		struct record record;
		struct bytes key;
		const uint8_t *head;

		code = walk.ops->cursor_next(walk.cursor, &key, &record, err);
		if (code != ERR_OK || record.revision == 0)
			return code;
		if (!chain_parse(record.value, &entry, &head) ||
		    !is_place_of(key, entry.sequence))
			return err_fail(err, ERR_CORRUPT,
			    "audit log: malformed entry at or after %llu",
			    (unsigned long long)from);
		if (!each(&entry, head, arg))
			return ERR_OK;
	}
	return ERR_OK;
}

/* The head, beyond which there must be nothing. */
static enum err_code read_end(
    struct store *store, struct chain *end, struct err *err)
{
	OWNED_WALK(walk);
	struct audit_head head;
	struct record record;
	struct bytes key;
	enum err_code code;

	if ((code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_head(&walk, end, err)) != ERR_OK)
		return code;
	chain_head(end, &head);
	if ((code = walk_from(&walk, head.sequence + 1, err)) != ERR_OK ||
	    (code = walk.ops->cursor_next(walk.cursor, &key, &record, err)) !=
		ERR_OK)
		return code;
	if (record.revision != 0)
		return err_fail(err, ERR_CORRUPT,
		    "audit log: an entry stands beyond the head, which is "
		    "entry %llu",
		    (unsigned long long)head.sequence);
	return ERR_OK;
}

/* Follows at most a page of entries, up to number LAST. */
static enum err_code follow_page(
    struct store *store, struct chain *chain, uint64_t last, struct err *err)
{
	OWNED_WALK(walk);
	struct audit_head at;
	enum err_code code;

	chain_head(chain, &at);
	if ((code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_from(
		 &walk, at.sequence == 0 ? 0 : at.sequence + 1, err)) != ERR_OK)
		return code;
	for (unsigned i = 0; i < PAGE_ENTRIES && at.sequence < last; i++) {
		struct record record;
		struct bytes key;

		code = walk.ops->cursor_next(walk.cursor, &key, &record, err);
		if (code != ERR_OK)
			return code;
		if (!is_place_of(key, ++at.sequence))
			return err_fail(err, ERR_CORRUPT,
			    "audit entry %llu is missing",
			    (unsigned long long)at.sequence);
		code = chain_follow(chain, record.value, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static bool same_state(const struct chain *a, const struct chain *b)
{
	struct audit_head x, y;

	chain_head(a, &x);
	chain_head(b, &y);
	return x.sequence == y.sequence &&
	       memcmp(x.hash, y.hash, sizeof(x.hash)) == 0 &&
	       chain_time_ms(a) == chain_time_ms(b);
}

/* Entries up to the head never change, so that pages may be of different
 * snapshots: only the head is taken once. */
enum err_code audit_verify(
    struct store *store, struct audit_head *head_out, struct err *err)
{
	OWNED(chain) chain = NULL;
	OWNED(chain) end = NULL;
	struct audit_head at, last;
	enum err_code code;

	if ((code = chain_new(&chain, err)) != ERR_OK ||
	    (code = chain_new(&end, err)) != ERR_OK ||
	    (code = read_end(store, end, err)) != ERR_OK)
		return code;
	chain_head(end, &last);
	for (chain_head(chain, &at); at.sequence < last.sequence;
	     chain_head(chain, &at)) {
		code = follow_page(store, chain, last.sequence, err);
		if (code != ERR_OK)
			return code;
	}
	if (!same_state(chain, end))
		return err_fail(err, ERR_CORRUPT,
		    "audit log: the head does not match entry %llu",
		    (unsigned long long)last.sequence);
	*head_out = at;
	return ERR_OK;
}
