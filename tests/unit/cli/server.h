// SPDX-License-Identifier: Apache-2.0
/* A TLS server on loopback that answers what a test wants, in a thread of its
 * own, one connection after the other. */
#ifndef TESTS_UNIT_CLI_SERVER_H
#define TESTS_UNIT_CLI_SERVER_H

#include "base/buf.h"
#include "tests/unit/cli/authority.h"

struct request {
	char *target;	/* "GET /api/v1/self" */
	char *head;	/* request line and headers */
	char *body;
};
struct reply {
	int status;		/* 0: closed without an answer */
	const char *type;	/* of the content */
	const char *header;	/* one more line with its CRLF, or "" */
	struct buf body;
};
typedef void serve(const struct request *request, struct reply *reply, void *arg);

struct server;
/* Its certificate is signed by AUTHORITY, for NAME ("IP:127.0.0.1"). */
struct server *server_start(const struct authority *authority,
    const char *name, serve *answer, void *arg);
void server_stop(struct server *server);
const char *server_url(const struct server *server);
/* Requests answered.  Asking makes what the answering function wrote visible to the
 * caller. */
unsigned server_requests(const struct server *server);

#endif
