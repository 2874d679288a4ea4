// SPDX-License-Identifier: Apache-2.0
/* What is kept only for a while goes here once nobody can ask for it. */
#include "ca/inside.h"

#include "base/clock.h"

#define PAGE_ROWS 1024		/* rows looked at in one call */
/* A row is kept so much longer than the window: a request may have waited. */
#define REQUEST_MARGIN 3600	/* seconds */
/* And so much longer than the certificate, lest a clock that was ahead and is set
 * right leaves a valid one unknown to its identity's revocation. */
#define IDENTITY_MARGIN 86400	/* seconds */

/* Rows of TABLE that tell a time before BEFORE. */
struct pruning {
	struct store *store;
	enum table table;
	bool (*is_old)(struct bytes row, int64_t before);
	int64_t before;
};

/* The last serial that a request was given tells when that was. */
static bool is_old_request(struct bytes row, int64_t before)
{
	struct serial serial;
	int64_t drawn;

	if (row.len < 2 || row.data[0] != REPEAT_VERSION ||
	    !serial_read(BYTES(row.data + 1, row.len - 1), &serial))
		return false;
	return serial_time(&serial, &drawn) && drawn < before;
}

static bool has_ended(struct bytes row, int64_t before)
{
	int64_t not_after;

	return certificate_index_end(row, &not_after) && not_after < before;
}

/* Gathers the keys of old rows of one page, and moves CURSOR to its end. */
static enum err_code find_old(const struct pruning *it, struct buf *cursor,
    struct buf *keys, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct bytes key, row;
	bool more;
	enum err_code code = scan_open(it->store, it->table, BYTES(NULL, 0),
	    buf_bytes(cursor), &scan, err);

	for (int i = 0; code == ERR_OK && i < PAGE_ROWS; i++) {
		code = scan_next(scan, &key, &row, &more, err);
		if (code != ERR_OK)
			return code;
		buf_reset(cursor);
		if (!more)
			return ERR_OK;
		buf_put_bytes(cursor, key);
		if (it->is_old(row, it->before))
			buf_put_lv(keys, key);
	}
	return code;
}

/* Under its revision: the same request may be answered anew meanwhile. */
static enum err_code add_delete(const struct pruning *it, struct batch *batch,
    struct bytes key, struct err *err)
{
	OWNED_BUF(row);
	uint64_t revision;
	bool found;
	enum err_code code = store_find(
	    it->store, it->table, key, &row, &revision, &found, err);

	if (code != ERR_OK || !found || !it->is_old(buf_bytes(&row), it->before))
		return code;
	batch_require_revision(batch, it->table, key, revision);
	batch_delete(batch, it->table, key);
	return ERR_OK;
}

static enum err_code prune(
    const struct pruning *it, struct buf *cursor, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_BUF(keys);
	enum err_code code = find_old(it, cursor, &keys, err);
	struct reader left = reader_over(buf_bytes(&keys));

	while (code == ERR_OK && !reader_done(&left))
		code = add_delete(it, batch, reader_lv(&left), err);
	if (code != ERR_OK || batch_is_empty(batch))
		return code;
	return store_commit(it->store, batch, err);
}

enum err_code ca_prune(struct ca *ca, struct buf *cursor, struct err *err)
{
	const struct pruning requests = {ca_store(ca), TABLE_CERTS_BY_REQUEST,
	    is_old_request,
	    clock_now() - ca_config(ca)->repeat_window - REQUEST_MARGIN};

	return prune(&requests, cursor, err);
}

enum err_code ca_prune_identities(
    struct ca *ca, struct buf *cursor, struct err *err)
{
	const struct pruning ended = {ca_store(ca), TABLE_CERTS_BY_IDENTITY,
	    has_ended, clock_now() - IDENTITY_MARGIN};

	return prune(&ended, cursor, err);
}
