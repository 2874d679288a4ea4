// SPDX-License-Identifier: Apache-2.0
#include "ca/crl.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/der.h"
#include "store/audit.h"
#include "store/key.h"

#define ROW_FORMAT 1
#define ROW_HEADER 33		/* octets before the DER */
#define PAGE_ROWS 4096		/* rows read on one snapshot */
#define LISTED_MARGIN 3600	/* seconds; longer than any commit takes */
#define HEADER_MAX 10		/* octets of a DER header */
#define TIME_MAX 17		/* octets of a Time */

/* id-ce-cRLReasons as a whole crlEntryExtensions (RFC 5280 5.3.1), but for its
 * last octet. */
static const uint8_t reason_extension[] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03,
    0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01};
static const uint8_t oid_authority_key_id[] = {0x06, 0x03, 0x55, 0x1d, 0x23};
static const uint8_t oid_crl_number[] = {0x06, 0x03, 0x55, 0x1d, 0x14};

/* ---- the object and its record ---- */

struct crl *crl_ref(struct crl *crl)
{
	if (crl != NULL)
		atomic_fetch_add(&crl->refs, 1);
	return crl;
}

void crl_free(struct crl *crl)
{
	if (crl == NULL || atomic_fetch_sub(&crl->refs, 1) != 1)
		return;
	free(crl->issuer);
	free(crl->etag);
	buf_free(&crl->row);
	free(crl);
}

static struct crl *crl_new(const char *issuer)
{
	struct crl *crl = mem_zalloc(sizeof(*crl));

	crl->issuer = mem_strdup(issuer);
	atomic_init(&crl->refs, 1);
	return crl;
}

static struct key row_key(const char *issuer)
{
	struct key key = KEY_INIT;

	key_add_text(&key, issuer);
	return key;
}

static void put_row_header(const struct crl *crl, struct buf *out)
{
	buf_put_u8(out, ROW_FORMAT);
	buf_put_u64(out, crl->number);
	buf_put_i64(out, crl->this_update);
	buf_put_i64(out, crl->next_update);
	buf_put_u64(out, crl->entries);
}

static enum err_code set_etag(struct crl *crl, struct err *err)
{
	uint8_t digest[32];
	char text[2 * sizeof(digest) + 1];

	if (EVP_Digest(crl->der, crl->der_len, digest, NULL, EVP_sha256(),
		NULL) != 1)
		return err_fail_crypto(err, "EVP_Digest");
	crl->etag = mem_printf("\"%s\"", hex_write(digest, sizeof(digest), text));
	return ERR_OK;
}

static bool take_row(struct crl *crl)
{
	struct reader reader = reader_over(buf_bytes(&crl->row));
	uint8_t format = reader_u8(&reader);
	struct bytes der;

	crl->number = reader_u64(&reader);
	crl->this_update = reader_i64(&reader);
	crl->next_update = reader_i64(&reader);
	crl->entries = reader_u64(&reader);
	der = reader_take(&reader, reader.left);
	crl->der = der.data;
	crl->der_len = der.len;
	return format == ROW_FORMAT && !reader.failed;
}

/* A row without a CRL tells only what the next one must be above. */
static bool is_floor(const struct crl *crl)
{
	return crl->der_len == 0;
}

/* Also a floor. */
static enum err_code read_row(const char *issuer, struct buf *row,
    struct crl **crl_out, struct err *err)
{
	OWNED(crl) crl = crl_new(issuer);
	enum err_code code;

	crl->row = buf_give(row);
	if (!take_row(crl))
		return err_fail(err, ERR_CORRUPT, "CRL record of %s", issuer);
	if (!is_floor(crl) && (code = set_etag(crl, err)) != ERR_OK)
		return code;
	*crl_out = GIVE(crl);
	return ERR_OK;
}

enum err_code crl_read(const char *issuer, struct buf *row,
    struct crl **crl_out, struct err *err)
{
	OWNED(crl) crl = NULL;
	enum err_code code = read_row(issuer, row, &crl, err);

