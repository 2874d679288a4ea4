// SPDX-License-Identifier: Apache-2.0
#include "store/seal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/log.h"
#include "store/table.h"

#define FORM 1
#define SALT_SIZE 12
#define HEAD_SIZE (1 + SALT_SIZE + 4)
#define TAG_SIZE 16
#define IV_SIZE 12
#define SUBKEY_SIZE 32
#define OPENINGS 256

_Static_assert(SEAL_OVERHEAD == HEAD_SIZE + TAG_SIZE, "what a value grows by");

/* A salt and its key: the values of one process are under one. */
struct opening {
	uint8_t salt[SALT_SIZE];
	struct secret *key;
};

struct seal {
	struct secret *key;
	struct secret *tally_key;
	struct secret *alias_key;
	EVP_CIPHER *gcm;
	EVP_KDF *hkdf;
	/* By the first octet of the salt.  What is set stays: readers look
	 * without a lock.  Whoever finds the place taken derives each time. */
	struct opening *_Atomic openings[OPENINGS];
	atomic_uint_fast64_t amiss;

	/* The writer's alone. */
	struct opening *own;
	uint32_t counter;
};

static void opening_free(struct opening *opening)
{
	if (opening == NULL)
		return;
	secret_free(opening->key);
	free(opening);
}
DEFINE_CLEANUP(opening, opening_free)

/* HKDF-SHA-256 (RFC 5869) of the store's key. */
static enum err_code derive(struct seal *seal, struct bytes salt,
    const char *info, struct secret **key_out, struct err *err)
{
	OWNED(secret) key = secret_new(SUBKEY_SIZE);
	char digest[] = "SHA256";
	OSSL_PARAM params[5], *next = params;
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(seal->hkdf);
	int rc;

	*next++ =
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*next++ = OSSL_PARAM_construct_octet_string(
	    OSSL_KDF_PARAM_KEY, secret_data(seal->key), secret_len(seal->key));
	*next++ = OSSL_PARAM_construct_octet_string(
	    OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info));
	if (salt.len > 0)
		*next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
		    (void *)(uintptr_t)salt.data, salt.len);
	*next = OSSL_PARAM_construct_end();
	rc = ctx == NULL
		 ? 0
		 : EVP_KDF_derive(ctx, secret_data(key), SUBKEY_SIZE, params);
	EVP_KDF_CTX_free(ctx);
	if (rc != 1)
		return err_fail_crypto(err, "deriving from the store's key");
	*key_out = GIVE(key);
	return ERR_OK;
}

static enum err_code opening_new(struct seal *seal, struct bytes salt,
    struct opening **opening_out, struct err *err)
{
	OWNED(opening) opening = mem_zalloc(sizeof(*opening));
	enum err_code code;

	memcpy(opening->salt, salt.data, SALT_SIZE);
	code = derive(seal, salt, "signet rows 1", &opening->key, err);
	if (code == ERR_OK)
		*opening_out = GIVE(opening);
	return code;
}

enum err_code seal_new(
    const struct secret *key, struct seal **seal_out, struct err *err)
{
	OWNED(seal) seal = mem_zalloc(sizeof(*seal));
	enum err_code code;

	if (secret_len(key) != STORE_KEY_SIZE)
		abort();
	seal->key = secret_copy(secret_bytes(key).data, STORE_KEY_SIZE);
	seal->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	seal->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (seal->gcm == NULL || seal->hkdf == NULL)
		return err_fail_crypto(err, "fetching AES-256-GCM and HKDF");
	code = derive(
	    seal, BYTES(NULL, 0), "signet tally 1", &seal->tally_key, err);
	if (code == ERR_OK)
		code = derive(seal, BYTES(NULL, 0), "signet aliases 1",
		    &seal->alias_key, err);
	if (code == ERR_OK)
		*seal_out = GIVE(seal);
	return code;
}

