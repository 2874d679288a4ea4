// SPDX-License-Identifier: Apache-2.0
/* A whole authority over a store in a temporary folder and the fake token. */
#ifndef TESTS_UNIT_CA_FIXTURE_H
#define TESTS_UNIT_CA_FIXTURE_H

#include "ca/ca.h"
#include "ca/ceremony.h"
#include "tests/unit/ca/fake_hsm.h"

#define FIXTURE_URL "http://pki.example.net"
#define FIXTURE_CLUSTER "db1"

struct fixture {
	char dir[64];
	struct store *store;
	struct hsm *hsm;
	struct config config;
	struct ca *ca;		/* NULL until fixture_ceremony */
	struct ceremony_result *result;
};

/* Aborts the test where anything fails. */
struct fixture *fixture_new(void);		/* store and token, empty */
void fixture_ceremony(struct fixture *fixture);	/* and an open CA */
struct fixture *fixture_with_ca(void);		/* both of these */
void fixture_free(struct fixture *fixture);
DEFINE_CLEANUP(fixture, fixture_free)
/* Closes the CA and opens it again, as a start after a stop does. */
void fixture_reopen(struct fixture *fixture);

/* What an issuance needs: a P-256 request for DNS name NAME, decided for a day,
 * by the issuer "issuing-1", for the cluster FIXTURE_CLUSTER. */
struct fixture_order {
	struct cluster cluster;
	struct request *request;
	struct decision *decision;
	struct issue_order order;
};
struct fixture_order *fixture_order_new(const char *name);
void fixture_order_free(struct fixture_order *order);
DEFINE_CLEANUP(fixture_order, fixture_order_free)

/* Issues for NAME with a new key. */
struct certificate *fixture_issue(struct fixture *fixture, const char *name);
/* What OpenSSL's generators of this thread keep in the locked heap for good, once
 * all of them are there. */
size_t fixture_heap_idle(void);

/* Records in TABLE. */
uint64_t fixture_count(struct fixture *fixture, enum table table);

#endif