	if (code == ERR_OK && is_floor(crl))
		return err_fail(err, ERR_CORRUPT, "CRL record of %s", issuer);
	if (code == ERR_OK)
		*crl_out = GIVE(crl);
	return code;
}

/* As crl_find, also a floor. */
static enum err_code find_row(struct store *store, const char *issuer,
    struct crl **crl_out, struct err *err)
{
	struct key key = row_key(issuer);
	OWNED_BUF(row);
	uint64_t revision;
	enum err_code code;
	bool found;

	*crl_out = NULL;
	code = store_find(store, TABLE_CRLS, key_bytes(&key), &row, &revision,
	    &found, err);
	if (code != ERR_OK || !found)
		return code;
	if ((code = read_row(issuer, &row, crl_out, err)) == ERR_OK)
		(*crl_out)->revision = revision;
	return code;
}

enum err_code crl_find(struct store *store, const char *issuer,
    struct crl **crl_out, struct err *err)
{
	OWNED(crl) crl = NULL;
	enum err_code code = find_row(store, issuer, &crl, err);

	*crl_out = NULL;
	if (code == ERR_OK && crl != NULL && !is_floor(crl))
		*crl_out = GIVE(crl);
	return code;
}

enum err_code crl_number(struct store *store, const char *issuer,
    uint64_t *number_out, struct err *err)
{
	OWNED(crl) crl = NULL;
	enum err_code code = find_row(store, issuer, &crl, err);

	*number_out = crl == NULL ? 0 : crl->number;
	return code;
}

enum err_code crl_lift(struct store *store, const char *issuer,
    const struct crl_floor *floor, struct batch *batch, struct err *err)
{
	OWNED(crl) stored = NULL;
	OWNED(crl) lifted = crl_new(issuer);
	struct key key = row_key(issuer);
	OWNED_BUF(row);
	enum err_code code = find_row(store, issuer, &stored, err);

	if (code != ERR_OK)
		return code;
	lifted->number = floor->number;
	lifted->this_update = floor->this_update;
	if (stored != NULL && stored->number > lifted->number)
		lifted->number = stored->number;
	if (stored != NULL && stored->this_update > lifted->this_update)
		lifted->this_update = stored->this_update;
	if (lifted->number > CRL_NUMBER_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "%llu is no number that a CRL of %s can have had",
		    (unsigned long long)lifted->number, issuer);
	lifted->next_update = lifted->this_update;
	put_row_header(lifted, &row);
	batch_require_revision(batch, TABLE_CRLS, key_bytes(&key),
	    stored == NULL ? 0 : stored->revision);
	batch_put(batch, TABLE_CRLS, key_bytes(&key), buf_bytes(&row));
	return ERR_OK;
}

/* ---- building ---- */

/* A CRL in the making: revoked certificates are streamed behind a gap that
 * what stands before them, whose lengths are known last, fits into. */
struct build {
	struct store *store;
	const struct issuer *issuer;
	struct key prefix;		/* of its rows in REVOKED */
	int64_t listed_by;		/* entries expired and revoked before
					 * this have been listed */
	struct crl *crl;
	size_t gap;
	size_t entries_len;		/* octets */
	struct buf scratch;
};

static void put_entry(struct build *build, const struct revocation *row)
{
	struct buf *body = &build->scratch;

	buf_reset(body);
	der_put_unsigned(body, serial_bytes(&row->serial));
	der_put_time(body, row->revoked);
	if (row->reason != 0) {	/* unspecified is said by silence */
		buf_put(body, reason_extension, sizeof(reason_extension));
		buf_put_u8(body, row->reason);
	}
	der_put(&build->crl->row, DER_SEQUENCE, buf_bytes(body));
	build->crl->entries++;
}

static bool is_time(int64_t seconds)
{
	return seconds >= 0 && seconds <= INT64_C(253402300799);
}

static enum err_code read_entry(
    struct build *build, struct bytes key, struct bytes value, struct err *err)
{
	struct revocation row;

