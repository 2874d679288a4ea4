// SPDX-License-Identifier: Apache-2.0
/* The types of public key that a certificate may carry. */
#ifndef POLICIES_KEYTYPE_H
#define POLICIES_KEYTYPE_H

#include <stdbool.h>
#include "base/own.h"

enum key_type {
	KEY_EC_P256,
	KEY_EC_P384,
	KEY_RSA_2048,
	KEY_RSA_3072,
	KEY_RSA_4096,
	KEY_TYPE_COUNT
};
#define KEY_TYPE_BIT(type) (1u << (type))

const char *key_type_name(enum key_type type);	/* "ec-p256", "rsa-3072" */
MUST_CHECK bool key_type_parse(const char *name, enum key_type *type_out);

#endif
