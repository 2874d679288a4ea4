// SPDX-License-Identifier: Apache-2.0
#include "store/sealer.h"

#include <stdlib.h>

#include "store/batch.h"
#include "store/table.h"

struct sealer {
	const struct engine_ops *ops;
	struct engine *engine;
	struct seal *seal;
	struct tally *durable; /* what the store has */
	struct tally *now; /* in this transaction */
	bool touched; /* in this transaction */
	struct pass *pass;
	struct buf durable_head; /* of the audit log, as last bound */
	struct buf head; /* and in this transaction */
	struct buf stored; /* a value's stored form, between uses */
};

enum err_code sealer_new(struct engine *engine, struct seal *seal,
    struct sealer **sealer_out, struct err *err)
{
	OWNED(sealer) sealer = mem_zalloc(sizeof(*sealer));
	enum err_code code;

	sealer->ops = engine->ops;
	sealer->engine = engine;
	sealer->seal = seal;
	if ((code = tally_new(seal, &sealer->durable, err)) != ERR_OK ||
	    (code = tally_new(seal, &sealer->now, err)) != ERR_OK ||
	    (code = pass_new(engine, seal, &sealer->pass, err)) != ERR_OK)
		return code;
	*sealer_out = GIVE(sealer);
	return ERR_OK;
}

void sealer_free(struct sealer *sealer)
{
	if (sealer == NULL)
		return;
	tally_free(sealer->durable);
	tally_free(sealer->now);
	pass_free(sealer->pass);
	buf_free(&sealer->durable_head);
	buf_free(&sealer->head);
	buf_free(&sealer->stored);
	free(sealer);
}

/* ---- the tally's own record ---- */

static struct row tally_row(uint64_t revision, struct bytes head)
{
	return (struct row){.table = TABLE_META,
	    .key = BYTES_STR(STORE_META_TALLY),
	    .revision = revision,
	    .bound = head};
}

enum err_code sealer_read_tally(struct seal *seal, struct engine *engine,
    struct snapshot *snapshot, struct tally *tally, struct err *err)
{
	OWNED_BUF(octets);
	struct record head, record;
	enum err_code code;

	if ((code = engine->ops->find(snapshot, TABLE_META,
		 BYTES_STR(STORE_META_AUDIT), &head, err)) != ERR_OK ||
	    (code = engine->ops->find(snapshot, TABLE_META,
		 BYTES_STR(STORE_META_TALLY), &record, err)) != ERR_OK)
		return code;
	struct row row = tally_row(record.revision, head.value);
	code = seal_open(seal, &row, record.value, &octets, err);
	if (code == ERR_CORRUPT)
		return err_fail(err, ERR_CORRUPT,
		    "the tally of the rows does not open with the head of the "
		    "audit log: another key, or one of the two was changed or "
		    "rolled back");
	if (code == ERR_OK && !tally_read(tally, buf_bytes(&octets)))
		return err_fail(
		    err, ERR_CORRUPT, "the tally of the rows is malformed");
	return code;
}

enum err_code sealer_resume(struct sealer *sealer, struct err *err)
{
	struct snapshot *snapshot;
	struct record head;
	enum err_code code =
	    sealer->ops->snapshot_open(sealer->engine, &snapshot, err);

	if (code != ERR_OK)
		return code;
	code = sealer_read_tally(
	    sealer->seal, sealer->engine, snapshot, sealer->durable, err);
	if (code == ERR_OK)
		code = sealer->ops->find(snapshot, TABLE_META,
		    BYTES_STR(STORE_META_AUDIT), &head, err);
	if (code == ERR_OK) {
		buf_reset(&sealer->durable_head);
		buf_put_bytes(&sealer->durable_head, head.value);
	}
	sealer->ops->snapshot_close(snapshot);
	return code;
}

/* ---- a transaction ---- */

void sealer_begin(struct sealer *sealer)
{
	tally_copy(sealer->now, sealer->durable);
	pass_begin(sealer->pass);
	sealer->touched = false;
}

/* Takes the row as it is now out of the tally.  *REVISION_OUT: which it is. */
static enum err_code drop_present(struct sealer *sealer, struct transaction *tx,
    const struct row *row, uint64_t *revision_out, struct err *err)
{
	struct row present = *row;
	struct record record;
	enum err_code code =
	    sealer->ops->look(tx, row->table, row->key, &record, err);

	if (code != ERR_OK)
		return code;
	*revision_out = present.revision = record.revision;
	if (record.revision == 0)
		return ERR_OK;
	sealer->touched = true;
	code = tally_drop(sealer->now, &present, record.value, err);
	if (code == ERR_OK)
		pass_note(sealer->pass, &present, sealer->now);
	return code;
}

