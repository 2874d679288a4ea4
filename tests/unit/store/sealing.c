// SPDX-License-Identifier: Apache-2.0
#include "sealing.h"

#include <string.h>

struct secret *make_key(uint8_t octet)
{
	struct secret *key = secret_new(STORE_KEY_SIZE);

	memset(secret_data(key), octet, STORE_KEY_SIZE);
	return key;
}

enum err_code seal_with(struct fixture *f, uint8_t octet)
{
	OWNED(secret) key = make_key(octet);

	return store_seal(f->store, BYTES_STR("how to get it"), key, &f->err);
}

void seal(struct fixture *f)
{
	if (seal_with(f, 1) != ERR_OK)
		fail_msg("%s%s", f->err.detail, f->err.cause);
}

enum err_code unseal_with(struct fixture *f, uint8_t octet)
{
	OWNED(secret) key = make_key(octet);

	return store_unseal(f->store, key, &f->err);
}
