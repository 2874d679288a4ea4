// SPDX-License-Identifier: Apache-2.0
#include "store/key.h"

#include <stdlib.h>
#include <string.h>

#include "store/store.h"

static void add(struct key *key, const void *data, size_t len)
{
	if (len > STORE_KEY_MAX || key->len > STORE_KEY_MAX - len)
		abort();
	if (len > 0)
		memcpy(key->octets + key->len, data, len);
	key->len += len;
}

void key_add_text(struct key *key, const char *text)
{
	add(key, text, strlen(text) + 1);
}

void key_add_octets(struct key *key, struct bytes octets)
{
	add(key, octets.data, octets.len);
}

void key_add_u32(struct key *key, uint32_t value)
{
	uint8_t octets[4];

	for (unsigned i = 0; i < sizeof(octets); i++)
		octets[i] = (uint8_t)(value >> (24 - 8 * i));
	add(key, octets, sizeof(octets));
}

void key_add_u64(struct key *key, uint64_t value)
{
	uint8_t octets[8];

	for (unsigned i = 0; i < sizeof(octets); i++)
		octets[i] = (uint8_t)(value >> (56 - 8 * i));
	add(key, octets, sizeof(octets));
}

struct bytes key_bytes(const struct key *key)
{
	return BYTES(key->octets, key->len);
}
