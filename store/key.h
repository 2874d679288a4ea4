// SPDX-License-Identifier: Apache-2.0
/* Composite keys: parts joined so that their order is that of the parts. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "base/buf.h"

/* A key being built on the stack; add parts from left to right. */
struct key {
	size_t len;
	uint8_t octets[512];
};
#define KEY_INIT ((struct key){0, {0}})

/* Each aborts past STORE_KEY_MAX: callers bound what comes from outside. */
void key_add_text(struct key *key, const char *text);	/* and one zero octet */
void key_add_octets(struct key *key, struct bytes octets); /* as they are */
void key_add_u32(struct key *key, uint32_t value);
void key_add_u64(struct key *key, uint64_t value);
struct bytes key_bytes(const struct key *key);

#endif
