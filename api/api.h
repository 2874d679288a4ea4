// SPDX-License-Identifier: Apache-2.0
/* The API listener: from a request to the handler of its route, and back. */
#ifndef API_API_H
#define API_API_H

#include "api/exchange.h"

extern const struct service api_service;

/* What handlers share. */

/* The cluster in the path, refused when it is retired.
 * Errors: ERR_NOT_FOUND, ERR_POLICY, those of the store. */
MUST_CHECK enum err_code api_active_cluster(
    const struct exchange *x, struct cluster **cluster_out, struct err *err);

/* Attempts at a change whose records others change too.  Of those who meet, one
 * gets through each time: so about as many as there are threads. */
#define API_ATTEMPTS 64
/* Goes on after ERR_CONFLICT, counted, while attempts are left. */
MUST_CHECK bool api_again(enum err_code code, unsigned *attempt);

#endif
