// SPDX-License-Identifier: Apache-2.0
#include "ca/certificate.h"

#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/tlv.h"
#include "store/key.h"

#define RECORD_VERSION 1
#define RECORD_VERSION_IDENTITY 2	/* version 1, then an identity's id */
#define REVOKED_VERSION 1
#define INDEX_VERSION 1
#define REASON_MAX 10		/* aACompromise */

void certificate_free(struct certificate *certificate)
{
	if (certificate == NULL)
		return;
	free(certificate->issuer);
	free(certificate->cluster);
	free(certificate->profile);
	free(certificate->policy);
	free(certificate->requester);
	names_free(certificate->names);
	free(certificate->der);
	free(certificate);
}

static bool has_identity(const struct certificate *record)
{
	static const uint8_t none[IDENTITY_ID_SIZE];

	return memcmp(record->identity, none, sizeof(none)) != 0;
}

bool certificate_is_told(const struct certificate *record)
{
	return record->der == NULL && record->renew_after == 0;
}

bool certificate_identity(const struct certificate *record,
    uint8_t id_out[static IDENTITY_ID_SIZE])
{
	if (has_identity(record)) {
		memcpy(id_out, record->identity, IDENTITY_ID_SIZE);
		return true;
	}
	/* The first admin of an early version; only Signet itself decides
	 * without a policy. */
	if (record->policy != NULL || record->roles == 0 ||
	    record->profile == NULL || strcmp(record->profile, "identity") != 0)
		return false;
	memcpy(id_out, record->spki_hash, IDENTITY_ID_SIZE);
	return true;
}

struct object certificate_object(const struct certificate *record)
{
	uint8_t id[IDENTITY_ID_SIZE];
	struct object object = {OBJECT_SERVICE, record->cluster};

	if (certificate_identity(record, id))
		object.kind = OBJECT_IDENTITY;
	else if (record->cluster != NULL)
		object.kind = OBJECT_PLAIN;
	return object;
}

void certificate_write(const struct certificate *record, struct buf *out)
{
	buf_put_u8(out, has_identity(record) ? RECORD_VERSION_IDENTITY
					     : RECORD_VERSION);
	buf_put_u8(out, (uint8_t)record->state);
	buf_put_lv_str(out, record->issuer);
	buf_put_lv_str(out, record->cluster);
	buf_put_lv_str(out, record->profile);
	buf_put_lv_str(out, record->policy);
	buf_put_lv_str(out, record->requester);
	buf_put_u32(out, record->roles);
	buf_put_i64(out, record->not_before);
	buf_put_i64(out, record->not_after);
	buf_put_i64(out, record->created);
	buf_put_i64(out, record->renew_after);
	buf_put_i64(out, record->revoked);
	buf_put_u8(out, record->reason);
	buf_put(out, record->spki_hash, sizeof(record->spki_hash));
	buf_put(out, record->tbs_hash, sizeof(record->tbs_hash));
	buf_put(out, record->token_id, sizeof(record->token_id));
	names_write(record->names, out);
	buf_put_lv(out, BYTES(record->der, record->der_len));
	if (has_identity(record))
		buf_put(out, record->identity, sizeof(record->identity));
}

/* An empty text stands for none. */
static char *read_optional(struct reader *in)
{
	char *text = reader_lv_str(in);

	if (text == NULL || text[0] != '\0')
		return text;
	free(text);
	return NULL;
}

static void read_texts(struct reader *in, struct certificate *record)
{
	record->issuer = reader_lv_str(in);
	record->cluster = read_optional(in);
	record->profile = reader_lv_str(in);
	record->policy = read_optional(in);
	record->requester = reader_lv_str(in);
}

static void read_numbers(struct reader *in, struct certificate *record)
{
	record->roles = reader_u32(in);
	record->not_before = reader_i64(in);
	record->not_after = reader_i64(in);
	record->created = reader_i64(in);
	record->renew_after = reader_i64(in);
	record->revoked = reader_i64(in);
	record->reason = reader_u8(in);
	reader_copy(in, record->spki_hash, sizeof(record->spki_hash));
	reader_copy(in, record->tbs_hash, sizeof(record->tbs_hash));
	reader_copy(in, record->token_id, sizeof(record->token_id));
}

