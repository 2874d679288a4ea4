// SPDX-License-Identifier: Apache-2.0
/* The client of the HTTP interface (doc/http-api.md). */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/json.h"
#include "base/secret.h"

struct client;

/* All text is borrowed for the call.  Certificate and key, or a token, or
 * neither. */
struct client_options {
	const char *url; /* https://HOST:PORT */
	const char *ca_file; /* PEM of the roots to trust, or … */
	struct bytes ca_pem; /* … the PEM itself */
	const char *cert_file, *key_file;
	const struct secret *token;
	int64_t timeout_ms; /* of one call; 0: 30 s */
};
/* Errors: ERR_USAGE for a URL that is not https; ERR_CONFIG for files that
 * cannot be used. */
MUST_CHECK enum err_code client_open(const struct client_options *options,
    struct client **client_out, struct err *err);
void client_close(struct client *client);
DEFINE_CLEANUP(client, client_close)

/*
 * Calls METHOD on PATH ("/clusters/…", already percent-encoded) below /api/v1.
 * BODY and ANSWER_OUT may be NULL.  The caller owns *answer_out.
 * Errors: what the server said, with its detail and request id, under the
 * code of its slug; ERR_UNREACHABLE when there was no answer; ERR_AWAITING when
 * others must consent first, and *answer_out is then the approval.
 */
MUST_CHECK enum err_code client_call(struct client *client, const char *method,
    const char *path, const json_t *body, json_t **answer_out, struct err *err);

/* Seconds that the last answer wants waited before the same is asked again
 * (Retry-After of a 429 or 503, RFC 9110 10.2.3); 0: not said. */
int64_t client_retry_after(const struct client *client);

/* Follows "next" from page to page; *items_out is the array of all items. */
MUST_CHECK enum err_code client_list(struct client *client, const char *path,
    json_t **items_out, struct err *err);

/*
 * Fetches the roots of URL over a connection that is not trusted, and keeps the
 * one whose DER has the SHA-256 FINGERPRINT: the pin makes it trusted.
 * Errors: ERR_POLICY when none fits.
 */
MUST_CHECK enum err_code client_fetch_root(const char *url,
    const uint8_t fingerprint[static 32], struct buf *pem, struct err *err);

/* Appends TEXT percent-encoded to a path or query. */
void url_put(struct buf *url, const char *text);

#endif
