// SPDX-License-Identifier: Apache-2.0
#include "ca/digest.h"

#include <pthread.h>
#include <stdlib.h>

static const char *const names[] = {
	[DIGEST_SHA1] = "SHA1",
	[DIGEST_SHA256] = "SHA2-256",
	[DIGEST_SHA384] = "SHA2-384",
	[DIGEST_SHA512] = "SHA2-512",
};
static EVP_MD *fetched[ARRAY_LEN(names)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		fetched[i] = EVP_MD_fetch(NULL, names[i], NULL);
		if (fetched[i] == NULL)
			abort();	/* no default provider: nothing works */
	}
}

const EVP_MD *digest_md(enum digest digest)
{
	if (pthread_once(&once, fetch_all) != 0)
		abort();
	return fetched[digest];
}

size_t digest_compute(
    enum digest digest, struct bytes data, uint8_t out[static 20])
{
	unsigned len = 0;

	if (EVP_Digest(data.data, data.len, out, &len, digest_md(digest),
		NULL) != 1)
		abort();	/* only exhausted memory makes it fail */
	return len;
}

void digest_sha256(struct bytes data, uint8_t out[static 32])
{
	(void)digest_compute(DIGEST_SHA256, data, out);
}
