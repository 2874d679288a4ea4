// SPDX-License-Identifier: Apache-2.0
/* The store of an instance for a command that works without the server. */
#ifndef CLI_UNLOCK_H
#define CLI_UNLOCK_H

#include "base/config.h"
#include "hsm/hsm.h"
#include "store/store.h"

/* The store that CONFIG names, as it stands: locked when it is sealed.  Opened
 * for writing it is refused while a server has it. */
MUST_CHECK enum err_code unlock_open(const struct config *config,
    bool read_only, struct store **store_out, struct err *err);

/* One worker on the token that CONFIG names. */
MUST_CHECK enum err_code unlock_token(
    const struct config *config, struct hsm **hsm_out, struct err *err);

/* Unlocks STORE by the token; what is not sealed stays as it is.
 * Errors: those of unlock_token and storekey_unseal. */
MUST_CHECK enum err_code unlock_store(
    const struct config *config, struct store *store, struct err *err);

/* *SEALED_OUT: its rows are. */
MUST_CHECK enum err_code unlock_is_sealed(
    struct store *store, bool *sealed_out, struct err *err);

#endif
