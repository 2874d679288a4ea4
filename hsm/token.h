// SPDX-License-Identifier: Apache-2.0
/*
 * The token that the worker is logged in to, and its two sessions.
 *
 * The owner session lives as long as the login: session objects (copies of
 * keys, loaded KEKs) belong to it.  Operations run in the other one, which is
 * thrown away after every failure, because a failed operation may stay open in
 * it. Both are lost together; token_recover opens them again and raises the
 * epoch, by which caches of handles see that theirs are void.
 */
#ifndef HSM_TOKEN_H
#define HSM_TOKEN_H

#include <stdint.h>
#include "hsm/module.h"
#include "hsm/quirks.h"

struct token;

struct token_options {
	const char *uri;
	const char *pin_file;
};
/*
 * Opens the sessions and logs in, with one try.  MODULE and the strings are
 * borrowed as long as the token lives.
 * Errors: WIRE_PIN (wrong, locked, or one try left), WIRE_CONFIG, DEVICE_GONE.
 */
MUST_CHECK enum wire_status token_open(struct module *module,
    const struct token_options *options, struct token **token_out,
    struct fault *fault);
void token_close(struct token *token);
DEFINE_CLEANUP(token, token_close)

CK_FUNCTION_LIST *token_functions(struct token *token);
CK_SESSION_HANDLE token_owner(struct token *token);
CK_SESSION_HANDLE token_session(struct token *token);
CK_SLOT_ID token_slot(const struct token *token);
const struct quirks *token_quirks(const struct token *token);
const CK_TOKEN_INFO *token_info(const struct token *token);
uint64_t token_epoch(const struct token *token);

/* Replaces the session for operations.  False when none can be opened. */
MUST_CHECK bool token_renew(struct token *token);
/* Both sessions stand and are logged in. */
MUST_CHECK bool token_healthy(struct token *token);
/* Closes all sessions, opens them again and logs in once; reads the PIN file
 * again, since the PIN is not kept.  Where a wrong PIN has been tried since the
 * last login it does not try, WIRE_DEVICE_GONE.  Errors: as token_open. */
MUST_CHECK enum wire_status token_recover(struct token *token, struct fault *fault);

#endif
