// SPDX-License-Identifier: Apache-2.0
/* Signatures and MACs by keys of the token.  Lengths are checked here, before
 * and after: tokens differ in what they let pass. */
#ifndef HSM_SIGN_H
#define HSM_SIGN_H

#include "hsm/keyring.h"

struct signature {
	uint8_t data[512]; /* RSA-4096 */
	size_t len;
};

/* MECHANISM is an enum hsm_mechanism as it came.
 * Errors: WIRE_BAD_REQUEST for data that do not belong to it; WIRE_REFUSED when
 * it is not for this key. */
MUST_CHECK enum wire_status sign_data(struct token *token, const struct key *key,
    uint8_t mechanism, struct bytes data, struct signature *signature_out,
    struct fault *fault);
/* HMAC-SHA-256, 32 octets. */
MUST_CHECK enum wire_status sign_hmac(struct token *token, const struct key *key,
    struct bytes data, struct signature *mac_out, struct fault *fault);

#endif
