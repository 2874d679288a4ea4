// SPDX-License-Identifier: Apache-2.0
/* Why an operation of the worker failed: what the pool is told, and what the
 * worker itself has to mend. */
#ifndef HSM_FAULT_H
#define HSM_FAULT_H

#include "base/own.h"
#include "hsm/ckr.h"
#include "hsm/wire.h"

struct fault {
	enum wire_status status;
	enum trouble trouble; /* TROUBLE_NONE: the token had no part in it */
	char text[480]; /* for the log; for the admin on CONFIG and PIN */
};

/* Fill *FAULT and return its status, which is never WIRE_OK. */
enum wire_status fault_set(struct fault *fault, enum wire_status status,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The function FUNCTION of the module returned RV (not CKR_OK): REFUSED,
 * DEVICE_GONE or PIN, by its trouble. */
enum wire_status fault_ckr(struct fault *fault, const char *function, CK_RV rv);

const char *wire_status_name(enum wire_status status);

#endif
