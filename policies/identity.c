// SPDX-License-Identifier: Apache-2.0
#include "policies/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policies/record.h"

#define ROLES_KNOWN ((uint32_t)(ROLE_ALL_HUMAN | ROLE_NODE))

void identity_free(struct identity *identity)
{
	if (identity == NULL)
		return;
	free(identity->name);
	free(identity->cluster);
	free(identity);
}

void identity_write(const struct identity *identity, struct buf *out)
{
	buf_put_u8(out, RECORD_VERSION);
	buf_put_lv_str(out, identity->name);
	buf_put_u32(out, identity->roles);
	buf_put_lv_str(out, identity->cluster);
	buf_put_lv(out, BYTES(identity->serial, identity->serial_len));
	buf_put_i64(out, identity->created);
}

static void read_serial(struct reader *reader, struct identity *identity)
{
	struct bytes serial = reader_lv(reader);

	if (serial.len == 0 || serial.len > SERIAL_MAX) {
		reader->failed = true;
		return;
	}
	memcpy(identity->serial, serial.data, serial.len);
	identity->serial_len = serial.len;
}

bool identity_read(const uint8_t id[static IDENTITY_ID_SIZE],
    struct bytes record, struct identity **identity_out)
{
	OWNED(identity) identity = mem_zalloc(sizeof(*identity));
	struct reader reader = reader_over(record);
	OWNED_STR(cluster) = NULL;

	if (reader_u8(&reader) != RECORD_VERSION)
		return false;
	memcpy(identity->id, id, IDENTITY_ID_SIZE);
	identity->name = reader_lv_str(&reader);
	identity->roles = reader_u32(&reader);
	cluster = reader_lv_str(&reader);
	read_serial(&reader, identity);
	identity->created = reader_i64(&reader);
	if (!reader_done(&reader) || (identity->roles & ~ROLES_KNOWN) != 0)
		return false;
	if (cluster[0] != '\0' && !text_is_label(cluster))
		return false;
	/* An empty name of a cluster stands for none. */
	if (cluster[0] != '\0')
		identity->cluster = GIVE(cluster);
	*identity_out = GIVE(identity);
	return true;
}

void identity_create(struct batch *batch, const struct identity *identity)
{
	OWNED_BUF(record);

	identity_write(identity, &record);
	batch_require_absent(batch, TABLE_IDENTITIES, BYTES_OF(identity->id));
	batch_put(batch, TABLE_IDENTITIES, BYTES_OF(identity->id),
	    buf_bytes(&record));
}

static enum err_code read_page(struct scan *scan, size_t limit,
    struct identity **identities, size_t *count, struct err *err)
{
	while (*count < limit) {
		struct bytes key, value;
		enum err_code code;
		bool more;

		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		if (key.len != IDENTITY_ID_SIZE ||
		    !identity_read(key.data, value, &identities[*count]))
			return err_fail(err, ERR_CORRUPT,
			    "record of identity %s cannot be read",
			    err_quote(key.data, key.len));
		(*count)++;
	}
	return ERR_OK;
}

enum err_code identity_list(struct store *store, const uint8_t *after,
    size_t limit, struct identity **identities, size_t *count_out,
    struct err *err)
{
	OWNED(scan) scan = NULL;
	enum err_code code;

	*count_out = 0;
	code = scan_open(store, TABLE_IDENTITIES, BYTES(NULL, 0),
	    BYTES(after, after == NULL ? 0 : IDENTITY_ID_SIZE), &scan, err);
	if (code == ERR_OK)
		code = read_page(scan, limit, identities, count_out, err);
	while (code != ERR_OK && *count_out > 0)
		identity_free(identities[--*count_out]);
	return code;
}
