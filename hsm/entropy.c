// SPDX-License-Identifier: Apache-2.0
#include "hsm/entropy.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define BLOCK_SIZE 2048

/* The last LEFT octets of block are unused; used ones are wiped at once. */
struct entropy {
	struct token *token;
	struct secret *block; /* both sources, mixed */
	size_t left;
};

struct entropy *entropy_new(struct token *token)
{
	struct entropy *entropy = mem_zalloc(sizeof(*entropy));

	entropy->token = token;
	entropy->block = secret_new(BLOCK_SIZE);
	return entropy;
}

void entropy_free(struct entropy *entropy)
{
	if (entropy == NULL)
		return;
	secret_free(entropy->block);
	free(entropy);
}

static enum wire_status refill(struct entropy *entropy, struct fault *fault)
{
	OWNED(secret) own = secret_new(BLOCK_SIZE);
	uint8_t *block = secret_data(entropy->block);
	const uint8_t *mix = secret_data(own);
	CK_RV rv = token_functions(entropy->token)
		       ->C_GenerateRandom(token_session(entropy->token), block,
			   BLOCK_SIZE);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_GenerateRandom", rv);
	if (RAND_priv_bytes(secret_data(own), BLOCK_SIZE) != 1)
		return fault_set(
		    fault, WIRE_REFUSED, "OpenSSL's generator failed");
	for (size_t i = 0; i < BLOCK_SIZE; i++)
		block[i] ^= mix[i];
	entropy->left = BLOCK_SIZE;
	return WIRE_OK;
}

enum wire_status entropy_draw(
    struct entropy *entropy, uint8_t *out, size_t len, struct fault *fault)
{
	while (len > 0) {
		enum wire_status status = WIRE_OK;
		uint8_t *from;
		size_t part;

		if (entropy->left == 0)
			status = refill(entropy, fault);
		if (status != WIRE_OK)
			return status;
		part = len < entropy->left ? len : entropy->left;
		from = secret_data(entropy->block) + BLOCK_SIZE - entropy->left;
		memcpy(out, from, part);
		OPENSSL_cleanse(from, part);
		entropy->left -= part;
		out += part;
		len -= part;
	}
	return WIRE_OK;
}
