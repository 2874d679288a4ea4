// SPDX-License-Identifier: Apache-2.0
#include "ca/storekey.h"

#include "ca/ceremony.h"

#define FORMAT 1

/* What the seal of the key binds, and no data key's does. */
#define PURPOSE "signet store key 1"

/* What the store records. */
struct storekey {
	char *root_uri;
	struct bytes blob; /* of the key-encryption key; borrowed */
	struct bytes sealed; /* the store's key under it; borrowed */
};

static void storekey_free(struct storekey *key)
{
	free(key->root_uri);
}

#define OWNED_STOREKEY(name)                                                   \
	__attribute__((cleanup(storekey_free))) struct storekey name = {0}

static bool parse(struct bytes record, struct storekey *key)
{
	struct reader reader = reader_over(record);

	if (reader_u8(&reader) != FORMAT)
		return false;
	key->root_uri = reader_lv_str(&reader);
	key->blob = reader_lv(&reader);
	key->sealed = reader_lv(&reader);
	return reader_done(&reader);
}

enum err_code storekey_seal(struct store *store, struct hsm *hsm,
    const char *root_uri, struct err *err)
{
	OWNED_BUF(blob);
	OWNED_BUF(sealed);
	OWNED_BUF(record);
	OWNED(secret) key = NULL;
	enum err_code code;

	if ((code = hsm_kek_new(hsm, root_uri, &blob, err)) != ERR_OK)
		return code;
	const struct hsm_kek kek = {root_uri, buf_bytes(&blob)};
	code = hsm_data_key(hsm, &kek, BYTES_STR(PURPOSE), STORE_KEY_SIZE,
	    &key, &sealed, err);
	if (code != ERR_OK)
		return code;
	buf_put_u8(&record, FORMAT);
	buf_put_lv_str(&record, root_uri);
	buf_put_lv(&record, buf_bytes(&blob));
	buf_put_lv(&record, buf_bytes(&sealed));
	return store_seal(store, buf_bytes(&record), key, err);
}

/* KEY borrows from RECORD. */
static enum err_code read_record(struct store *store, struct buf *record,
    struct storekey *key, bool *sealed_out, struct err *err)
{
	enum err_code code =
	    store_seal_record(store, record, sealed_out, err);

	if (code != ERR_OK || !*sealed_out)
		return code;
	if (!parse(buf_bytes(record), key))
		return err_fail(err, ERR_CORRUPT,
		    "the record of the store's key does not decode");
	return ERR_OK;
}

enum err_code storekey_renew(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED_STOREKEY(now);
	OWNED_BUF(record);
	bool sealed;
	enum err_code code;

	code = read_record(store, &record, &now, &sealed, err);
	if (code == ERR_OK && !sealed)
		code = meta_get_text(
		    store, META_WRAP_KEY_URI, &now.root_uri, err);
	if (code != ERR_OK)
		return code;
	return storekey_seal(store, hsm, now.root_uri, err);
}

enum err_code storekey_root(
    struct store *store, char **uri_out, struct err *err)
{
	OWNED_STOREKEY(it);
	OWNED_BUF(record);
	bool sealed;
	enum err_code code = read_record(store, &record, &it, &sealed, err);

	if (code == ERR_OK)
		*uri_out = GIVE(it.root_uri);
	return code;
}

/* What the token says of a blob or key that is not its own differs by token;
 * that it is out of reach is another matter. */
static enum err_code judge(
    enum err_code code, const struct storekey *key, struct err *err)
{
	if (code != ERR_UNWRAP && code != ERR_HSM_REFUSED)
		return code;
	return err_refuse(err, ERR_CONFIG,
	    "the token does not open the key of the store with %s: the store "
	    "belongs to another token, or the record of its key was changed",
	    key->root_uri);
}

enum err_code storekey_unseal(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED_STOREKEY(it);
	OWNED_BUF(record);
	OWNED(secret) key = NULL;
	bool sealed;
	enum err_code code;

	if ((code = read_record(store, &record, &it, &sealed, err)) != ERR_OK)
		return code;
	if (!sealed)
		return err_refuse(err, ERR_CONFIG,
		    "the store is not sealed, and what is not sealed is not "
		    "served: if it is yours, seal it by \"signet store seal\"");
	const struct hsm_kek kek = {it.root_uri, it.blob};
	code = hsm_open_sealed(
	    hsm, &kek, BYTES_STR(PURPOSE), it.sealed, &key, err);
	if (code != ERR_OK)
		return judge(code, &it, err);
	if (secret_len(key) != STORE_KEY_SIZE)
		return err_fail(err, ERR_CORRUPT,
		    "the store's key has %zu octets", secret_len(key));
	return store_unseal(store, key, err);
}
