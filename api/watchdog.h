// SPDX-License-Identifier: Apache-2.0
/* Whether this server still does what it is for, as a watchdog asks. */
#ifndef API_WATCHDOG_H
#define API_WATCHDOG_H

#include "api/server.h"

/* What was seen at the last look. */
struct watchdog {
	struct store_stats store;
};

/* Whether the store's writer did something between two looks, or had no need or no
 * way to: its counters do not stand still while somebody waits. */
bool watchdog_moves(
    const struct store_stats *before, const struct store_stats *now);

/*
 * Looks whether each listener takes a connection and answers it within a second
 * or so, the store's writer has written since the last look if anything waited
 * for it then, and workers can be started.  Logs what does not.  Waits; for the
 * main thread alone.
 */
bool watchdog_look(struct watchdog *watchdog, const struct app *app,
    const struct server *server);

#endif
