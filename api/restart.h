// SPDX-License-Identifier: Apache-2.0
/* Which settings a running server does not take from a configuration that is
 * read again. */
#ifndef API_RESTART_H
#define API_RESTART_H

#include "base/buf.h"
#include "base/config.h"

/* Appends to KEYS, with commas between, the keys in which FRESH differs from
 * RUNNING, what the server was started with, and which need a restart. */
void restart_keys(const struct config *running, const struct config *fresh,
    struct buf *keys);

#endif
