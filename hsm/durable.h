// SPDX-License-Identifier: Apache-2.0
/* SoftHSM writes its objects without syncing them: after a power cut a key that
 * a CA already uses could be gone.  A real token needs none of this. */
#ifndef HSM_DURABLE_H
#define HSM_DURABLE_H

#include <stdbool.h>
#include "base/own.h"

/*
 * Syncs every file and directory under the token directory of SoftHSM's
 * configuration (SOFTHSM2_CONF, else the system's).  False when a sync failed;
 * true with a line in the log when the directory is not known.
 */
MUST_CHECK bool durable_softhsm(void);

#endif