static void read_der(struct reader *in, struct certificate *record)
{
	struct bytes der = reader_lv(in);

	if (der.len == 0)
		return;
	record->der = mem_zalloc(der.len);
	memcpy(record->der, der.data, der.len);
	record->der_len = der.len;
}

/* Only a valid record may be without a moment of revocation, and without its DER
 * only what was never signed (an intent, or what an intent came to) and what is
 * known by the audit log alone. */
static bool is_sound(const struct certificate *record)
{
	if (record->not_before < 0 || record->not_after < record->not_before ||
	    record->reason > REASON_MAX)
		return false;
	switch (record->state) {
	case CERTIFICATE_VALID:
		return record->revoked == 0;
	case CERTIFICATE_REVOKED:
		return record->revoked > 0 &&
		    (record->der != NULL || certificate_is_told(record));
	case CERTIFICATE_UNRESOLVED:
		return record->revoked > 0 && record->der == NULL;
	}
	return false;
}

static enum err_code fail_corrupt(const struct serial *serial,
    const char *what, struct err *err)
{
	OWNED_STR(text) = serial_format(serial);

	return err_fail(err, ERR_CORRUPT, "certificate record %s: %s", text,
	    what);
}

enum err_code certificate_read(const struct serial *serial,
    struct bytes value, struct certificate **record_out, struct err *err)
{
	OWNED(certificate) record = mem_zalloc(sizeof(*record));
	struct reader in = reader_over(value);
	uint8_t version = reader_u8(&in);

	if (version != RECORD_VERSION && version != RECORD_VERSION_IDENTITY)
		return fail_corrupt(serial, "unknown format version", err);
	record->serial = *serial;
	record->state = (enum certificate_state)reader_u8(&in);
	read_texts(&in, record);
	read_numbers(&in, record);
	if (in.failed || !names_read(&in, &record->names))
		return fail_corrupt(serial, "names do not decode", err);
	read_der(&in, record);
	if (version == RECORD_VERSION_IDENTITY)
		reader_copy(&in, record->identity, sizeof(record->identity));
	if (!reader_done(&in) || !is_sound(record) ||
	    has_identity(record) != (version == RECORD_VERSION_IDENTITY))
		return fail_corrupt(serial, "it does not decode", err);
	*record_out = GIVE(record);
	return ERR_OK;
}

static enum err_code find_record(struct store *store, enum table table,
    const struct serial *serial, struct certificate **record_out,
    struct err *err)
{
	OWNED_BUF(value);
	uint64_t revision;
	enum err_code code;
	bool found;

	*record_out = NULL;
	code = store_find(store, table, serial_bytes(serial), &value,
	    &revision, &found, err);
	if (code != ERR_OK || !found)
		return code;
	code = certificate_read(serial, buf_bytes(&value), record_out, err);
	if (code == ERR_OK)
		(*record_out)->revision = revision;
	return code;
}

enum err_code certificate_find(struct store *store,
    const struct serial *serial, struct certificate **certificate_out,
    struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code =
	    find_record(store, TABLE_CERTIFICATES, serial, &record, err);

	if (code != ERR_OK)
		return code;
	if (record != NULL && record->state == CERTIFICATE_VALID &&
	    record->der == NULL && !certificate_is_told(record))
		return fail_corrupt(serial, "valid, but without DER", err);
	*certificate_out = GIVE(record);
	return ERR_OK;
}

static enum err_code refuse_absent(
    const struct serial *serial, struct err *err)
{
	OWNED_STR(text) = serial_format(serial);

	return err_refuse(err, ERR_NOT_FOUND,
	    "there is no certificate with serial %s", text);
}

