// SPDX-License-Identifier: Apache-2.0
/* The engine's one transaction. */
#include "store/lmdb_inside.h"

#include <string.h>

enum err_code lmdb_begin(struct engine *engine,
    struct transaction **transaction_out, struct err *err)
{
	struct lmdb *lmdb = (struct lmdb *)engine;
	struct transaction *transaction = &lmdb->transaction;
	int rc;

	*transaction = (struct transaction){.lmdb = lmdb};
	rc = mdb_txn_begin(lmdb->env, NULL, 0, &transaction->txn);
	if (rc != 0)
		return lmdb_fail(rc, "begin writing", err);
	*transaction_out = transaction;
	return ERR_OK;
}

/*
 * Points the table's cursor at KEY; VALUE gets the stored octets.  A change at
 * the same place then spares the walk from the root.
 */
static int point(struct transaction *transaction, enum table table,
    MDB_val *key, MDB_val *value)
{
	MDB_cursor **cursor = &transaction->cursors[table];
	int rc = 0;

	if (*cursor == NULL)
		rc = mdb_cursor_open(
		    transaction->txn, transaction->lmdb->tables[table], cursor);
	if (rc != 0)
		return rc;
	return mdb_cursor_get(*cursor, key, value, MDB_SET);
}

enum err_code lmdb_look(struct transaction *transaction, enum table table,
    struct bytes key, struct record *record, struct err *err)
{
	MDB_val name = lmdb_val(key);
	MDB_val value;
	int rc = point(transaction, table, &name, &value);

	*record = (struct record){{NULL, 0}, 0};
	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc != 0)
		return lmdb_fail(rc, lmdb_table_names[table], err);
	return lmdb_unpack(&value, record, err);
}

static enum err_code write_record(struct transaction *transaction,
    enum table table, struct bytes key, const struct record *record,
    unsigned flags, struct err *err)
{
	MDB_val name = lmdb_val(key);
	MDB_val value = {REVISION_SIZE + record->value.len, NULL};
	uint8_t *into;
	int rc = mdb_cursor_put(
	    transaction->cursors[table], &name, &value, MDB_RESERVE | flags);

	if (rc == MDB_KEYEXIST)
		return err_fail(err, ERR_CORRUPT,
		    "%s: the next key is not beyond the last",
		    lmdb_table_names[table]);
	if (rc != 0)
		return lmdb_fail(rc, lmdb_table_names[table], err);
	into = value.mv_data;
	for (unsigned i = 0; i < REVISION_SIZE; i++)
		into[i] = (uint8_t)(record->revision >> (56 - 8 * i));
	if (record->value.len > 0)
		memcpy(into + REVISION_SIZE, record->value.data,
		    record->value.len);
	return ERR_OK;
}

enum err_code lmdb_put(struct transaction *transaction, enum table table,
    struct bytes key, struct bytes value, struct err *err)
{
	struct record record;
	enum err_code code = lmdb_look(transaction, table, key, &record, err);

	if (code != ERR_OK)
		return code;
	record.revision++;
	record.value = value;
	return write_record(transaction, table, key, &record, 0, err);
}

/* MDB_APPEND also leaves full pages behind, where put would leave half ones. */
enum err_code lmdb_load(struct transaction *transaction, enum table table,
    struct bytes key, const struct record *record, struct err *err)
{
	int rc = 0;

	if (transaction->cursors[table] == NULL)
		rc = mdb_cursor_open(transaction->txn,
		    transaction->lmdb->tables[table],
		    &transaction->cursors[table]);
	if (rc != 0)
		return lmdb_fail(rc, lmdb_table_names[table], err);
	return write_record(transaction, table, key, record, MDB_APPEND, err);
}

enum err_code lmdb_append(struct transaction *transaction, enum table table,
    struct bytes key, struct bytes value, struct err *err)
{
	const struct record record = {value, 1};

	return lmdb_load(transaction, table, key, &record, err);
}

enum err_code lmdb_erase(struct transaction *transaction, enum table table,
    struct bytes key, struct err *err)
{
	MDB_val name = lmdb_val(key);
	MDB_val value;
	int rc = point(transaction, table, &name, &value);

	if (rc == MDB_NOTFOUND)
		return ERR_OK;
	if (rc == 0)
		rc = mdb_cursor_del(transaction->cursors[table], 0);
	return rc == 0 ? ERR_OK : lmdb_fail(rc, lmdb_table_names[table], err);
}

enum err_code lmdb_commit(struct transaction *transaction, struct err *err)
{
	int rc = mdb_txn_commit(transaction->txn);

	return rc == 0 ? ERR_OK : lmdb_fail(rc, "commit", err);
}

void lmdb_abort(struct transaction *transaction)
{
	mdb_txn_abort(transaction->txn);
}
