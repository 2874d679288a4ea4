// SPDX-License-Identifier: Apache-2.0
/* A whole instance that serves, with a certificate of an admin, and clients of
 * it by libcurl. */
#ifndef TESTS_UNIT_API_SITE_H
#define TESTS_UNIT_API_SITE_H
#include <curl/curl.h>
#include "tests/unit/api/fixture.h"
#include "tests/unit/api/harness.h"
#include "api/server.h"

struct site_answer {
	long status;
	struct buf body, headers;
};

struct site_call {
	const char *listener, *path, *method, *body, *type, *header;
	bool as_admin;
};

/* For as long as the group of tests runs. */
extern struct fixture site;
extern struct server *site_server;

/* CALL on a connection of CURL that may be used again. */
void site_perform(
    CURL *curl, const struct site_call *call, struct site_answer *answer);

/* CALL on a connection of its own; status -1: no answer. */
struct site_answer site_send(const struct site_call *call);

void site_answer_free(struct site_answer *answer);

/* Whether BUF holds TEXT. */
bool site_has(const struct buf *buf, const char *text);

/* The call is answered by STATUS, with TEXT in head or body. */
void site_expect(const struct site_call *call, long status, const char *text);

/* A bare connection to a listener. */
int site_connect(const char *listener);

/* Of a group. */
int site_begin(void **state);

int site_end(void **state);

#endif
