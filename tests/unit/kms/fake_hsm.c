// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fake_hsm.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEK_SIZE 32
#define BLOB_SIZE 40
#define IV_SIZE 12
#define TAG_SIZE 16

struct hsm {
	unsigned counts[FAKE_CALLS];
	enum err_code faults[FAKE_CALLS];
	size_t blob_len;
	unsigned drawn; /* how often octets were drawn */
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake_hsm: %s\n", what);
	abort();
}

struct hsm *fake_hsm_new(void)
{
	return mem_zalloc(sizeof(struct hsm));
}

void fake_hsm_free(struct hsm *hsm)
{
	free(hsm);
}

unsigned fake_hsm_count(const struct hsm *hsm, enum fake_call call)
{
	return hsm->counts[call];
}

void fake_hsm_fail(struct hsm *hsm, enum fake_call call, enum err_code code)
{
	hsm->faults[call] = code;
}

void fake_hsm_set_blob_len(struct hsm *hsm, size_t len)
{
	hsm->blob_len = len;
}

static enum err_code begin(
    struct hsm *hsm, enum fake_call call, struct err *err)
{
	hsm->counts[call]++;
	if (hsm->faults[call] == ERR_OK)
		return ERR_OK;
	return err_fail(err, hsm->faults[call], "fake: as ordered");
}

/* LEN octets (at most 64) that follow from how many were drawn before. */
static void draw(struct hsm *hsm, uint8_t *out, size_t len)
{
	char seed[32];
	uint8_t digest[64];

	snprintf(seed, sizeof(seed), "fake %u", hsm->drawn++);
	must(len <= sizeof(digest) &&
		 EVP_Digest(seed, strlen(seed), digest, NULL, EVP_sha512(),
		     NULL) == 1,
	    "EVP_Digest");
	memcpy(out, digest, len);
}

static void fixed_key(const char *uri, uint8_t key[static KEK_SIZE])
{
	must(EVP_Digest(uri, strlen(uri), key, NULL, EVP_sha256(), NULL) == 1,
	    "EVP_Digest");
}

/* RFC 3394, either way; false when the blob does not fit the root. */
static bool key_wrap(const char *root, bool wrap, struct bytes in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[KEK_SIZE];
	int len = 0;
	bool done;

	fixed_key(root, key);
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	done = EVP_CipherInit_ex(
		   ctx, EVP_aes_256_wrap(), NULL, key, NULL, wrap) == 1 &&
	       EVP_CipherUpdate(ctx, out, &len, in.data, (int)in.len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return done;
}

enum err_code hsm_kek_new(
    struct hsm *hsm, const char *root, struct buf *blob, struct err *err)
{
	uint8_t kek[KEK_SIZE];
	enum err_code code = begin(hsm, FAKE_KEK_NEW, err);

	if (code != ERR_OK)
		return code;
	draw(hsm, kek, sizeof(kek));
	if (hsm->blob_len != 0) {
		memset(buf_extend(blob, hsm->blob_len), 7, hsm->blob_len);
		return ERR_OK;
	}
	must(key_wrap(root, true, BYTES_OF(kek), buf_extend(blob, BLOB_SIZE)),
	    "wrapping");
	return ERR_OK;
}

enum err_code hsm_hmac(struct hsm *hsm, const char *uri, struct bytes data,
    uint8_t mac_out[static 32], struct err *err)
{
	uint8_t key[KEK_SIZE];
	enum err_code code = begin(hsm, FAKE_HMAC, err);

	if (code != ERR_OK)
		return code;
	fixed_key(uri, key);
	must(HMAC(EVP_sha256(), key, sizeof(key), data.data, data.len, mac_out,
		 NULL) != NULL,
	    "HMAC");
	return ERR_OK;
}

static enum err_code load_kek(const struct hsm_kek *kek,
    uint8_t out[static KEK_SIZE + 8], struct err *err)
{
	if (kek->blob.len == BLOB_SIZE &&
	    key_wrap(kek->root, false, kek->blob, out))
		return ERR_OK;
	return err_fail(err, ERR_HSM_REFUSED, "fake: the blob does not unwrap");
}

enum err_code hsm_data_key(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, size_t len, struct secret **plaintext_out,
    struct buf *sealed, struct err *err)
{
	uint8_t key[KEK_SIZE + 8], octets[64];
	enum err_code code = begin(hsm, FAKE_DATA_KEY, err);
	int done = 0;

	if (code != ERR_OK || (code = load_kek(kek, key, err)) != ERR_OK)
		return code;
	draw(hsm, octets, len);
	uint8_t *iv = buf_extend(sealed, IV_SIZE + len + TAG_SIZE);
	draw(hsm, iv, IV_SIZE);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	must(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
		 EVP_EncryptUpdate(
		     ctx, NULL, &done, aad.data, (int)aad.len) == 1 &&
		 EVP_EncryptUpdate(
		     ctx, iv + IV_SIZE, &done, octets, (int)len) == 1 &&
		 EVP_EncryptFinal_ex(ctx, iv + IV_SIZE + len, &done) == 1 &&
		 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE,
		     iv + IV_SIZE + len) == 1,
	    "sealing");
	EVP_CIPHER_CTX_free(ctx);
	if (plaintext_out != NULL)
		*plaintext_out = secret_copy(octets, len);
	return ERR_OK;
}

static bool unseal(
    const uint8_t *key, struct bytes aad, struct bytes sealed, uint8_t *out)
{
	size_t len = sealed.len - IV_SIZE - TAG_SIZE;
	const uint8_t *text = sealed.data + IV_SIZE;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_SIZE];
	int done = 0;

	memcpy(tag, text + len, sizeof(tag));
	bool fits =
	    EVP_DecryptInit_ex(
		ctx, EVP_aes_256_gcm(), NULL, key, sealed.data) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &done, aad.data, (int)aad.len) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &done, text, (int)len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + len, &done) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return fits;
}

enum err_code hsm_open_sealed(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, struct bytes sealed, struct secret **plaintext_out,
    struct err *err)
{
	uint8_t key[KEK_SIZE + 8], octets[4096 + TAG_SIZE];
	enum err_code code = begin(hsm, FAKE_OPEN, err);

	if (code != ERR_OK || (code = load_kek(kek, key, err)) != ERR_OK)
		return code;
	must(sealed.len > IV_SIZE + TAG_SIZE && sealed.len < sizeof(octets),
	    "kms/ asks for what it should refuse");
	if (!unseal(key, aad, sealed, octets))
		return err_refuse(err, ERR_UNWRAP, "fake: the tag");
	*plaintext_out =
	    secret_copy(octets, sealed.len - IV_SIZE - TAG_SIZE);
	return ERR_OK;
}
