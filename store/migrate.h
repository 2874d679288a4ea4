// SPDX-License-Identifier: Apache-2.0
/* Brings a store that an older version wrote up to date. */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/engine.h"

/*
 * From format 1, whose audit log was a hash chain: follows the chain, which must
 * be whole, and writes the log anew as a tree, adding this to TX.
 * Errors: ERR_CORRUPT naming the entry; ERR_CRYPTO; those of the engine.
 */
MUST_CHECK enum err_code migrate_audit(const struct engine_ops *ops,
    struct transaction *tx, struct err *err);

#endif
