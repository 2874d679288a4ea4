// SPDX-License-Identifier: Apache-2.0
#include "store/audit.h"

#include "base/text.h"
#include "store/inside.h"
#include "store/walk.h"

/* Entries of one snapshot: a long walk must not pin old pages. */
#define PAGE_ENTRIES 4096

/* Told as JSON and read back, an entry must have the same octets again. */
static void make_utf8(uint8_t *data, size_t len)
{
	size_t at = 0;

	if (text_is_utf8(BYTES(data, len)))
		return;
	while (at < len) {
		size_t next = text_utf8_next(BYTES(data + at, len - at));

		if (next == 0)
			data[at] = '?';
		at += next == 0 ? 1 : next;
	}
}

void batch_audit(struct batch *batch, const struct audit_entry *entry)
{
	size_t at = batch->octets.len;

	ledger_write_body(&batch->octets, entry);
	make_utf8(batch->octets.data + at, batch->octets.len - at);
	batch_add_audit(batch, at, 0);
}

void batch_audit_again(struct batch *batch, const struct audit_entry *entry)
{
	size_t at = batch->octets.len;

	/* Exactly as it was told: its hash is known. */
	ledger_write_body(&batch->octets, entry);
	batch_add_audit(batch, at, entry->time_ms);
}

enum err_code ledger_resume_store(
    struct ledger *ledger, struct store *store, struct err *err)
{
	OWNED_WALK(walk);
	enum err_code code = walk_open(&walk, store, err);

	return code == ERR_OK ? walk_head(&walk, ledger, err) : code;
}

enum err_code audit_head(
    struct store *store, struct audit_head *head_out, struct err *err)
{
	OWNED(ledger) ledger = NULL;
	enum err_code code;

	if ((code = ledger_new(&ledger, err)) != ERR_OK ||
	    (code = ledger_resume_store(ledger, store, err)) != ERR_OK)
		return code;
	ledger_head(ledger, head_out);
	return ERR_OK;
}

static uint64_t key_sequence(struct bytes key)
{
	struct reader reader = reader_over(key);

	return reader_u64(&reader);
}

static enum err_code read_one(struct walk *walk, struct ledger_record *entry,
    bool *found_out, struct err *err)
{
	struct record record;
	struct bytes key;
	enum err_code code =
	    walk->ops->cursor_next(walk->cursor, &key, &record, err);

	*found_out = code == ERR_OK && record.revision != 0;
	if (!*found_out)
		return code;
	if (!ledger_parse(record.value, entry) ||
	    !walk_is_place(key, entry->entry.sequence))
		return err_fail(err, ERR_CORRUPT,
		    "audit log: malformed entry where %llu should be",
		    (unsigned long long)key_sequence(key));
	return ERR_OK;
}

enum err_code audit_read(struct store *store, uint64_t from, uint64_t count,
    audit_each *each, void *arg, struct err *err)
{
	OWNED(hasher) hasher = NULL;
	OWNED_WALK(walk);
	enum err_code code;

	if ((code = hasher_new(&hasher, err)) != ERR_OK ||
	    (code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_from(&walk, from, err)) != ERR_OK)
		return code;
	for (uint64_t i = 0; i < count; i++) {
		struct ledger_record it;
		uint8_t leaf[MERKLE_SIZE];
		bool found;

		code = read_one(&walk, &it, &found, err);
		if (code != ERR_OK || !found)
			return code;
		merkle_leaf(hasher, it.octets, leaf);
		if (!each(&it.entry, leaf, arg))
			return ERR_OK;
	}
	return ERR_OK;
}

/* The head, beyond which there must be nothing. */
static enum err_code read_end(
    struct store *store, struct ledger *end, struct err *err)
{
	OWNED_WALK(walk);
	struct record record;
	struct bytes key;
	enum err_code code;

	if ((code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_head(&walk, end, err)) != ERR_OK)
		return code;
	if ((code = walk_from(&walk, ledger_size(end) + 1, err)) != ERR_OK ||
	    (code = walk.ops->cursor_next(walk.cursor, &key, &record, err)) !=
		ERR_OK)
		return code;
	if (record.revision != 0)
		return err_fail(err, ERR_CORRUPT,
		    "audit log: an entry stands beyond the head, which is "
		    "entry %llu",
		    (unsigned long long)ledger_size(end));
	return ERR_OK;
}

/* Follows at most a page of entries, up to number LAST. */
static enum err_code follow_page(struct store *store, struct ledger *ledger,
    uint64_t last, struct err *err)
{
	OWNED_WALK(walk);
	uint64_t at = ledger_size(ledger);
	enum err_code code;

	if ((code = walk_open(&walk, store, err)) != ERR_OK ||
	    (code = walk_from(&walk, at == 0 ? 0 : at + 1, err)) != ERR_OK)
		return code;
	for (unsigned i = 0; i < PAGE_ENTRIES && at < last; i++) {
		struct record record;
		struct bytes key;

		code = walk.ops->cursor_next(walk.cursor, &key, &record, err);
		if (code != ERR_OK)
			return code;
		if (!walk_is_place(key, ++at))
			return err_fail(err, ERR_CORRUPT,
			    "audit entry %llu is missing",
			    (unsigned long long)at);
		code = ledger_follow(ledger, record.value, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* Entries up to the head never change, so that pages may be of different
 * snapshots: only the head is taken once. */
enum err_code audit_verify(
    struct store *store, struct audit_head *head_out, struct err *err)
{
	OWNED(ledger) ledger = NULL;
	OWNED(ledger) end = NULL;
	uint64_t last;
	enum err_code code;

	if ((code = ledger_new(&ledger, err)) != ERR_OK ||
	    (code = ledger_new(&end, err)) != ERR_OK ||
	    (code = read_end(store, end, err)) != ERR_OK)
		return code;
	last = ledger_size(end);
	while (ledger_size(ledger) < last) {
		code = follow_page(store, ledger, last, err);
		if (code != ERR_OK)
			return code;
	}
	if (!ledger_equal(ledger, end))
		return err_fail(err, ERR_CORRUPT,
		    "audit log: the head does not match entry %llu",
		    (unsigned long long)last);
	ledger_head(ledger, head_out);
	return ERR_OK;
}
