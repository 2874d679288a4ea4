// SPDX-License-Identifier: Apache-2.0
/* What the tests of handlers share: one instance for a program, its handlers
 * called as an admin, as the bearer of a token or as a node, and the audit log. */
#ifndef TESTS_UNIT_API_CALLS_H
#define TESTS_UNIT_API_CALLS_H

#include "fixture.h"

/* Of the group of tests that begins and ends with the two below. */
extern struct fixture fixture;
extern struct err err;
int calls_begin(void **state);
int calls_end(void **state);
/* A test, the last of each program. */
void the_audit_log_is_whole_after_all_of_it(void **state);

#define ADMIN ROLE_ALL_HUMAN

struct last_entry {
	char action[64], result[16], actor[64], object[128], cluster[64];
};

/* Runs the handler as an admin, whose request must be accepted or refused. */
json_t *run_ok(const struct ask *ask, unsigned status);
enum err_code run_refused(const struct ask *ask);
/* A text of an answer, malloc'd. */
char *member(const json_t *json, const char *key);
void make_cluster(const char *name);

/* The log's last sequence; and its entries without the publisher's own. */
uint64_t audit_end(void);
uint64_t audit_count(void);
struct last_entry last_audit(void);

/* The text of a new token for CLUSTER, malloc'd; BODY as the route takes it. */
char *make_token(const char *cluster, const char *body);
/* An exchange that came with TOKEN, past the checks before its handler. */
struct exchange *with_token(
    const struct ask *ask, const char *token, enum err_code *code_out);
/* A node of CLUSTER asks with TOKEN for a certificate by profile "peer". */
void enrol_refused(
    const char *cluster, const char *token, const char *csr, enum err_code want);
/* The serial that was issued. */
char *enrol_ok(
    const char *cluster, const char *token, const char *csr, unsigned status);

#endif
