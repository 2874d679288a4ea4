// SPDX-License-Identifier: Apache-2.0
/*
 * Aliases: what stands in the clear in the place of a name that policy calls
 * private.
 *
 * An alias is "alias:" and 32 hex digits, the first half of HMAC-SHA-256 over
 * the name under a key derived of the store's: the same name has the same
 * alias, and who has not the token can test no guess.  The name itself lies
 * sealed in ALIASES.  A store that is given another key gives other aliases
 * from then on; names of the earlier ones are found as before.
 */
#ifndef STORE_ALIAS_H
#define STORE_ALIAS_H

#include "store/store.h"

#define ALIAS_PREFIX "alias:"
#define ALIAS_SIZE 16 /* octets */
#define ALIAS_TEXT_SIZE (sizeof(ALIAS_PREFIX) + 2 * ALIAS_SIZE)
#define ALIAS_NAME_MAX 1024 /* octets */

/* The alias of NAME.  False, and TEXT_OUT as it was, where STORE has no key: it
 * is not sealed, or locked.  Safe from any thread. */
MUST_CHECK bool alias_make(struct store *store, const char *name,
    char text_out[static ALIAS_TEXT_SIZE]);

/* Adds the row by which alias_find finds NAME; nothing where STORE has no key
 * or NAME is longer than ALIAS_NAME_MAX. */
void alias_put(struct store *store, struct batch *batch, const char *name);

/* The first alias in TEXT (may be NULL); NULL: there is none. */
const char *alias_in(const char *text);

/* The name that the alias at ALIAS stands for, malloc'd; NULL where the store
 * has no row of it.  Errors: ERR_CORRUPT, ERR_STORE. */
MUST_CHECK enum err_code alias_find(
    struct store *store, const char *alias, char **name_out, struct err *err);

/* For keys of rows that are made of what may be private: a digest of OCTETS
 * that tells nothing to who has not the store's key; of a store without one it
 * is SHA-256.  Safe from any thread. */
void alias_digest(
    struct store *store, struct bytes octets, uint8_t digest_out[static 32]);

/* A row of ALIASES, and back: false for what alias_write does not write.
 * Padded, so that the length of a row does not tell that of the name. */
void alias_write(const char *name, struct buf *out);
MUST_CHECK bool alias_read(struct bytes row, char **name_out);

#endif
