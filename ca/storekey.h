// SPDX-License-Identifier: Apache-2.0
/*
 * The key that seals the store (store/seal.h), kept by the token: a key-encryption
 * key made there and wrapped by the root KEK seals 32 random octets.  The store
 * holds both in the clear, with the root KEK's URI; without the token they open
 * nothing.
 */
#ifndef CA_STOREKEY_H
#define CA_STOREKEY_H

#include "hsm/hsm.h"
#include "store/store.h"

/*
 * Makes a key under ROOT_URI and seals STORE with it, or anew when it is sealed
 * and unlocked; see store_seal.  Errors: those of hsm.h and store_seal.
 */
MUST_CHECK enum err_code storekey_seal(struct store *store, struct hsm *hsm,
    const char *root_uri, struct err *err);

/* As storekey_seal, under the root KEK that the store records: its own when it is
 * sealed, else that of its ceremony.  Errors: also ERR_NOT_FOUND without one. */
MUST_CHECK enum err_code storekey_renew(
    struct store *store, struct hsm *hsm, struct err *err);

/*
 * Unlocks STORE by the token.  Errors: ERR_CONFIG when the store is not sealed,
 * or the token's root KEK does not open its key: it belongs to another token;
 * ERR_CORRUPT; those of hsm.h and store_unseal.
 */
MUST_CHECK enum err_code storekey_unseal(
    struct store *store, struct hsm *hsm, struct err *err);

/* The URI of the root KEK by which STORE opens, malloc'd; NULL where it is not
 * sealed.  STORE may be locked.  Errors: ERR_STORE, ERR_CORRUPT. */
MUST_CHECK enum err_code storekey_root(
    struct store *store, char **uri_out, struct err *err);

#endif
