// SPDX-License-Identifier: Apache-2.0
#include "policies/row.h"

#include <stdlib.h>

#include "base/text.h"

static char *name_of(const struct row_kind *kind, struct bytes key)
{
	if (kind->id_size == 0 && key.len > 0)
		return mem_strdup(err_quote(key.data, key.len - 1));
	return hex_new(key.data, key.len);
}

static enum err_code read_row(const struct row_kind *kind, struct bytes key,
    struct bytes record, uint64_t revision, void *slot, struct err *err)
{
	if ((kind->id_size == 0 || key.len == kind->id_size) &&
	    kind->read(key, record, revision, slot))
		return ERR_OK;
	OWNED_STR(name) = name_of(kind, key);

	return err_fail(err, ERR_CORRUPT, "record of %s %s cannot be read",
	    kind->name, name);
}

enum err_code row_find(struct store *store, const struct row_kind *kind,
    struct bytes key, void *slot, bool *found_out, struct err *err)
{
	uint64_t revision = 0;
	OWNED_BUF(record);
	enum err_code code;

	*found_out = false;
	code = store_find(
	    store, kind->table, key, &record, &revision, found_out, err);
	if (code != ERR_OK || !*found_out)
		return code;
	return read_row(kind, key, buf_bytes(&record), revision, slot, err);
}

enum err_code row_get(struct store *store, const struct row_kind *kind,
    const uint8_t *id, void *slot, struct err *err)
{
	bool found = false;
	enum err_code code = row_find(
	    store, kind, BYTES(id, kind->id_size), slot, &found, err);

	if (code != ERR_OK || found)
		return code;
	OWNED_STR(name) = hex_new(id, kind->id_size);

	return err_refuse(
	    err, ERR_NOT_FOUND, "there is no %s %s", kind->name, name);
}

static void *slot_at(const struct row_page *page, size_t index)
{
	return (uint8_t *)page->slots + index * sizeof(void *);
}

static enum err_code read_page(struct scan *scan, const struct row_kind *kind,
    struct row_page *page, struct err *err)
{
	while (page->count < page->limit) {
		struct bytes key, record;
		enum err_code code;
		bool more;

		code = scan_next(scan, &key, &record, &more, err);
		if (code != ERR_OK || !more)
			return code;
		code = read_row(
		    kind, key, record, 0, slot_at(page, page->count), err);
		if (code != ERR_OK)
			return code;
		page->count++;
	}
	return ERR_OK;
}

enum err_code row_list(struct store *store, const struct row_kind *kind,
    struct row_page *page, struct err *err)
{
	OWNED(scan) scan = NULL;
	enum err_code code;

	page->count = 0;
	code = scan_open(
	    store, kind->table, BYTES(NULL, 0), page->after, &scan, err);
	if (code == ERR_OK)
		code = read_page(scan, kind, page, err);
	while (code != ERR_OK && page->count > 0)
		kind->drop(slot_at(page, --page->count));
	return code;
}
