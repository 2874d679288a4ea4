// SPDX-License-Identifier: Apache-2.0
/* Keys made in the token.  Never retried: a lost answer can hide a key that was
 * made.  What was made is read back, and destroyed when it is not as asked. */
#ifndef HSM_GENERATE_H
#define HSM_GENERATE_H

#include "hsm/entropy.h"
#include "hsm/item.h"

#define GENERATE_LABEL_MAX 64

struct generate {
	struct token *token;
	struct entropy *entropy;
	struct bytes label; /* UTF-8, 1 to GENERATE_LABEL_MAX octets */
};

/* *uri_out is malloc'd; SPKI is appended to.
 * Errors: WIRE_BAD_REQUEST, WIRE_EXISTS, WIRE_UNSAFE, WIRE_REFUSED. */
MUST_CHECK enum wire_status generate_pair(const struct generate *generate,
    enum hsm_key_type type, char **uri_out, struct buf *spki,
    struct fault *fault);
MUST_CHECK enum wire_status generate_secret(const struct generate *generate,
    enum hsm_secret_use use, char **uri_out, struct fault *fault);

#endif
