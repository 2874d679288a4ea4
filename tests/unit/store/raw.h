// SPDX-License-Identifier: Apache-2.0
/* The hand of who has the store's files but not its key: rows are taken and put
 * behind its back, while it is closed.  Every helper asserts. */
#ifndef TESTS_STORE_RAW_H
#define TESTS_STORE_RAW_H

#include "fixture.h"

/* Replaces ROW by what is stored: revision (u64) and value. */
void raw_get(struct fixture *f, const char *table, struct bytes key,
    struct buf *row);
void raw_put(struct fixture *f, const char *table, struct bytes key,
    struct bytes row);
void raw_delete(struct fixture *f, const char *table, struct bytes key);

#endif
