// SPDX-License-Identifier: Apache-2.0
/* The digests of ca/, fetched from the provider once: a fetch takes locks. */
#ifndef CA_DIGEST_H
#define CA_DIGEST_H

#include <openssl/evp.h>
#include "base/buf.h"

enum digest { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };
#define DIGEST_SIZE_MAX 64

/* Borrowed for the life of the process.  Safe from any thread. */
const EVP_MD *digest_md(enum digest digest);
/* Writes the digest of DATA to OUT and returns its length. */
size_t digest_compute(enum digest digest, struct bytes data,
    uint8_t out[static 20]);
void digest_sha256(struct bytes data, uint8_t out[static 32]);

#endif
