// SPDX-License-Identifier: Apache-2.0
/* Randomness that stays good when one of its sources is bad: the token's
 * generator XOR OpenSSL's.  Both are drawn in blocks, kept in locked memory and
 * wiped as they are used, so that an IV does not cost a call of either. */
#ifndef HSM_ENTROPY_H
#define HSM_ENTROPY_H

#include "hsm/token.h"

struct entropy;

struct entropy *entropy_new(struct token *token) /* borrowed */
    __attribute__((returns_nonnull));
void entropy_free(struct entropy *entropy); /* NULL-safe, wiped */
DEFINE_CLEANUP(entropy, entropy_free)

MUST_CHECK enum wire_status entropy_draw(
    struct entropy *entropy, uint8_t *out, size_t len, struct fault *fault);

#endif