void seal_free(struct seal *seal)
{
	if (seal == NULL)
		return;
	for (unsigned i = 0; i < OPENINGS; i++)
		opening_free(seal->openings[i]);
	opening_free(seal->own);
	EVP_KDF_free(seal->hkdf);
	EVP_CIPHER_free(seal->gcm);
	secret_free(seal->tally_key);
	secret_free(seal->alias_key);
	secret_free(seal->key);
	free(seal);
}

const struct secret *seal_tally_key(const struct seal *seal)
{
	return seal->tally_key;
}

const struct secret *seal_alias_key(const struct seal *seal)
{
	return seal->alias_key;
}

struct bytes seal_head(struct bytes stored)
{
	return BYTES(
	    stored.data, stored.len < HEAD_SIZE ? stored.len : HEAD_SIZE);
}

struct bytes seal_tag(struct bytes stored)
{
	if (stored.len < SEAL_OVERHEAD)
		return BYTES(NULL, 0);
	return BYTES(stored.data + stored.len - TAG_SIZE, TAG_SIZE);
}

/* ---- one value ---- */

static void write_aad(const struct row *row, struct buf *out)
{
	const char *name = table_name(row->table);

	buf_reserve(out, 64 + row->key.len + row->bound.len);
	buf_put_u8(out, FORM);
	buf_put(out, name, strlen(name) + 1);
	buf_put_u64(out, row->revision);
	buf_put_lv(out, row->key);
	buf_put_bytes(out, row->bound);
}

/* One run of the cipher.  Its context lives no longer than that: OpenSSL keeps
 * the key's schedule in it, in memory that is not locked, and wipes it. */
struct run {
	const struct secret *key;
	const uint8_t *counter; /* 4 octets */
	struct bytes aad, in;
	uint8_t *out;
	uint8_t *tag; /* TAG_SIZE octets */
};

static bool begin_run(
    EVP_CIPHER_CTX *ctx, const EVP_CIPHER *gcm, const struct run *run, int enc)
{
	uint8_t iv[IV_SIZE] = {0};
	int len;

	memcpy(iv + IV_SIZE - 4, run->counter, 4);
	return EVP_CipherInit_ex2(
		   ctx, gcm, secret_bytes(run->key).data, iv, enc, NULL) == 1 &&
	       EVP_CipherUpdate(
		   ctx, NULL, &len, run->aad.data, (int)run->aad.len) == 1 &&
	       (run->in.len == 0 || EVP_CipherUpdate(ctx, run->out, &len,
					run->in.data, (int)run->in.len) == 1);
}

static bool encrypt(const EVP_CIPHER *gcm, const struct run *run)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len;
	bool done = ctx != NULL && begin_run(ctx, gcm, run, 1) &&
		    EVP_CipherFinal_ex(ctx, run->tag, &len) == 1 &&
		    EVP_CIPHER_CTX_ctrl(
			ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, run->tag) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return done;
}

/* False also when the tag does not fit. */
static bool decrypt(const EVP_CIPHER *gcm, const struct run *run)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t none[TAG_SIZE];
	int len;
	bool done = ctx != NULL && begin_run(ctx, gcm, run, 0) &&
		    EVP_CIPHER_CTX_ctrl(
			ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, run->tag) == 1 &&
		    EVP_CipherFinal_ex(ctx, none, &len) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return done;
}

/* ---- closing ---- */

/* A fresh salt for a process that begins to write, or has used up its own. */
static enum err_code settle_own(struct seal *seal, struct err *err)
{
	uint8_t salt[SALT_SIZE];

	if (seal->own != NULL && seal->counter < UINT32_MAX)
		return ERR_OK;
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return err_fail_crypto(err, "drawing a salt");
	opening_free(GIVE(seal->own));
	seal->counter = 0;
	return opening_new(seal, BYTES_OF(salt), &seal->own, err);
}

