// SPDX-License-Identifier: Apache-2.0
/* What a running server does for itself: asks the token whether it is there,
 * renews its own certificates, watches how full the store
 * is, and looks at its rows. */
#ifndef API_MAINTAIN_H
#define API_MAINTAIN_H

#include "api/app.h"

struct maintenance;

/* Starts its thread; APP is borrowed.  Errors: ERR_IO. */
MUST_CHECK enum err_code maintain_open(
    struct app *app, struct maintenance **maintenance_out, struct err *err);
void maintain_close(struct maintenance *maintenance);

/* True when NOW is past two thirds of the life of VALIDITY. */
bool maintain_tls_is_due(const struct tls_validity *validity, int64_t now);

/* Counts the clusters in quarantine anew, for /metrics. */
MUST_CHECK enum err_code maintain_count_quarantines(
    struct app *app, struct err *err);

#endif
