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

/* As api_active_cluster, by NAME. */
MUST_CHECK enum err_code api_get_active(const struct exchange *x,
    const char *name, struct cluster **cluster_out, struct err *err);

/* Answers 201 with VIEW and the member KEY, whose value is SHOWN: what is shown
 * this once stands in locked memory alone. */
void api_reply_shown_once(struct exchange *x, const json_t *view,
    const char *key, const struct secret *shown);

/* Attempts at a change whose records others change too.  Of those who meet, one
 * gets through each time: so about as many as there are threads. */
#define API_ATTEMPTS 64
/* Goes on after ERR_CONFLICT, counted, while attempts are left. */
MUST_CHECK bool api_again(enum err_code code, unsigned *attempt);

#endif
