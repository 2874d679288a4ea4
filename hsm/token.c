// SPDX-License-Identifier: Apache-2.0
#include "hsm/token.h"

#include <stdlib.h>

#include "base/secret.h"

#define PIN_MAX 255

struct token {
	CK_FUNCTION_LIST *p11;
	const char *pin_file;
	struct module_slot slot;
	const struct quirks *quirks;
	CK_SESSION_HANDLE owner;
	CK_SESSION_HANDLE session;
	uint64_t epoch;
};

static CK_RV open_session(struct token *token, CK_SESSION_HANDLE *session_out)
{
	/* Read-write at once: a login in a read-only session would have to be
	 * given up to generate. */
	return token->p11->C_OpenSession(token->slot.id,
	    CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session_out);
}

static enum wire_status check_pin_state(
    const struct token *token, struct fault *fault)
{
	CK_FLAGS flags = token->slot.info.flags;

	if ((flags & CKF_USER_PIN_INITIALIZED) == 0)
		return fault_set(
		    fault, WIRE_PIN, "the token has no user PIN yet");
	if ((flags & CKF_USER_PIN_LOCKED) != 0)
		return fault_set(fault, WIRE_PIN,
		    "the token's user PIN is locked; the SO can set a new one");
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return fault_set(fault, WIRE_PIN,
		    "one wrong PIN more locks the token, so the worker does "
		    "not "
		    "try: log in once by hand with the right PIN");
	return WIRE_OK;
}

/* Never called twice for one reason: a wrong PIN counts towards a locked token.
 */
static enum wire_status log_in(struct token *token, struct fault *fault)
{
	OWNED(secret) pin = NULL;
	struct err err = {0};
	enum wire_status status;
	CK_RV rv;

	if (secret_from_file(token->pin_file, PIN_MAX, &pin, &err) != ERR_OK)
		return fault_set(fault, WIRE_CONFIG, "PIN file: %s",
		    err.detail[0] != '\0' ? err.detail : err.cause);
	rv = token->p11->C_Login(
	    token->owner, CKU_USER, secret_data(pin), secret_len(pin));
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		return WIRE_OK;
	status = fault_ckr(fault, "C_Login", rv);
	if (status == WIRE_PIN)
		return fault_set(fault, WIRE_PIN,
		    "the token refuses the PIN in %s: %s; tried once, not "
		    "tried "
		    "again",
		    token->pin_file, ckr_name(rv));
	return status;
}

static enum wire_status open_sessions(struct token *token, struct fault *fault)
{
	enum wire_status status;
	CK_RV rv =
	    token->p11->C_GetTokenInfo(token->slot.id, &token->slot.info);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_GetTokenInfo", rv);
	status = check_pin_state(token, fault);
	if (status != WIRE_OK)
		return status;
	rv = open_session(token, &token->owner);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_OpenSession", rv);
	status = log_in(token, fault);
	if (status != WIRE_OK)
		return status;
	rv = open_session(token, &token->session);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_OpenSession", rv);
	return WIRE_OK;
}

enum wire_status token_open(struct module *module,
    const struct token_options *options, struct token **token_out,
    struct fault *fault)
{
	OWNED(token) token = mem_zalloc(sizeof(*token));
	enum wire_status status;

	token->p11 = module_functions(module);
	token->pin_file = options->pin_file;
	status = module_find_token(module, options->uri, &token->slot, fault);
	if (status != WIRE_OK)
		return status;
	token->quirks = quirks_of(&token->slot.info);
	status = open_sessions(token, fault);
	if (status == WIRE_REFUSED) /* without a login there is no token */
		status = fault->status = WIRE_DEVICE_GONE;
	if (status != WIRE_OK)
		return status;
	*token_out = GIVE(token);
	return WIRE_OK;
}

void token_close(struct token *token)
{
	if (token == NULL)
		return;
	if (token->owner != 0)
		(void)token->p11->C_CloseAllSessions(token->slot.id);
	free(token);
}

CK_FUNCTION_LIST *token_functions(struct token *token)
{
	return token->p11;
}

CK_SESSION_HANDLE token_owner(struct token *token)
{
	return token->owner;
}

CK_SESSION_HANDLE token_session(struct token *token)
{
	return token->session;
}

CK_SLOT_ID token_slot(const struct token *token)
{
	return token->slot.id;
}

const struct quirks *token_quirks(const struct token *token)
{
	return token->quirks;
}

const CK_TOKEN_INFO *token_info(const struct token *token)
{
	return &token->slot.info;
}

uint64_t token_epoch(const struct token *token)
{
	return token->epoch;
}

bool token_renew(struct token *token)
{
	(void)token->p11->C_CloseSession(token->session);
	token->session = 0;
	return open_session(token, &token->session) == CKR_OK;
}

static bool session_healthy(struct token *token, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	return token->p11->C_GetSessionInfo(session, &info) == CKR_OK &&
	       info.state == CKS_RW_USER_FUNCTIONS;
}

bool token_healthy(struct token *token)
{
	return session_healthy(token, token->owner) &&
	       session_healthy(token, token->session);
}

/* Every worker meets a lost token at once, each with the same PIN file.  When
 * that PIN has become wrong, the first try leaves its mark; the others leave the
 * next one to a worker that is started, of which there is one at a time. */
static enum wire_status check_pin_trusted(
    struct token *token, struct fault *fault)
{
	CK_RV rv =
	    token->p11->C_GetTokenInfo(token->slot.id, &token->slot.info);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_GetTokenInfo", rv);
	if ((token->slot.info.flags & CKF_USER_PIN_COUNT_LOW) == 0)
		return WIRE_OK;
	return fault_set(fault, WIRE_DEVICE_GONE,
	    "a wrong PIN has been tried since the last login; not tried here");
}

enum wire_status token_recover(struct token *token, struct fault *fault)
{
	enum wire_status status;

	token->epoch++;
	(void)token->p11->C_CloseAllSessions(token->slot.id);
	token->owner = 0;
	token->session = 0;
	status = check_pin_trusted(token, fault);
	if (status == WIRE_OK)
		status = open_sessions(token, fault);
	if (status == WIRE_REFUSED)
		status = fault->status = WIRE_DEVICE_GONE;
	return status;
}
