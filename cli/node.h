// SPDX-License-Identifier: Apache-2.0
/* What an agent does for its node: enrol once, then renew when due. */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include "base/json.h"

/* Text is borrowed. */
struct node_order {
	const char *url, *fingerprint, *token_file;
	const char *profile, *dir, *key_type;
	const char *cn; /* or NULL */
	json_t *sans; /* array of "DNS:…", "IP:…", "URI:…" */
};

/*
 * Pins the root by its fingerprint, makes a key, and gets the node's first
 * certificate with the token.  Run again after any failure: the same key is
 * asked for, and a token already spent on it still gets its certificate.
 * STATE_OUT, NULL before, is what agent.json then holds.  Where the same order was
 * enrolled before and its certificate is still valid, nothing is asked for
 * and *fresh_out is false.  What was refused leaves nothing behind that was not
 * there before; what may have been done all the same leaves its key.
 * Errors: also ERR_EXISTS when another order is enrolled there.
 */
MUST_CHECK enum err_code node_enroll(const struct node_order *order,
    json_t **state_out, bool *fresh_out, struct err *err);

/*
 * Renews with a new key and the certificate held.  Changes STATE, whose
 * "reload" then says that the database has not been told yet.  *pause_out is
 * how many seconds a server that refused wants to be left alone; 0: not said.
 */
MUST_CHECK enum err_code node_renew(const char *dir, json_t *state,
    int64_t *pause_out, struct err *err);

/*
 * Asks the server whether it still takes the certificate held, and keeps in STATE
 * when that was ("looked").  Errors: ERR_UNAUTHENTICATED when it does not: it was
 * revoked, or the server knows it no longer; any other: that is not known.
 */
MUST_CHECK enum err_code node_look(
    const char *dir, json_t *state, struct err *err);

/* Seconds of the times in STATE ("renew_after", "not_after", "looked"); 0 when absent. */
int64_t node_time(const json_t *state, const char *field);

#endif
