// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/certificate.h"
#include "store/key.h"

#define LOOKS_MAX 10000
#define LIMIT_MAX 1000
#define INDEX_VERSION 1
#define EXPIRY_OCTETS 8

/* One walk over the table that narrows the query best. */
struct walk {
	struct store *store;
	const struct certificate_query *query;
	int64_t now;
	enum table table;
	struct key prefix;
	size_t serial_at;	/* where the serial begins in a key */
	struct certificate **certificates;
	size_t count;
};

static void choose_table(struct walk *walk)
{
	if (walk->query->cluster != NULL) {
		walk->table = TABLE_CERTS_BY_CLUSTER;
		key_add_text(&walk->prefix, walk->query->cluster);
		walk->serial_at = walk->prefix.len;
	} else if (walk->query->expires_before != 0 || walk->query->expired) {
		walk->table = TABLE_CERTS_BY_EXPIRY;
		walk->serial_at = EXPIRY_OCTETS;
	} else {
		walk->table = TABLE_CERTIFICATES;
	}
}

static bool matches_state(
    const struct walk *walk, int state, int64_t not_after)
{
	const struct certificate_query *query = walk->query;

	if (query->expires_before != 0 && not_after >= query->expires_before)
		return false;
	if (query->expired)
		return state == CERTIFICATE_VALID && not_after < walk->now;
	if (query->state == CERTIFICATE_VALID && not_after < walk->now)
		return false;
	return query->state == 0 || query->state == state;
}

static bool matches_name(
    const struct certificate *record, const char *name)
{
	const struct names *names = record->names;

	if (name == NULL || (names->common_name != NULL &&
				strcmp(names->common_name, name) == 0))
		return true;
	for (size_t i = 0; i < names->sans_count; i++) {
		if (strcmp(names->sans[i].text, name) == 0)
			return true;
	}
	return false;
}

/* Decides by the index alone where it can; *record_out stays NULL for what does
 * not match. */
static enum err_code fetch(struct walk *walk, const struct serial *serial,
    struct bytes value, struct certificate **record_out, struct err *err)
{
	struct reader in = reader_over(value);
	uint8_t version, state;
	int64_t not_after;

	if (walk->table == TABLE_CERTIFICATES)
		return certificate_read(serial, value, record_out, err);
	version = reader_u8(&in);
	state = reader_u8(&in);
	not_after = reader_i64(&in);
	if (!reader_done(&in) || version != INDEX_VERSION)
		return err_fail(err, ERR_CORRUPT,
		    "index row of a certificate does not decode");
	if (!matches_state(walk, state, not_after))
		return ERR_OK;
	return certificate_find(walk->store, serial, record_out, err);
}

static enum err_code look_at(
    struct walk *walk, struct bytes key, struct bytes value, struct err *err)
{
	OWNED(certificate) record = NULL;
	struct serial serial;
	enum err_code code;

	if (key.len <= walk->serial_at ||
	    !serial_read(BYTES(key.data + walk->serial_at,
			     key.len - walk->serial_at), &serial))
		return err_fail(err, ERR_CORRUPT,
		    "key of a certificate does not hold its serial");
	code = fetch(walk, &serial, value, &record, err);
	if (code != ERR_OK || record == NULL ||
	    !matches_state(walk, (int)record->state, record->not_after) ||
	    !matches_name(record, walk->query->name))
		return code;
	walk->certificates[walk->count++] = GIVE(record);
	return ERR_OK;
}

static void drop_all(struct walk *walk)
{
	while (walk->count > 0)
		certificate_free(walk->certificates[--walk->count]);
}

/* Past the last key that can match, in the table ordered by expiry. */
static bool is_past(const struct walk *walk, struct bytes key)
{
	struct reader in = reader_over(key);
	int64_t not_after, end = walk->query->expires_before;

	if (walk->table != TABLE_CERTS_BY_EXPIRY)
		return false;
	not_after = reader_i64(&in);
	return (end != 0 && not_after >= end) ||
	    (walk->query->expired && not_after >= walk->now);
}

static enum err_code walk_page(
    struct walk *walk, struct scan *scan, struct buf *cursor, struct err *err)
{
	struct bytes key, value;
	enum err_code code;
	bool more;