	/* Leaving out what cannot be read would call it good. */
	if (!revocation_read(key, build->prefix.len, value, &row) ||
	    !is_time(row.revoked))
		return err_fail(err, ERR_CORRUPT, "revocation record of %s",
		    build->issuer->id);
	if (row.not_after < build->listed_by && row.revoked < build->listed_by)
		return ERR_OK;
	put_entry(build, &row);
	return ERR_OK;
}

/* Reads one page after the key LAST, which it moves on. */
static enum err_code read_page(
    struct build *build, struct key *last, bool *more, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct bytes key = {NULL, 0}, value;
	enum err_code code;

	code = scan_open(build->store, TABLE_REVOKED,
	    key_bytes(&build->prefix), key_bytes(last), &scan, err);
	for (int i = 0; code == ERR_OK && i < PAGE_ROWS; i++) {
		code = scan_next(scan, &key, &value, more, err);
		if (code != ERR_OK || !*more)
			return code;
		code = read_entry(build, key, value, err);
	}
	if (code != ERR_OK)
		return code;
	*last = KEY_INIT;
	key_add_octets(last, key);
	return ERR_OK;
}

static enum err_code put_entries(struct build *build, struct err *err)
{
	struct key last = KEY_INIT;
	enum err_code code = ERR_OK;
	bool more = true;

	while (code == ERR_OK && more)
		code = read_page(build, &last, &more, err);
	build->entries_len = build->crl->row.len - build->gap;
	return code;
}

/* Extension ::= SEQUENCE { extnID, extnValue OCTET STRING } */
static void put_extension(struct buf *out, struct bytes oid, struct bytes value)
{
	der_put_header(out, DER_SEQUENCE,
	    oid.len + der_header_size(value.len) + value.len);
	buf_put_bytes(out, oid);
	der_put(out, DER_OCTET_STRING, value);
}

static void put_extensions(struct build *build)
{
	struct bytes key_id = BYTES(signer_key_id(build->issuer->signer), 20);
	struct buf *out = &build->crl->row;
	OWNED_BUF(authority);
	OWNED_BUF(number);
	OWNED_BUF(list);

	der_put_header(&authority, DER_SEQUENCE, 2 + key_id.len);
	der_put(&authority, DER_CONTEXT_PRIMITIVE(0), key_id);
	der_put_u64(&number, build->crl->number);
	put_extension(
	    &list, BYTES_OF(oid_authority_key_id), buf_bytes(&authority));
	put_extension(&list, BYTES_OF(oid_crl_number), buf_bytes(&number));
	der_put_header(out, DER_CONTEXT(0),
	    der_header_size(list.len) + list.len);
	der_put(out, DER_SEQUENCE, buf_bytes(&list));
}

/* Everything of the TBSCertList before the entries, its own header too. */
static void put_front(const struct build *build, struct buf *front)
{
	const struct crl *crl = build->crl;
	size_t behind = crl->row.len - build->gap;
	OWNED_BUF(body);

	der_put_u64(&body, 1);	/* v2 */
	buf_put_bytes(&body, signer_algorithm(build->issuer->signer));
	buf_put(&body, build->issuer->subject, build->issuer->subject_len);
	der_put_time(&body, crl->this_update);
	der_put_time(&body, crl->next_update);
	if (crl->entries > 0)	/* RFC 5280 5.1.2.6: absent when empty */
		der_put_header(&body, DER_SEQUENCE, build->entries_len);
	der_put_header(front, DER_SEQUENCE, body.len + behind);
	buf_put_bytes(front, buf_bytes(&body));
}

/* Writes OCTETS right before offset AT of the row; returns where they begin. */
static size_t put_before(struct crl *crl, size_t at, struct bytes octets)
{
	if (octets.len > at)
		abort();	/* the gap was reckoned too small */
	memcpy(crl->row.data + at - octets.len, octets.data, octets.len);
	return at - octets.len;
}

static size_t gap_size(const struct issuer *issuer)
{
	return ROW_HEADER + 3 * HEADER_MAX + 3 +
	    signer_algorithm(issuer->signer).len + issuer->subject_len +
	    2 * TIME_MAX;
}

