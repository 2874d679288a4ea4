// SPDX-License-Identifier: Apache-2.0
/* The operations listener: health, readiness, metrics. */
#ifndef API_OPS_H
#define API_OPS_H

#include "api/exchange.h"

extern const struct service ops_service;

/* What keeps the server from being ready. */
struct readiness {
	bool stopping, store, hsm, crl;	/* true: amiss (stopping: is) */
};
struct readiness ops_readiness(struct app *app);

#endif
