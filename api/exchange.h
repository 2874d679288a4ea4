// SPDX-License-Identifier: Apache-2.0
/*
 * One request and its answer, from the first octet to the last.
 *
 * An exchange belongs to the event thread of its connection, except between
 * being suspended and resumed: then it belongs to the job that runs it, and the
 * connection cannot end.  A server stops only when no job is left.
 */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H

#include <microhttpd.h>
#include "api/app.h"
#include "api/reply.h"
#include "api/route.h"
#include "api/server.h"
#include "ca/certificate.h"
#include "policies/identity.h"
#include "policies/token.h"

#define REQUEST_ID_SIZE 17	/* 16 hex digits and NUL */

struct exchange {
	struct app *app;
	struct listener *listener;

	/* The request. */
	char *text;		/* its target, being taken apart in place */
	const char *method;	/* static */
	struct target target;
	const struct route *route;	/* NULL outside the API */
	struct route_params params;
	unsigned what;		/* set by begin(), for answer() alone */
	size_t body_max;	/* octets; set by begin() */
	struct buf body;
	char request_id[REQUEST_ID_SIZE];
	const char *source;	/* address of the peer, text */

	/* Who asks (authn.h). */
	struct caller caller;
	struct token *token;	/* that authenticated it, or NULL */
	struct certificate *certificate; /* likewise */
	struct identity *identity; /* whose certificate, code or token it is;
				 * NULL: a node's */
	bool denied;		/* authorize() said no */
	bool needless;		/* others' consent, as the store was then */
	char *withheld;		/* the private name that its refusal is about */
	bool revealed;		/* private names are in its answer */
	struct err *refusal;	/* decided, but not yet told: the body is still
				 * to come, or the audit log to be written */

	/* The answer; CODE is how it came about. */
	struct reply reply;
	enum err_code code;

	/* Of exchange.c alone. */
	struct MHD_Connection *connection;
	struct peer *peer;
	struct job job;
	int64_t started_us;
	size_t discarded;	/* octets received past body_max */
	bool begun, answered;
	char target_text[];	/* storage of text */
};

/* What a listener does with an exchange. */
struct service {
	const char *name;	/* "api", "public", "ops" */
	size_t target_max;	/* octets */
	/*
	 * The headers are here: parses x->text, sets x->body_max (0: no body).
	 * An error is answered at once, and the connection ends.
	 */
	enum err_code (*begin)(
	    struct exchange *x, const char *method, struct err *err);
	/* The whole request is here: fills x->reply, or sets *later_out to have
	 * work() called on a worker thread.  Must not wait. */
	enum err_code (*answer)(
	    struct exchange *x, bool *later_out, struct err *err);
	enum err_code (*work)(struct exchange *x, struct err *err);
	/* Writes ERR into x->reply. */
	void (*refuse)(struct exchange *x, const struct err *err);
	/* The reply is complete: logs and counts. */
	void (*finished)(struct exchange *x, int64_t duration_us);
};

/* A request header, or NULL.  Borrowed; on the event thread only. */
const char *exchange_header(const struct exchange *x, const char *name);

/* The callbacks of libmicrohttpd; each closure is the listener. */
void *exchange_on_target(
    void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_on_request(void *cls,
    struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *data_size, void **state);
void exchange_on_completed(void *cls, struct MHD_Connection *connection,
    void **state, enum MHD_RequestTerminationCode why);

/* Drops what the exchange owns; for tests, which make their own. */
void exchange_clear(struct exchange *x);

#endif