enum err_code certificate_get(struct store *store,
    const struct serial *serial, struct certificate **certificate_out,
    struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code = certificate_find(store, serial, &record, err);

	if (code != ERR_OK)
		return code;
	if (record == NULL)
		return refuse_absent(serial, err);
	*certificate_out = GIVE(record);
	return ERR_OK;
}

enum err_code certificate_get_of(struct store *store, const char *cluster,
    const struct serial *serial, struct certificate **certificate_out,
    struct err *err)
{
	struct key key = KEY_INIT;
	uint64_t revision;
	enum err_code code;
	bool found;

	key_add_text(&key, cluster);
	key_add_octets(&key, serial_bytes(serial));
	code = store_find(store, TABLE_CERTS_BY_CLUSTER, key_bytes(&key), NULL,
	    &revision, &found, err);
	if (code != ERR_OK)
		return code;
	if (!found)
		return refuse_absent(serial, err);
	return certificate_get(store, serial, certificate_out, err);
}

enum err_code intent_find(struct store *store, const struct serial *serial,
    struct certificate **intent_out, struct err *err)
{
	return find_record(store, TABLE_INTENTS, serial, intent_out, err);
}

/* The serial of a DER certificate (RFC 5280 4.1): the second element of the
 * first, or the first where the version is left out. */
static bool read_serial(struct bytes der, struct serial *serial_out)
{
	struct tlv outer, tbs, element;

	if (!tlv_take(&der, DER_SEQUENCE, &outer) || der.len > 0 ||
	    !tlv_take(&outer.content, DER_SEQUENCE, &tbs))
		return false;
	if (tlv_peek(tbs.content) == DER_CONTEXT(0) &&
	    !tlv_next(&tbs.content, &element))
		return false;
	return tlv_take(&tbs.content, DER_INTEGER, &element) &&
	    serial_read(element.content, serial_out);
}

static const char *why_not_authentic(
    const struct certificate *record, struct bytes der, int64_t now)
{
	if (record == NULL)
		return "no record of its serial";
	if (!bytes_equal(der, BYTES(record->der, record->der_len)))
		return "not the octets on record";
	if (record->state != CERTIFICATE_VALID)
		return "revoked";
	if (now < record->not_before)
		return "not yet valid";
	if (now > record->not_after)
		return "expired";
	/* A server, a responder, a CA: known, and nobody's identity. */
	if (record->roles == 0 && !has_identity(record))
		return "of no role";
	return NULL;
}

static enum err_code refuse_presented(struct err *err)
{
	return err_refuse(err, ERR_UNAUTHENTICATED,
	    "the client certificate is not accepted");
}

enum err_code certificate_check(const struct certificate *record,
    struct bytes der, int64_t now, const char **why_out, struct err *err)
{
	*why_out = why_not_authentic(record, der, now);
	return *why_out == NULL ? ERR_OK : refuse_presented(err);
}

enum err_code certificate_authenticate(struct store *store,
    struct bytes der, int64_t now, struct certificate **certificate_out,
    const char **why_out, struct err *err)
{
	OWNED(certificate) record = NULL;
	struct serial serial;
	enum err_code code;

	*why_out = NULL;
	if (!read_serial(der, &serial)) {
		*why_out = "not a certificate";
		return refuse_presented(err);
	}
	code = certificate_find(store, &serial, &record, err);
	if (code == ERR_OK)
		code = certificate_check(record, der, now, why_out, err);
	if (code == ERR_OK)
		*certificate_out = GIVE(record);
	return code;
}

static void put_revoked(struct batch *batch, const struct certificate *record)
{
	struct key key = KEY_INIT;
	OWNED_BUF(value);

	key_add_text(&key, record->issuer);
	key_add_octets(&key, serial_bytes(&record->serial));
	buf_put_u8(&value, REVOKED_VERSION);
	buf_put_i64(&value, record->revoked);
	buf_put_i64(&value, record->not_after);
	buf_put_u8(&value, record->reason);
	batch_put(batch, TABLE_REVOKED, key_bytes(&key), buf_bytes(&value));
}

