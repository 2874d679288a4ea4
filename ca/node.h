// SPDX-License-Identifier: Apache-2.0
/* The node: one octet, drawn once for a store, that its serials begin with. */
#ifndef CA_NODE_H
#define CA_NODE_H

#include "store/store.h"

/*
 * Reads the node of STORE.  Where none is recorded yet, draws one of 0x01-0x7f
 * and adds it to BATCH, required absent.
 * Errors: ERR_STORE, ERR_CORRUPT, ERR_CRYPTO.
 */
MUST_CHECK enum err_code node_get(struct store *store, struct batch *batch,
    uint8_t *node_out, struct err *err);

#endif
