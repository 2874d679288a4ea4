// SPDX-License-Identifier: Apache-2.0
#include "store/checkpoint.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/key.h"

#define RECORD_FORMAT 1
/* U+2014 and a space: so a signature line of a note begins. */
#define DASH "\xe2\x80\x94 "
#define KEY_ID_SIZE 4
#define LINES 5

/* ---- writing ---- */

void checkpoint_put_text(struct buf *out, const struct checkpoint *checkpoint)
{
	char time[CLOCK_TEXT_SIZE];

	buf_printf(out, "%s\n%llu\n", checkpoint->origin,
	    (unsigned long long)checkpoint->size);
	base64_put(out, BYTES_OF(checkpoint->root));
	buf_printf(out, "\ntime %s\nnode %u\n",
	    clock_format_ms(checkpoint->time_ms, time), checkpoint->node);
}

/* The first octets of SHA-256 over the key as DER. */
static bool key_id(struct bytes spki, uint8_t id_out[static KEY_ID_SIZE])
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(spki.data, spki.len, digest, NULL, EVP_sha256(),
		NULL) != 1)
		return false;
	memcpy(id_out, digest, KEY_ID_SIZE);
	return true;
}

enum err_code checkpoint_put_signature(struct buf *out, const char *origin,
    struct bytes spki, struct bytes signature, struct err *err)
{
	OWNED_BUF(octets);
	uint8_t id[KEY_ID_SIZE];

	if (!key_id(spki, id))
		return err_fail_crypto(err, "SHA-256 of the audit key");
	buf_put(&octets, id, sizeof(id));
	buf_put_bytes(&octets, signature);
	buf_printf(out, "\n" DASH "%s ", origin);
	base64_put(out, buf_bytes(&octets));
	buf_put_u8(out, '\n');
	return ERR_OK;
}

/* ---- reading ---- */

/* A line without its end; false when there is none. */
static bool take_line(struct reader *reader, struct bytes *line)
{
	const uint8_t *end = reader->left == 0
				 ? NULL
				 : memchr(reader->next, '\n', reader->left);

	if (end == NULL)
		return false;
	*line = reader_take(reader, (size_t)(end - reader->next));
	(void)reader_u8(reader);
	return true;
}

static bool take_number(struct bytes text, uint64_t most, uint64_t *value_out)
{
	uint64_t value = 0;

	if (text.len == 0 || text.len > 19 ||
	    (text.data[0] == '0' && text.len > 1))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*value_out = value;
	return value <= most;
}

static bool take_prefix(struct bytes *line, const char *prefix)
{
	size_t len = strlen(prefix);

	if (line->len < len || memcmp(line->data, prefix, len) != 0)
		return false;
	*line = BYTES(line->data + len, line->len - len);
	return true;
}

static bool take_time(struct bytes text, int64_t *time_ms_out)
{
	return clock_parse_ms(
	    (const char *)text.data, text.len, time_ms_out);
}

static bool take_root(struct bytes text, uint8_t root_out[static 32])
{
	OWNED_BUF(octets);

	if (!base64_parse(text, &octets) || octets.len != 32)
		return false;
	memcpy(root_out, octets.data, 32);
	return true;
}

static bool is_origin(struct bytes text)
{
	if (text.len == 0 || text.len > CHECKPOINT_ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f ||
		    text.data[i] == '+')
			return false;
	return true;
}

static bool parse_text(struct bytes text, struct checkpoint *out)
{
	struct reader reader = reader_over(text);
	struct bytes lines[LINES];
	uint64_t node = 0;

	for (size_t i = 0; i < LINES; i++)
		if (!take_line(&reader, &lines[i]))
			return false;
	if (!reader_done(&reader) || !is_origin(lines[0]))
		return false;
	memset(out->origin, 0, sizeof(out->origin));
	memcpy(out->origin, lines[0].data, lines[0].len);
	if (!take_number(lines[1], INT64_MAX, &out->size) ||
	    !take_root(lines[2], out->root) ||
	    !take_prefix(&lines[3], "time ") ||
	    !take_time(lines[3], &out->time_ms) ||
	    !take_prefix(&lines[4], "node ") ||
	    !take_number(lines[4], 255, &node))
		return false;
	out->node = (unsigned)node;
	return true;
}

struct parts {
	struct bytes text;
	struct buf signature; /* key id, then DER */
};

static void parts_end(struct parts *parts)
{
	buf_free(&parts->signature);
}

/* One text, one empty line, one signature line by the name of the origin. */
static bool take_apart(
    struct bytes note, struct checkpoint *checkpoint, struct parts *parts)
{
	const uint8_t *gap = note.len > CHECKPOINT_TEXT_MAX || note.len == 0
				 ? NULL
				 : memmem(note.data, note.len, "\n\n", 2);
	struct reader reader;
	struct bytes line;

	if (gap == NULL)
		return false;
	parts->text = BYTES(note.data, (size_t)(gap - note.data) + 1);
	reader = reader_over(BYTES(
	    gap + 2, note.len - parts->text.len - 1));
	return parse_text(parts->text, checkpoint) &&
	       take_line(&reader, &line) && reader_done(&reader) &&
	       take_prefix(&line, DASH) &&
	       take_prefix(&line, checkpoint->origin) &&
	       take_prefix(&line, " ") &&
	       base64_parse(line, &parts->signature) &&
	       parts->signature.len > KEY_ID_SIZE;
}

