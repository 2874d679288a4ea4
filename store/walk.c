// SPDX-License-Identifier: Apache-2.0
#include "store/walk.h"

#include "store/batch.h"
#include "store/inside.h"
#include "store/key.h"

void walk_close(struct walk *walk)
{
	if (walk->cursor != NULL)
		walk->ops->cursor_close(walk->cursor);
	if (walk->snapshot != NULL)
		walk->ops->snapshot_close(walk->snapshot);
}

enum err_code walk_open(
    struct walk *walk, struct store *store, struct err *err)
{
	if (store->is_old)
		return err_refuse(err, ERR_CONFIG,
		    "the audit log is of an older version: opening its store "
		    "for writing, as signetd does, brings it up to date");
	walk->ops = store->engine->ops;
	return walk->ops->snapshot_open(store->engine, &walk->snapshot, err);
}

enum err_code walk_from(
    struct walk *walk, uint64_t sequence, struct err *err)
{
	struct key key = {.len = 0};

	if (sequence > 0)
		key_add_u64(&key, sequence);
	return walk->ops->cursor_open(
	    walk->snapshot, TABLE_AUDIT, key_bytes(&key), &walk->cursor, err);
}

enum err_code walk_head(
    struct walk *walk, struct ledger *ledger, struct err *err)
{
	struct record record;
	enum err_code code = walk->ops->find(walk->snapshot, TABLE_META,
	    BYTES_STR(STORE_META_AUDIT), &record, err);

	if (code != ERR_OK)
		return code;
	return ledger_resume(ledger, record.value, err);
}

enum err_code walk_entry(struct walk *walk, uint64_t sequence,
    struct ledger_record *record_out, struct err *err)
{
	struct record record;
	struct key key = {.len = 0};
	enum err_code code;

	key_add_u64(&key, sequence);
	code = walk->ops->find(
	    walk->snapshot, TABLE_AUDIT, key_bytes(&key), &record, err);
	if (code != ERR_OK)
		return code;
	if (record.revision == 0 ||
	    !ledger_parse(record.value, record_out) ||
	    record_out->entry.sequence != sequence)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is missing or malformed",
		    (unsigned long long)sequence);
	return ERR_OK;
}

bool walk_is_place(struct bytes key, uint64_t sequence)
{
	struct key want = {.len = 0};

	key_add_u64(&want, sequence);
	return bytes_equal(key, key_bytes(&want));
}
