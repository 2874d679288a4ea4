// SPDX-License-Identifier: Apache-2.0
#include "base/stream.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_SIZE 12		/* a counter of 11 octets, and the flag */
#define LAST 1

struct stream {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *context;
	struct secret *key;
	uint64_t next;	/* number of the chunk */
	bool ended;
};

enum err_code stream_new(
    const struct secret *key, struct stream **stream_out, struct err *err)
{
	OWNED(stream) stream = mem_zalloc(sizeof(*stream));

	if (secret_len(key) != STREAM_KEY_SIZE)
		abort();
	stream->key = secret_copy(secret_bytes(key).data, STREAM_KEY_SIZE);
	stream->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	stream->context = EVP_CIPHER_CTX_new();
	if (stream->cipher == NULL || stream->context == NULL)
		return err_fail_crypto(err, "AES-256-GCM");
	*stream_out = GIVE(stream);
	return ERR_OK;
}

void stream_free(struct stream *stream)
{
	if (stream == NULL)
		return;
	EVP_CIPHER_CTX_free(stream->context);
	EVP_CIPHER_free(stream->cipher);
	secret_free(stream->key);
	free(stream);
}

static void write_nonce(
    const struct stream *stream, bool last, uint8_t nonce[static NONCE_SIZE])
{
	memset(nonce, 0, NONCE_SIZE);
	for (unsigned i = 0; i < 8; i++)
		nonce[3 + i] = (uint8_t)(stream->next >> (56 - 8 * i));
	nonce[NONCE_SIZE - 1] = last ? LAST : 0;
}

static bool begin(struct stream *stream, bool last, bool seal)
{
	uint8_t nonce[NONCE_SIZE];

	write_nonce(stream, last, nonce);
	return EVP_CipherInit_ex2(stream->context, stream->cipher,
		   secret_data(stream->key), nonce, seal ? 1 : 0, NULL) == 1;
}

static void move_on(struct stream *stream, bool last)
{
	stream->next++;
	stream->ended = last;
}

enum err_code stream_seal(struct stream *stream, struct bytes chunk, bool last,
    uint8_t *out, struct err *err)
{
	EVP_CIPHER_CTX *context = stream->context;
	int len = 0;

	if (stream->ended || stream->next == UINT64_MAX ||
	    chunk.len > STREAM_CHUNK || (!last && chunk.len != STREAM_CHUNK))
		abort();
	if (!begin(stream, last, true) ||
	    (chunk.len > 0 && EVP_EncryptUpdate(context, out, &len, chunk.data,
				  (int)chunk.len) != 1) ||
	    EVP_EncryptFinal_ex(context, out + chunk.len, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, STREAM_TAG,
		out + chunk.len) != 1)
		return err_fail_crypto(err, "sealing a chunk");
	move_on(stream, last);
	return ERR_OK;
}

enum err_code stream_open(struct stream *stream, struct bytes sealed,
    bool last, uint8_t *out, struct err *err)
{
	EVP_CIPHER_CTX *context = stream->context;
	uint8_t tag[STREAM_TAG], none[16];
	int len = 0;

	if (stream->ended || sealed.len < STREAM_TAG ||
	    sealed.len > STREAM_SEALED ||
	    (!last && sealed.len != STREAM_SEALED))
		return err_fail(err, ERR_CORRUPT,
		    "chunk %llu has not the size of one",
		    (unsigned long long)stream->next);
	size_t content = sealed.len - STREAM_TAG;
	memcpy(tag, sealed.data + content, STREAM_TAG);
	/* All that can fail of itself comes before there is any of it. */
	if (!begin(stream, last, false) ||
	    EVP_CIPHER_CTX_ctrl(
		context, EVP_CTRL_AEAD_SET_TAG, STREAM_TAG, tag) != 1)
		return err_fail_crypto(err, "opening a chunk");
	if ((content > 0 && EVP_DecryptUpdate(context, out, &len, sealed.data,
				(int)content) != 1) ||
	    EVP_DecryptFinal_ex(context, none, &len) != 1) {
		OPENSSL_cleanse(out, content);
		return err_fail(err, ERR_CORRUPT, "chunk %llu does not open",
		    (unsigned long long)stream->next);
	}
	move_on(stream, last);
	return ERR_OK;
}
