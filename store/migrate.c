// SPDX-License-Identifier: Apache-2.0
#include "store/migrate.h"

#include <string.h>

#include "store/batch.h"
#include "store/key.h"
#include "store/ledger.h"

#define HEAD_FORMAT_V1 1

/* The head record of version 1. */
struct end {
	uint64_t sequence;
	int64_t time_ms;
	uint8_t hash[32];
};

static enum err_code read_end(const struct engine_ops *ops,
    struct transaction *tx, struct end *end, struct err *err)
{
	struct record record;
	struct reader reader;
	enum err_code code = ops->look(
	    tx, TABLE_META, BYTES_STR(STORE_META_AUDIT), &record, err);

	*end = (struct end){0};
	if (code != ERR_OK || record.revision == 0)
		return code;
	reader = reader_over(record.value);
	if (reader_u8(&reader) != HEAD_FORMAT_V1)
		return err_fail(err, ERR_CORRUPT, "audit head: unknown format");
	end->sequence = reader_u64(&reader);
	end->time_ms = reader_i64(&reader);
	reader_copy(&reader, end->hash, sizeof(end->hash));
	if (!reader_done(&reader))
		return err_fail(err, ERR_CORRUPT, "audit head: malformed");
	return ERR_OK;
}

struct move {
	const struct engine_ops *ops;
	struct transaction *tx;
	struct ledger *ledger;
	uint8_t head[32];
	struct buf body, record;
};

static void move_end(struct move *move)
{
	ledger_free(move->ledger);
	buf_free(&move->body);
	buf_free(&move->record);
}

static enum err_code move_entry(
    struct move *move, uint64_t sequence, struct err *err)
{
	struct ledger_record old;
	struct record record;
	struct key key = {.len = 0};
	enum err_code code;

	key_add_u64(&key, sequence);
	code = move->ops->look(
	    move->tx, TABLE_AUDIT, key_bytes(&key), &record, err);
	if (code != ERR_OK)
		return code;
	if (record.revision == 0)
		return err_fail(err, ERR_CORRUPT, "audit entry %llu is missing",
		    (unsigned long long)sequence);
	if (!ledger_follow_v1(
		move->ledger, record.value, move->head, &old))
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is changed, or out of order",
		    (unsigned long long)sequence);
	buf_reset(&move->body);
	buf_put_bytes(&move->body, old.octets);
	ledger_append(move->ledger, buf_bytes(&move->body), old.entry.time_ms,
	    &move->record);
	return move->ops->put(move->tx, TABLE_AUDIT, key_bytes(&key),
	    buf_bytes(&move->record), err);
}

enum err_code migrate_audit(
    const struct engine_ops *ops, struct transaction *tx, struct err *err)
{
	__attribute__((cleanup(move_end))) struct move move = {
	    .ops = ops, .tx = tx};
	struct end end;
	enum err_code code;

	if ((code = read_end(ops, tx, &end, err)) != ERR_OK ||
	    (code = ledger_new(&move.ledger, err)) != ERR_OK)
		return code;
	for (uint64_t i = 1; i <= end.sequence; i++)
		if ((code = move_entry(&move, i, err)) != ERR_OK)
			return code;
	if (memcmp(move.head, end.hash, sizeof(end.hash)) != 0 ||
	    ledger_time_ms(move.ledger) != end.time_ms)
		return err_fail(err, ERR_CORRUPT,
		    "audit log: the head does not match entry %llu",
		    (unsigned long long)end.sequence);
	if (end.sequence == 0)
		return ERR_OK;
	buf_reset(&move.record);
	ledger_write_head(move.ledger, &move.record);
	return ops->put(tx, TABLE_META, BYTES_STR(STORE_META_AUDIT),
	    buf_bytes(&move.record), err);
}