bool revocation_read(struct bytes key, size_t issuer_len,
    struct bytes value, struct revocation *row_out)
{
	struct reader in = reader_over(value);
	uint8_t version = reader_u8(&in);

	row_out->revoked = reader_i64(&in);
	row_out->not_after = reader_i64(&in);
	row_out->reason = reader_u8(&in);
	return reader_done(&in) && version == REVOKED_VERSION &&
	    row_out->reason <= REASON_MAX && key.len > issuer_len &&
	    serial_read(BYTES(key.data + issuer_len, key.len - issuer_len),
		&row_out->serial);
}

/* The indexes say what listing filters by, so that it fetches few records in
 * vain. */
static void put_indexes(struct batch *batch, const struct certificate *record)
{
	struct key by_cluster = KEY_INIT, by_expiry = KEY_INIT;
	struct key by_identity = KEY_INIT;
	OWNED_BUF(value);

	buf_put_u8(&value, INDEX_VERSION);
	buf_put_u8(&value, (uint8_t)record->state);
	buf_put_i64(&value, record->not_after);
	key_add_text(&by_cluster,
	    record->cluster == NULL ? "" : record->cluster);
	key_add_octets(&by_cluster, serial_bytes(&record->serial));
	batch_put(batch, TABLE_CERTS_BY_CLUSTER, key_bytes(&by_cluster),
	    buf_bytes(&value));
	key_add_u64(&by_expiry, (uint64_t)record->not_after);
	key_add_octets(&by_expiry, serial_bytes(&record->serial));
	batch_put(batch, TABLE_CERTS_BY_EXPIRY, key_bytes(&by_expiry),
	    buf_bytes(&value));
	if (!has_identity(record))
		return;
	/* That one is read whole: it holds what may be valid and no more. */
	key_add_octets(&by_identity, BYTES_OF(record->identity));
	key_add_octets(&by_identity, serial_bytes(&record->serial));
	if (record->state == CERTIFICATE_VALID)
		batch_put(batch, TABLE_CERTS_BY_IDENTITY,
		    key_bytes(&by_identity), buf_bytes(&value));
	else if (record->revision != 0)
		batch_delete(batch, TABLE_CERTS_BY_IDENTITY,
		    key_bytes(&by_identity));
}

bool certificate_index_end(struct bytes row, int64_t *not_after_out)
{
	struct reader in = reader_over(row);
	uint8_t version = reader_u8(&in);

	(void)reader_u8(&in);	/* its state */
	*not_after_out = reader_i64(&in);
	return reader_done(&in) && version == INDEX_VERSION;
}

static void put_record(struct batch *batch, enum table table,
    const struct certificate *record)
{
	struct bytes key = serial_bytes(&record->serial);
	OWNED_BUF(value);

	buf_reserve(&value, 512 + record->der_len);
	certificate_write(record, &value);
	batch_put(batch, table, key, buf_bytes(&value));
	if (record->revision == 0)
		batch_require_absent(batch, table, key);
	else
		batch_require_revision(batch, table, key, record->revision);
}

void certificate_put(struct batch *batch, const struct certificate *record)
{
	put_record(batch, TABLE_CERTIFICATES, record);
	put_indexes(batch, record);
	if (record->state != CERTIFICATE_VALID)
		put_revoked(batch, record);
}

void certificate_require(
    struct batch *batch, const struct certificate *record)
{
	batch_require_revision(batch, TABLE_CERTIFICATES,
	    serial_bytes(&record->serial), record->revision);
}

void intent_put(struct batch *batch, const struct certificate *intent)
{
	put_record(batch, TABLE_INTENTS, intent);
	batch_require_absent(
	    batch, TABLE_CERTIFICATES, serial_bytes(&intent->serial));
}

void intent_delete(struct batch *batch, const struct serial *serial)
{
	struct bytes key = serial_bytes(serial);

	batch_require_revision(batch, TABLE_INTENTS, key, 1);
	batch_delete(batch, TABLE_INTENTS, key);
}
