// SPDX-License-Identifier: Apache-2.0
/* What is kept only for a while goes here once nobody can ask for it. */
#include "ca/inside.h"

#include "base/clock.h"

#define PAGE_ROWS 1024		/* rows looked at in one call */
#define DIGEST_OCTETS 32
/* A row is kept so much longer than the window: a request may have waited. */
#define MARGIN 3600		/* seconds */

/* The last serial that a request was given tells when that was. */
static bool is_old(struct bytes row, int64_t before)
{
	struct serial serial;
	int64_t drawn;

	if (row.len < 2 || row.data[0] != REPEAT_VERSION ||
	    !serial_read(BYTES(row.data + 1, row.len - 1), &serial))
		return false;
	return serial_time(&serial, &drawn) && drawn < before;
}

/* Gathers the keys of old rows of one page, and moves CURSOR to its end. */
static enum err_code find_old(struct store *store, int64_t before,
    struct buf *cursor, struct buf *keys, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct bytes key, row;
	bool more;
	enum err_code code = scan_open(store, TABLE_CERTS_BY_REQUEST,
	    BYTES(NULL, 0), buf_bytes(cursor), &scan, err);

	for (int i = 0; code == ERR_OK && i < PAGE_ROWS; i++) {
		code = scan_next(scan, &key, &row, &more, err);
		if (code != ERR_OK)
			return code;
		buf_reset(cursor);
		if (!more)
			return ERR_OK;
		buf_put_bytes(cursor, key);
		if (key.len == DIGEST_OCTETS && is_old(row, before))
			buf_put_bytes(keys, key);
	}
	return code;
}

/* Under its revision: the same request may be answered anew meanwhile. */
static enum err_code add_delete(struct store *store, struct batch *batch,
    struct bytes key, int64_t before, struct err *err)
{
	OWNED_BUF(row);
	uint64_t revision;
	bool found;
	enum err_code code = store_find(store, TABLE_CERTS_BY_REQUEST, key,
	    &row, &revision, &found, err);

	if (code != ERR_OK || !found || !is_old(buf_bytes(&row), before))
		return code;
	batch_require_revision(batch, TABLE_CERTS_BY_REQUEST, key, revision);
	batch_delete(batch, TABLE_CERTS_BY_REQUEST, key);
	return ERR_OK;
}

enum err_code ca_prune(struct ca *ca, struct buf *cursor, struct err *err)
{
	struct store *store = ca_store(ca);
	int64_t before =
	    clock_now() - ca_config(ca)->repeat_window - MARGIN;
	OWNED(batch) batch = batch_new();
	OWNED_BUF(keys);
	enum err_code code = find_old(store, before, cursor, &keys, err);

	for (size_t at = 0; code == ERR_OK && at < keys.len;
	     at += DIGEST_OCTETS)
		code = add_delete(store, batch,
		    BYTES(keys.data + at, DIGEST_OCTETS), before, err);
	if (code != ERR_OK || batch_is_empty(batch))
		return code;
	return store_commit(store, batch, err);
}
