// SPDX-License-Identifier: Apache-2.0
/* A whole instance in a folder of its own: SoftHSM token, store, CAs, policies.
 */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H

#include "api/peer.h"
#include "api/exchange.h"

struct fixture {
	char dir[64];
	struct config *config;
	struct app *app;
	struct peer peer;	/* the connection of every exchange */
};

/* Makes the instance and opens it; aborts on any error. */
void fixture_begin(struct fixture *fixture);
void fixture_end(struct fixture *fixture);
/* Writes TEXT into the file NAME of its folder. */
void fixture_write(
    const struct fixture *fixture, const char *name, const char *text);

/* Has it use a folder of policies of its own: etcd.yaml, and TEXT in the file NAME
 * (roles, approvals). */
void fixture_rules(
    struct fixture *fixture, const char *name, const char *text);

/* Records the identity ID with every role of people. */
void fixture_identity(struct fixture *fixture,
    const uint8_t id[static IDENTITY_ID_SIZE], const char *name);

/* A request as its handler sees it; the caller frees it by exchange_done. */
struct ask {
	route_handler *handler;
	const char *cluster, *item; /* of the path */
	const char *query; /* "a=b&c=d" or NULL */
	const char *body;
};
struct exchange *exchange_make(struct fixture *fixture, const struct ask *ask);
void exchange_done(struct exchange *x);
/* Makes it come from a certificate with ROLES, bound to CLUSTER or not. */
void exchange_as(struct exchange *x, uint32_t roles, const char *cluster);
/* The body of its reply as JSON. */
json_t *exchange_json(const struct exchange *x);

/* A certificate request, PEM: a fresh P-256 key, CN and one DNS name; either
 * may be NULL.  With KEY not NULL that key is used, or made and kept there. */
char *csr_make(const char *cn, const char *dns, EVP_PKEY **key);
/* A JSON body of one or two strings; malloc'd. */
char *body_make(
    const char *name, const char *value, const char *name2, const char *value2);

#endif
