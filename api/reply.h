// SPDX-License-Identifier: Apache-2.0
/* What is answered: a status and a body, or a whole response shared by many. */
#ifndef API_REPLY_H
#define API_REPLY_H

#include <jansson.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

struct MHD_Connection;
struct MHD_Response;

/* A response with its headers, sent to many.  References are counted. */
struct ready;
struct ready *ready_new(struct MHD_Response *response);	/* takes it over */
struct ready *ready_ref(struct ready *ready);
void ready_free(struct ready *ready);
DEFINE_CLEANUP(ready, ready_free)

struct reply {
	unsigned status;	/* 0: nothing yet */
	const char *type;	/* media type, static */
	struct buf body;
	struct secret *secret;	/* the body instead, when it holds a secret */
	struct ready *ready;	/* headers and body instead; one reference */
	const char *allow;	/* with 405; static */
	unsigned retry_after;	/* seconds; 0: not said */
	bool close;		/* the connection ends with this answer */
	bool challenge;		/* WWW-Authenticate goes with 401 */
};
/* Drops what the reply holds and leaves it as nothing. */
void reply_reset(struct reply *reply);

void reply_json(struct reply *reply, unsigned status, const json_t *json);
void reply_text(struct reply *reply, unsigned status, const char *text);

/* The HTTP status that tells CODE. */
unsigned reply_status(enum err_code code);
/* RFC 9457.  The body never holds err->cause. */
void reply_problem(struct reply *reply, const struct err *err,
    const char *request_id);

/*
 * Queues the reply on CONNECTION, which must be suspended or asking, and leaves
 * REPLY as nothing.  REQUEST_ID may be NULL.  False when it could not be
 * queued: the connection is to be closed.
 */
MUST_CHECK bool reply_send(struct reply *reply,
    struct MHD_Connection *connection, const char *request_id);

#endif
