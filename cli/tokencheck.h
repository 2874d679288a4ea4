// SPDX-License-Identifier: Apache-2.0
/* Whether a token has the keys that a store was made with. */
#ifndef CLI_TOKENCHECK_H
#define CLI_TOKENCHECK_H

#include "hsm/hsm.h"
#include "store/store.h"

/*
 * Has each key that STORE (unlocked) names sign, and verifies that by the public
 * key on record: issuers but the root, whose token may be away, their responders,
 * the audit key; of the keys of the KMS, that they are there and safe.  What is
 * signed names this check and is no certificate, list or answer.
 * Errors: ERR_CONFIG naming the key that is absent or another one; ERR_HSM_*.
 */
MUST_CHECK enum err_code tokencheck(
    struct store *store, struct hsm *hsm, struct err *err);

#endif
