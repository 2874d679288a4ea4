// SPDX-License-Identifier: Apache-2.0
/* The operations of hsm/wire.h, as a table. */
#ifndef HSM_OPS_H
#define HSM_OPS_H

#include "hsm/kek.h"
#include "hsm/keyring.h"

/* What operations work with; nothing here is owned. */
struct ops {
	struct token *token;
	struct keyring *ring;
	struct entropy *entropy;
	struct kek_cache *keks;
};

/*
 * Does OP on FIELDS and appends the fields of the reply to OUT; after a failure
 * the caller takes back what was appended.  A session that was lost is opened
 * again and the operation done again, at most twice, unless it makes a key in the
 * token.
 * WIRE_DEVICE_GONE, WIRE_PIN and WIRE_CONFIG end the worker.
 */
MUST_CHECK enum wire_status ops_run(struct ops *ops, uint8_t op, struct reader fields,
    struct buf *out, struct fault *fault);

#endif