	for (size_t looks = 0;; looks++) {
		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK)
			return code;
		if (!more || is_past(walk, key)) {
			buf_reset(cursor);
			return ERR_OK;
		}
		if (looks == LOOKS_MAX || walk->count == walk->query->limit)
			return ERR_OK;	/* CURSOR: the key before this */
		buf_reset(cursor);
		buf_put_bytes(cursor, key);
		if ((code = look_at(walk, key, value, err)) != ERR_OK)
			return code;
	}
}

/* Where to begin: the cursor, or in the table by expiry what is still valid. */
static struct bytes begin_after(const struct walk *walk, struct key *first)
{
	const struct certificate_query *query = walk->query;

	if (query->after.len > 0 || query->expired ||
	    walk->table != TABLE_CERTS_BY_EXPIRY ||
	    query->state != CERTIFICATE_VALID)
		return query->after;
	key_add_u64(first, (uint64_t)walk->now);
	return key_bytes(first);
}

enum err_code certificate_list(struct store *store,
    const struct certificate_query *query, struct certificate **certificates,
    size_t *count_out, struct buf *cursor, struct err *err)
{
	struct walk walk = {.store = store, .query = query,
	    .now = clock_now(), .certificates = certificates};
	struct key first = KEY_INIT;
	OWNED(scan) scan = NULL;
	enum err_code code;

	*count_out = 0;
	buf_reset(cursor);
	if (query->limit == 0 || query->limit > LIMIT_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "limit is not from 1 to %d", LIMIT_MAX);
	if (query->cluster != NULL && query->cluster[0] != '\0' &&
	    !text_is_label(query->cluster))
		return err_refuse(err, ERR_BAD_FIELD,
		    "\"%s\" is no name of a cluster",
		    err_quote_str(query->cluster));
	choose_table(&walk);
	if (query->after.len > STORE_KEY_MAX ||
	    (query->after.len > 0 &&
		(query->after.len < walk.prefix.len ||
		    !bytes_equal(BYTES(query->after.data, walk.prefix.len),
			key_bytes(&walk.prefix)))))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cursor does not belong to this query");
	code = scan_open(store, walk.table, key_bytes(&walk.prefix),
	    begin_after(&walk, &first), &scan, err);
	if (code == ERR_OK)
		code = walk_page(&walk, scan, cursor, err);
	if (code != ERR_OK) {
		drop_all(&walk);
		buf_reset(cursor);
		return code;
	}
	*count_out = walk.count;
	return ERR_OK;
}

/* The serials of what is valid now, one behind the other. */
static enum err_code read_identity_index(struct scan *scan, size_t max,
    struct serial *serials, size_t *count, struct err *err)
{
	int64_t now = clock_now();

	while (*count < max) {
		struct bytes key, value;
		enum err_code code;
		bool more;

		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		struct reader in = reader_over(value);
		uint8_t version = reader_u8(&in), state = reader_u8(&in);
		int64_t not_after = reader_i64(&in);

		if (!reader_done(&in) || version != INDEX_VERSION ||
		    key.len <= IDENTITY_ID_SIZE ||
		    !serial_read(BYTES(key.data + IDENTITY_ID_SIZE,
				     key.len - IDENTITY_ID_SIZE),
			&serials[*count]))
			return err_fail(err, ERR_CORRUPT,
			    "index row of an identity does not decode");
		if (state == CERTIFICATE_VALID && not_after >= now)
			(*count)++;
	}
	return ERR_OK;
}

enum err_code certificate_list_identity(struct store *store,
    const uint8_t id[static IDENTITY_ID_SIZE],
    struct certificate **certificates, size_t max, size_t *count_out,
    struct err *err)
{
	struct serial serials[IDENTITY_CERTIFICATES_MAX];
	struct scan *scan = NULL;
	size_t found = 0;
	enum err_code code;

	*count_out = 0;
	if (max > ARRAY_LEN(serials))
		max = ARRAY_LEN(serials);
	code = scan_open(store, TABLE_CERTS_BY_IDENTITY,
	    BYTES(id, IDENTITY_ID_SIZE), BYTES(NULL, 0), &scan, err);
	if (code == ERR_OK)
		code = read_identity_index(scan, max, serials, &found, err);
	scan_close(scan);
	for (size_t i = 0; code == ERR_OK && i < found; i++) {
		code = certificate_get(store, &serials[i],
		    &certificates[*count_out], err);
		*count_out += code == ERR_OK;
	}
	while (code != ERR_OK && *count_out > 0)
		certificate_free(certificates[--*count_out]);
	return code;
}
