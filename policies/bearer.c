// SPDX-License-Identifier: Apache-2.0
#include "policies/bearer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "base/text.h"

#define RANDOM_LEN 32
#define PREFIX_LEN 4
#define DIGITS_LEN 43		/* base64url of 32 octets, no padding */
#define TEXT_LEN (PREFIX_LEN + DIGITS_LEN)
#define ID_LEN (2 * BEARER_ID_SIZE)

static const char *const prefixes[] = {
	[BEARER_TOKEN] = "sgt_",
	[BEARER_CODE] = "sgc_",
	[BEARER_KEY_TOKEN] = "sgk_",
};

static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

enum bearer_kind bearer_kind(const char *text)
{
	for (size_t i = BEARER_TOKEN; i < ARRAY_LEN(prefixes); i++) {
		if (text_has_prefix(text, prefixes[i]))
			return (enum bearer_kind)i;
	}
	return BEARER_NONE;
}

/* 256 random bits as DIGITS_LEN characters at TO. */
static enum err_code draw_digits(uint8_t *to, struct err *err)
{
	OWNED(secret) random = secret_new(RANDOM_LEN);
	OWNED(secret) base64 = secret_new(DIGITS_LEN + 2); /* "=" and NUL */
	uint8_t *from = secret_data(base64);

	if (RAND_priv_bytes(secret_data(random), RANDOM_LEN) != 1)
		return err_fail_crypto(err, "RAND_priv_bytes");
	EVP_EncodeBlock(from, secret_data(random), RANDOM_LEN);
	for (size_t i = 0; i < DIGITS_LEN; i++) {
		uint8_t c = from[i];

		to[i] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	return ERR_OK;
}

enum err_code bearer_draw(
    enum bearer_kind kind, struct secret **text_out, struct err *err)
{
	OWNED(secret) text = secret_new(TEXT_LEN);
	uint8_t *to = secret_data(text);
	enum err_code code = draw_digits(to + PREFIX_LEN, err);

	if (code != ERR_OK)
		return code;
	memcpy(to, prefixes[kind], PREFIX_LEN);
	*text_out = GIVE(text);
	return ERR_OK;
}

enum err_code bearer_draw_for(enum bearer_kind kind,
    const uint8_t id[static BEARER_ID_SIZE], struct secret **text_out,
    struct err *err)
{
	OWNED(secret) text = secret_new(TEXT_LEN + ID_LEN);
	uint8_t *to = secret_data(text);
	char hex[ID_LEN + 1];
	enum err_code code = draw_digits(to + PREFIX_LEN + ID_LEN, err);

	if (code != ERR_OK)
		return code;
	memcpy(to, prefixes[kind], PREFIX_LEN);
	memcpy(to + PREFIX_LEN, hex_write(id, BEARER_ID_SIZE, hex), ID_LEN);
	*text_out = GIVE(text);
	return ERR_OK;
}

void bearer_id(struct bytes text, const uint8_t hash[static BEARER_HASH_SIZE],
    uint8_t id_out[static BEARER_ID_SIZE])
{
	char hex[ID_LEN + 1] = "";

	if (text.len == TEXT_LEN + ID_LEN)
		memcpy(hex, text.data + PREFIX_LEN, ID_LEN);
	if (!hex_parse(hex, id_out, BEARER_ID_SIZE))
		memcpy(id_out, hash, BEARER_ID_SIZE);
}

enum err_code bearer_hash(struct bytes text,
    uint8_t hash[static BEARER_HASH_SIZE], struct err *err)
{
	if (text.len > 2 * TEXT_LEN)
		text.len = 2 * TEXT_LEN;
	pthread_once(&sha256_once, fetch_sha256);
	if (sha256 == NULL ||
	    EVP_Digest(text.data, text.len, hash, NULL, sha256, NULL) != 1)
		return err_fail_crypto(err, "EVP_Digest");
	return ERR_OK;
}

bool bearer_hash_equal(const uint8_t a[static BEARER_HASH_SIZE],
    const uint8_t b[static BEARER_HASH_SIZE])
{
	return CRYPTO_memcmp(a, b, BEARER_HASH_SIZE) == 0;
}
