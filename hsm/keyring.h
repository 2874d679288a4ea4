// SPDX-License-Identifier: Apache-2.0
/*
 * The keys in use, by URI.  A key is searched, read and held to the rule once;
 * then the URI leads to its handle without asking the token.  All handles are
 * void after a recovery of the token, and are found again when next asked for.
 */
#ifndef HSM_KEYRING_H
#define HSM_KEYRING_H

#include "hsm/item.h"

struct keyring;

enum key_role {
	KEY_SIGN, /* private key, EC or RSA */
	KEY_MAC, /* generic secret */
	KEY_WRAP, /* AES, wraps and unwraps */
};

struct key {
	CK_OBJECT_HANDLE handle; /* of the session copy where there is one */
	CK_KEY_TYPE type;
	unsigned bits;
	bool copied;
};

struct keyring *keyring_new(struct token *token) /* borrowed */
    __attribute__((returns_nonnull));
void keyring_free(struct keyring *ring);
DEFINE_CLEANUP(keyring, keyring_free)

/*
 * *key_out is borrowed until the next call for this keyring.
 * Errors: WIRE_BAD_REQUEST for what is no URI of an object; WIRE_NO_KEY when
 * none or several fit, or the URI names another token or class; WIRE_UNSAFE;
 * WIRE_REFUSED when it is not for ROLE.
 */
MUST_CHECK enum wire_status keyring_get(struct keyring *ring, struct bytes uri,
    enum key_role role, const struct key **key_out, struct fault *fault);

/* Reads the key as the token has it now, whatever its use.  One that is gone or
 * unsafe is forgotten, with its copy.  Errors: as keyring_get. */
MUST_CHECK enum wire_status keyring_check(struct keyring *ring, struct bytes uri,
    struct item *object_out, struct fault *fault);

#endif
