// SPDX-License-Identifier: Apache-2.0
#include "policies/keytype.h"

#include <string.h>

static const char *const type_names[] = {
	[KEY_EC_P256] = "ec-p256",
	[KEY_EC_P384] = "ec-p384",
	[KEY_RSA_2048] = "rsa-2048",
	[KEY_RSA_3072] = "rsa-3072",
	[KEY_RSA_4096] = "rsa-4096",
};
_Static_assert(ARRAY_LEN(type_names) == KEY_TYPE_COUNT, "a name for each");

const char *key_type_name(enum key_type type)
{
	return type < KEY_TYPE_COUNT ? type_names[type] : "unknown";
}

bool key_type_parse(const char *name, enum key_type *type_out)
{
	for (size_t i = 0; i < KEY_TYPE_COUNT; i++) {
		if (strcmp(name, type_names[i]) == 0) {
			*type_out = (enum key_type)i;
			return true;
		}
	}
	return false;
}