/* Counts ROW and gives what is to be stored of it, which lives until the next
 * use of the sealer, or as long as VALUE. */
static enum err_code enter(struct sealer *sealer, const struct row *row,
    struct bytes value, struct bytes *stored_out, struct err *err)
{
	enum err_code code = ERR_OK;

	*stored_out = value;
	if (table_rule(row->table) == TABLE_RULE_SEALED) {
		code =
		    seal_close(sealer->seal, row, value, &sealer->stored, err);
		*stored_out = buf_bytes(&sealer->stored);
	}
	if (code != ERR_OK)
		return code;
	sealer->touched = true;
	code = tally_add(sealer->now, row, *stored_out, err);
	if (code == ERR_OK)
		pass_note(sealer->pass, row, sealer->now);
	return code;
}

enum err_code sealer_put(struct sealer *sealer, struct transaction *tx,
    const struct row *row, struct bytes value, struct err *err)
{
	struct row next = *row;
	struct bytes stored = value;
	enum err_code code;

	if (table_rule(row->table) != TABLE_RULE_PLAIN) {
		code = drop_present(sealer, tx, row, &next.revision, err);
		if (code != ERR_OK)
			return code;
		next.revision++;
		code = enter(sealer, &next, value, &stored, err);
		if (code != ERR_OK)
			return code;
	}
	return sealer->ops->put(tx, row->table, row->key, stored, err);
}

enum err_code sealer_erase(struct sealer *sealer, struct transaction *tx,
    const struct row *row, struct err *err)
{
	uint64_t revision;
	enum err_code code = ERR_OK;

	if (table_rule(row->table) != TABLE_RULE_PLAIN)
		code = drop_present(sealer, tx, row, &revision, err);
	if (code != ERR_OK)
		return code;
	return sealer->ops->erase(tx, row->table, row->key, err);
}

enum err_code sealer_load(struct sealer *sealer, struct transaction *tx,
    const struct row *row, struct bytes value, struct err *err)
{
	struct record record = {value, row->revision};
	enum err_code code = ERR_OK;

	if (table_rule(row->table) != TABLE_RULE_PLAIN)
		code = enter(sealer, row, value, &record.value, err);
	if (code != ERR_OK)
		return code;
	return sealer->ops->load(tx, row->table, row->key, &record, err);
}

/* *MOVED_OUT: the log has another head than the one last bound. */
static enum err_code read_head(struct sealer *sealer, struct transaction *tx,
    bool *moved_out, struct err *err)
{
	struct record head;
	enum err_code code = sealer->ops->look(
	    tx, TABLE_META, BYTES_STR(STORE_META_AUDIT), &head, err);

	if (code != ERR_OK)
		return code;
	buf_reset(&sealer->head);
	buf_put_bytes(&sealer->head, head.value);
	*moved_out = !bytes_equal(
	    buf_bytes(&sealer->head), buf_bytes(&sealer->durable_head));
	return ERR_OK;
}

enum err_code sealer_end(
    struct sealer *sealer, struct transaction *tx, struct err *err)
{
	OWNED_BUF(octets);
	struct record record;
	bool moved;
	enum err_code code;

	if ((code = read_head(sealer, tx, &moved, err)) != ERR_OK ||
	    (code = sealer->ops->look(tx, TABLE_META,
		 BYTES_STR(STORE_META_TALLY), &record, err)) != ERR_OK)
		return code;
	if (!moved && !sealer->touched && record.revision != 0)
		return ERR_OK;
	struct row row =
	    tally_row(record.revision + 1, buf_bytes(&sealer->head));
	tally_write(sealer->now, &octets);
	if ((code = seal_close(sealer->seal, &row, buf_bytes(&octets),
		 &sealer->stored, err)) != ERR_OK)
		return code;
	return sealer->ops->put(
	    tx, row.table, row.key, buf_bytes(&sealer->stored), err);
}

void sealer_committed(struct sealer *sealer)
{
	tally_copy(sealer->durable, sealer->now);
	pass_committed(sealer->pass);
	buf_reset(&sealer->durable_head);
	buf_put_bytes(&sealer->durable_head, buf_bytes(&sealer->head));
}

/* ---- between transactions ---- */

enum err_code sealer_pass(
    struct sealer *sealer, struct pass_step *step, struct err *err)
{
	return pass_take(sealer->pass, sealer->durable, step, err);
}