bool checkpoint_parse(struct bytes note, struct checkpoint *checkpoint_out,
    struct bytes *text_out)
{
	__attribute__((cleanup(parts_end))) struct parts parts = {0};

	if (!take_apart(note, checkpoint_out, &parts))
		return false;
	if (text_out != NULL)
		*text_out = parts.text;
	return true;
}

static EVP_PKEY *read_key(struct bytes spki)
{
	const uint8_t *at = spki.data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	char group[32] = "";

	if (key == NULL)
		return NULL;
	if (at != spki.data + spki.len || !EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, "prime256v1") != 0) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static bool verifies(
    EVP_PKEY *key, struct bytes text, struct bytes signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL &&
		    EVP_DigestVerifyInit_ex(
			ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestVerify(ctx, signature.data, signature.len,
			text.data, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

enum err_code checkpoint_check(struct bytes note, struct bytes spki,
    struct checkpoint *checkpoint_out, struct err *err)
{
	__attribute__((cleanup(parts_end))) struct parts parts = {0};
	uint8_t id[KEY_ID_SIZE];
	EVP_PKEY *key;
	bool good;

	if (!take_apart(note, checkpoint_out, &parts))
		return err_fail(err, ERR_CORRUPT, "checkpoint: malformed");
	if (!key_id(spki, id) ||
	    memcmp(id, parts.signature.data, KEY_ID_SIZE) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "checkpoint of %llu entries: signed by another key",
		    (unsigned long long)checkpoint_out->size);
	if ((key = read_key(spki)) == NULL)
		return err_fail(
		    err, ERR_CORRUPT, "the audit key is no EC P-256 key");
	good = verifies(key, parts.text,
	    BYTES(parts.signature.data + KEY_ID_SIZE,
		parts.signature.len - KEY_ID_SIZE));
	EVP_PKEY_free(key);
	if (!good)
		return err_fail(err, ERR_CORRUPT,
		    "checkpoint of %llu entries: its signature does not "
		    "verify",
		    (unsigned long long)checkpoint_out->size);
	return ERR_OK;
}

/* ---- in the store ---- */

static void forget_oldest(struct scan *scan, struct batch *batch,
    enum err_code *code, struct err *err)
{
	struct bytes key, value;
	bool more = false;

	*code = scan_next(scan, &key, &value, &more, err);
	if (*code == ERR_OK && more)
		batch_delete(batch, TABLE_CHECKPOINTS, key);
}

enum err_code checkpoint_put(struct store *store, struct batch *batch,
    uint64_t size, struct bytes note, struct err *err)
{
	OWNED(scan) scan = NULL;
	OWNED_BUF(value);
	struct key key = KEY_INIT;
	uint64_t count;
	enum err_code code =
	    store_count(store, TABLE_CHECKPOINTS, &count, err);

	if (code == ERR_OK && count >= CHECKPOINTS_KEPT)
		code = scan_open(store, TABLE_CHECKPOINTS, BYTES(NULL, 0),
		    BYTES(NULL, 0), &scan, err);
	if (code == ERR_OK && scan != NULL)
		forget_oldest(scan, batch, &code, err);
	if (code != ERR_OK)
		return code;
	key_add_u64(&key, size);
	buf_put_u8(&value, RECORD_FORMAT);
	buf_put_bytes(&value, note);
	batch_put(
	    batch, TABLE_CHECKPOINTS, key_bytes(&key), buf_bytes(&value));
	return ERR_OK;
}

static enum err_code take_note(
    struct bytes value, struct buf *note, struct err *err)
{
	struct reader reader = reader_over(value);

	if (reader_u8(&reader) != RECORD_FORMAT)
		return err_fail(
		    err, ERR_CORRUPT, "checkpoint record: unknown format");
	buf_reset(note);
	buf_put_bytes(note, reader_take(&reader, reader.left));
	return ERR_OK;
}

/* Bounded by the number that is kept. */
enum err_code checkpoint_find(struct store *store, uint64_t size,
    struct buf *note, bool *found_out, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct key after = KEY_INIT;
	struct bytes key, value;
	bool more = true;
	enum err_code code;

	*found_out = false;
	if (size > 0)
		key_add_u64(&after, size - 1);
	code = scan_open(store, TABLE_CHECKPOINTS, BYTES(NULL, 0),
	    key_bytes(&after), &scan, err);
	if (code == ERR_OK)
		code = scan_next(scan, &key, &value, &more, err);
	if (code != ERR_OK || !more)
		return code;
	*found_out = true;
	return take_note(value, note, err);
}

enum err_code checkpoint_last(struct store *store, struct buf *note,
    bool *found_out, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	bool more;
	enum err_code code = scan_open(store, TABLE_CHECKPOINTS,
	    BYTES(NULL, 0), BYTES(NULL, 0), &scan, err);

	*found_out = false;
	while (code == ERR_OK) {
		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		*found_out = true;
		code = take_note(value, note, err);
	}
	return code;
}
