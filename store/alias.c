// SPDX-License-Identifier: Apache-2.0
#include "store/alias.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "store/inside.h"

#define FORMAT 1
#define PADDED_TO 64 /* octets */

/* What a MAC is of, so that no row's key is an alias. */
enum purpose { PURPOSE_NAME = 1, PURPOSE_DIGEST = 2 };

static void mac(const struct seal *seal, enum purpose purpose,
    struct bytes octets, uint8_t out[static 32])
{
	struct bytes key = secret_bytes(seal_alias_key(seal));
	OWNED_BUF(input);
	size_t len;

	buf_put_u8(&input, (uint8_t)purpose);
	buf_put_bytes(&input, octets);
	/* Only exhausted memory makes it fail. */
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.data, key.len,
		input.data, input.len, out, 32, &len) == NULL)
		abort();
}

bool alias_make(struct store *store, const char *name,
    char text_out[static ALIAS_TEXT_SIZE])
{
	uint8_t digest[32];

	if (store->seal == NULL)
		return false;
	mac(store->seal, PURPOSE_NAME, BYTES_STR(name), digest);
	memcpy(text_out, ALIAS_PREFIX, sizeof(ALIAS_PREFIX));
	hex_write(digest, ALIAS_SIZE, text_out + sizeof(ALIAS_PREFIX) - 1);
	return true;
}

void alias_put(struct store *store, struct batch *batch, const char *name)
{
	uint8_t digest[32];
	OWNED_BUF(row);

	if (store->seal == NULL || strlen(name) > ALIAS_NAME_MAX)
		return;
	mac(store->seal, PURPOSE_NAME, BYTES_STR(name), digest);
	alias_write(name, &row);
	batch_put(
	    batch, TABLE_ALIASES, BYTES(digest, ALIAS_SIZE), buf_bytes(&row));
}

static bool parse(const char *text, uint8_t id_out[static ALIAS_SIZE])
{
	char hex[2 * ALIAS_SIZE + 1];

	if (!text_has_prefix(text, ALIAS_PREFIX))
		return false;
	text += sizeof(ALIAS_PREFIX) - 1;
	if (strnlen(text, 2 * ALIAS_SIZE) < 2 * ALIAS_SIZE)
		return false;
	memcpy(hex, text, 2 * ALIAS_SIZE);
	hex[2 * ALIAS_SIZE] = '\0';
	return hex_parse(hex, id_out, ALIAS_SIZE);
}

const char *alias_in(const char *text)
{
	uint8_t id[ALIAS_SIZE];

	while (text != NULL && (text = strstr(text, ALIAS_PREFIX)) != NULL) {
		if (parse(text, id))
			return text;
		text++;
	}
	return NULL;
}

enum err_code alias_find(
    struct store *store, const char *alias, char **name_out, struct err *err)
{
	uint8_t id[ALIAS_SIZE];
	OWNED_BUF(row);
	bool found;
	enum err_code code;

	*name_out = NULL;
	if (!parse(alias, id))
		return ERR_OK;
	code = store_find(
	    store, TABLE_ALIASES, BYTES_OF(id), &row, NULL, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (!alias_read(buf_bytes(&row), name_out))
		return err_fail(
		    err, ERR_CORRUPT, "the row of an alias does not decode");
	return ERR_OK;
}

void alias_digest(
    struct store *store, struct bytes octets, uint8_t digest_out[static 32])
{
	unsigned len;

	if (store->seal != NULL)
		mac(store->seal, PURPOSE_DIGEST, octets, digest_out);
	else if (EVP_Digest(octets.data, octets.len, digest_out, &len,
		     EVP_sha256(), NULL) != 1)
		abort();
}

void alias_write(const char *name, struct buf *out)
{
	size_t start = out->len;

	buf_put_u8(out, FORMAT);
	buf_put_lv_str(out, name);
	while ((out->len - start) % PADDED_TO != 0)
		buf_put_u8(out, 0);
}

bool alias_read(struct bytes row, char **name_out)
{
	struct reader in = reader_over(row);
	uint8_t version = reader_u8(&in);
	OWNED_STR(name) = reader_lv_str(&in);
	bool padded = row.len % PADDED_TO == 0 && in.left < PADDED_TO;

	while (in.left > 0 && !in.failed)
		padded = reader_u8(&in) == 0 && padded;
	if (!reader_done(&in) || version != FORMAT || name == NULL || !padded ||
	    name[0] == '\0' || strlen(name) > ALIAS_NAME_MAX)
		return false;
	*name_out = GIVE(name);
	return true;
}
