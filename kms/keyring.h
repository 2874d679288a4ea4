// SPDX-License-Identifier: Apache-2.0
/*
 * The keyring names key-encryption keys, tracks their versions, and is the only
 * path to a KEK.  A KEK exists as a blob wrapped by the root KEK inside the
 * token; its record carries a MAC by another key of the token over cluster,
 * name, key id, version, state and blob, checked on load.  (An old record put
 * back whole still verifies: the audit log, not the MAC, shows that.)
 */
#ifndef KMS_KEYRING_H
#define KMS_KEYRING_H

#include "hsm/hsm.h"
#include "store/store.h"

#define KEY_ID_SIZE 16

enum kek_state {
	KEK_ENABLED = 1,
	KEK_DISABLED = 2,
	KEK_PENDING_DESTRUCTION = 3,
	KEK_DESTROYED = 4,
};

struct keyring;

/* STORE and HSM are borrowed.  ROOT and MAC: URIs of the token's keys. */
struct keyring_keys {
	const char *root, *mac;
};
MUST_CHECK enum err_code keyring_open(struct store *store, struct hsm *hsm,
    const struct keyring_keys *keys, struct keyring **ring_out,
    struct err *err);
void keyring_close(struct keyring *ring);
DEFINE_CLEANUP(keyring, keyring_close)

/* What people see of a key. */
struct key_info {
	char *cluster, *name;
	uint8_t id[KEY_ID_SIZE]; /* immutable, never used again */
	uint32_t version; /* active one */
	enum kek_state state;
	int64_t created; /* seconds */
};
void key_info_free(struct key_info *info);
DEFINE_CLEANUP(key_info, key_info_free)

/*
 * Makes version 1 in the token and adds key and version to BATCH, required
 * absent.  The cluster is the caller's to check.
 * Errors: ERR_BAD_FIELD (name), those of the token.  Waits.
 */
MUST_CHECK enum err_code keyring_create(struct keyring *ring, const char *cluster,
    const char *name, struct batch *batch, struct key_info **info_out,
    struct err *err);
/* Errors: ERR_NOT_FOUND, with the name; ERR_CORRUPT. */
MUST_CHECK enum err_code keyring_get(struct keyring *ring, const char *cluster,
    const char *name, struct key_info **info_out, struct err *err);
/* A page in the order of names, after the name AFTER (NULL: from the start), at
 * most LIMIT; each of INFOS is the caller's.  One record that does not verify
 * fails the page: what is listed is true.
 * Errors: ERR_BAD_FIELD (AFTER is no name), ERR_CORRUPT.  Waits. */
MUST_CHECK enum err_code keyring_list(struct keyring *ring, const char *cluster,
    const char *after, size_t limit, struct key_info **infos, size_t *count_out,
    struct err *err);

/* As keyring_get without the state, which keyring_kek() then judges: the short
 * way to use a key. */
MUST_CHECK enum err_code keyring_lookup(struct keyring *ring, const char *cluster,
    const char *name, struct key_info **info_out, struct err *err);

/*
 * Reads the version VERSION (0: the active one) of the key that INFO names, and
 * checks its MAC.  Each call reads the store, so that a change of state holds
 * from its commit on; only the outcome of the MAC is remembered.
 * Errors: ERR_NOT_FOUND (no such version), ERR_CORRUPT (the MAC does not fit,
 * or the active version is missing), ERR_KEY_DISABLED (any state but enabled).
 */
struct kek_record;
MUST_CHECK enum err_code keyring_kek(struct keyring *ring, const struct key_info *info,
    uint32_t version, struct kek_record *record_out, struct err *err);
/* Where KEKs are used: the pool, and the URI of the root KEK.  Borrowed. */
struct hsm *keyring_hsm(struct keyring *ring);
const char *keyring_root(const struct keyring *ring);

#endif