enum err_code seal_close(struct seal *seal, const struct row *row,
    struct bytes value, struct buf *out, struct err *err)
{
	OWNED_BUF(aad);
	enum err_code code = settle_own(seal, err);

	if (code != ERR_OK)
		return code;
	if (value.len > INT32_MAX)
		return err_fail(
		    err, ERR_CRYPTO, "a value of %zu octets", value.len);
	write_aad(row, &aad);
	buf_reset(out);
	buf_reserve(out, SEAL_OVERHEAD + value.len);
	buf_put_u8(out, FORM);
	buf_put(out, seal->own->salt, SALT_SIZE);
	buf_put_u32(out, seal->counter++);
	uint8_t *body = buf_extend(out, value.len + TAG_SIZE);
	const struct run run = {.key = seal->own->key,
	    .counter = out->data + 1 + SALT_SIZE,
	    .aad = buf_bytes(&aad),
	    .in = value,
	    .out = body,
	    .tag = body + value.len};
	if (!encrypt(seal->gcm, &run))
		return err_fail_crypto(err, "sealing a record");
	return ERR_OK;
}

/* ---- opening ---- */

/* The key of the values that bear SALT.  *TEMPORARY is the caller's to free. */
static enum err_code find_key(struct seal *seal, struct bytes salt,
    const struct secret **key_out, struct opening **temporary, struct err *err)
{
	struct opening *_Atomic *place = &seal->openings[salt.data[0]];
	struct opening *found = atomic_load(place);
	struct opening *none = NULL;
	enum err_code code;

	if (found == NULL || !bytes_equal(BYTES_OF(found->salt), salt)) {
		code = opening_new(seal, salt, &found, err);
		if (code != ERR_OK)
			return code;
		if (!atomic_compare_exchange_strong(place, &none, found))
			*temporary = found;
	}
	*key_out = found->key;
	return ERR_OK;
}

uint64_t seal_amiss(const struct seal *seal)
{
	return atomic_load(&seal->amiss);
}

void seal_count_amiss(struct seal *seal)
{
	atomic_fetch_add(&seal->amiss, 1);
}

static enum err_code refuse(
    struct seal *seal, const struct row *row, struct err *err)
{
	const char *key = err_quote(row->key.data, row->key.len);

	seal_count_amiss(seal);
	LOG(ERROR, "a row of the store was changed, moved or rolled back",
	    LOG_STR("table", table_name(row->table)), LOG_STR("key", key),
	    LOG_NUM("revision", row->revision));
	return err_fail(err, ERR_CORRUPT,
	    "%s: the row %s, revision %llu, does not open under its seal: it "
	    "was changed, moved or rolled back",
	    table_name(row->table), key, (unsigned long long)row->revision);
}

enum err_code seal_open(struct seal *seal, const struct row *row,
    struct bytes stored, struct buf *out, struct err *err)
{
	OWNED(opening) temporary = NULL;
	OWNED_BUF(aad);
	const struct secret *key;
	uint8_t tag[TAG_SIZE];
	size_t len;
	enum err_code code;

	buf_reset(out);
	if (stored.len < SEAL_OVERHEAD || stored.len > INT32_MAX ||
	    stored.data[0] != FORM)
		return refuse(seal, row, err);
	code = find_key(
	    seal, BYTES(stored.data + 1, SALT_SIZE), &key, &temporary, err);
	if (code != ERR_OK)
		return code;
	write_aad(row, &aad);
	len = stored.len - SEAL_OVERHEAD;
	memcpy(tag, stored.data + HEAD_SIZE + len, TAG_SIZE);
	const struct run run = {.key = key,
	    .counter = stored.data + 1 + SALT_SIZE,
	    .aad = buf_bytes(&aad),
	    .in = BYTES(stored.data + HEAD_SIZE, len),
	    .out = buf_extend(out, len),
	    .tag = tag};
	if (decrypt(seal->gcm, &run))
		return ERR_OK;
	buf_wipe(out);
	return refuse(seal, row, err);
}
