// SPDX-License-Identifier: Apache-2.0
#include "raw.h"

#include <lmdb.h>

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

static struct raw begin(struct fixture *f, const char *table)
{
	struct raw raw;

	assert_null(f->store);
	assert_int_equal(mdb_env_create(&raw.env), 0);
	assert_int_equal(mdb_env_set_maxdbs(raw.env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_set_mapsize(raw.env, 1 << 30), 0);
	assert_int_equal(mdb_env_open(raw.env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(raw.env, NULL, 0, &raw.txn), 0);
	assert_int_equal(mdb_dbi_open(raw.txn, table, 0, &raw.dbi), 0);
	return raw;
}

static void end(struct raw *raw)
{
	assert_int_equal(mdb_txn_commit(raw->txn), 0);
	mdb_env_close(raw->env);
}

static MDB_val val(struct bytes bytes)
{
	return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

void raw_get(
    struct fixture *f, const char *table, struct bytes key, struct buf *row)
{
	struct raw raw = begin(f, table);
	MDB_val name = val(key), value;

	assert_int_equal(mdb_get(raw.txn, raw.dbi, &name, &value), 0);
	buf_reset(row);
	buf_put(row, value.mv_data, value.mv_size);
	end(&raw);
}

void raw_put(
    struct fixture *f, const char *table, struct bytes key, struct bytes row)
{
	struct raw raw = begin(f, table);
	MDB_val name = val(key), value = val(row);

	assert_int_equal(mdb_put(raw.txn, raw.dbi, &name, &value, 0), 0);
	end(&raw);
}

void raw_delete(struct fixture *f, const char *table, struct bytes key)
{
	struct raw raw = begin(f, table);
	MDB_val name = val(key);

	assert_int_equal(mdb_del(raw.txn, raw.dbi, &name, NULL), 0);
	end(&raw);
}