static enum err_code seal(struct build *build, struct err *err)
{
	struct crl *crl = build->crl;
	OWNED_BUF(front);
	size_t begin;
	enum err_code code;

	put_front(build, &front);
	begin = put_before(crl, build->gap, buf_bytes(&front));
	buf_reserve(&crl->row, SIGNER_SEAL_MAX);
	code = signer_seal(build->issuer->signer,
	    BYTES(crl->row.data + begin, crl->row.len - begin), &crl->row, err);
	if (code != ERR_OK)
		return code;
	buf_reset(&front);
	der_put_header(&front, DER_SEQUENCE, crl->row.len - begin);
	begin = put_before(crl, begin, buf_bytes(&front));
	crl->der = crl->row.data + begin;
	crl->der_len = crl->row.len - begin;
	return set_etag(crl, err);
}

static enum err_code build_der(struct build *build, struct err *err)
{
	enum err_code code;

	build->gap = gap_size(build->issuer);
	memset(buf_extend(&build->crl->row, build->gap), 0, build->gap);
	key_add_text(&build->prefix, build->issuer->id);
	if ((code = put_entries(build, err)) != ERR_OK)
		return code;
	put_extensions(build);
	return seal(build, err);
}

/* The record is the DER with its header before it, where the gap still has
 * room for that. */
static void add_to_batch(struct crl *crl, uint64_t revision,
    struct batch *batch)
{
	size_t begin = (size_t)(crl->der - crl->row.data);
	struct key key = row_key(crl->issuer);
	OWNED_STR(object) = mem_printf("crl:%s", crl->issuer);
	OWNED_STR(detail) = mem_printf("number %llu, %llu entries",
	    (unsigned long long)crl->number, (unsigned long long)crl->entries);
	OWNED_BUF(header);

	put_row_header(crl, &header);
	begin = put_before(crl, begin, buf_bytes(&header));
	batch_require_revision(batch, TABLE_CRLS, key_bytes(&key), revision);
	batch_put(batch, TABLE_CRLS, key_bytes(&key),
	    BYTES(crl->row.data + begin, crl->row.len - begin));
	batch_audit(batch, &(struct audit_entry){.action = "crl.publish",
	    .result = "granted", .actor = "system", .source = "local",
	    .object = object, .detail = detail});
	crl->revision = revision + 1;
}

/* Nothing has been listed where there is no CRL yet; and while the clock stands
 * before the last one, what "before" means is in doubt. */
static int64_t listed_by(const struct crl *last, int64_t now)
{
	if (last == NULL || is_floor(last) || now < last->this_update)
		return INT64_MIN;
	return last->this_update - LISTED_MARGIN;
}

static enum err_code build_next(struct build *build, int64_t validity,
    const struct crl *last, struct err *err)
{
	struct crl *crl = build->crl;
	int64_t now = clock_now();

	crl->number = last == NULL ? 1 : last->number + 1;
	crl->this_update = now;
	if (last != NULL && now < last->this_update)
		crl->this_update = last->this_update;
	crl->next_update = crl->this_update + validity;
	build->listed_by = listed_by(last, now);
	return build_der(build, err);
}

enum err_code crl_build(struct store *store, const struct issuer *issuer,
    int64_t validity, const struct crl *last, struct batch *batch,
    struct crl **crl_out, struct err *err)
{
	OWNED(crl) stored = NULL;
	OWNED(crl) crl = crl_new(issuer->id);
	struct build build = {.store = store, .issuer = issuer, .crl = crl,
	    .prefix = KEY_INIT};
	enum err_code code = ERR_OK;

	if (last == NULL)
		code = find_row(store, issuer->id, &stored, err);
	if (code != ERR_OK)
		return code;
	if (last == NULL)
		last = stored;
	code = build_next(&build, validity, last, err);
	buf_free(&build.scratch);
	if (code != ERR_OK)
		return code;
	add_to_batch(crl, last == NULL ? 0 : last->revision, batch);
	*crl_out = GIVE(crl);
	return ERR_OK;
}
