// SPDX-License-Identifier: Apache-2.0
/* Where the commands of the audit log get it from: the server, or files. */
#ifndef CLI_AUDITLOG_H
#define CLI_AUDITLOG_H

#include "cli/client.h"
#include "cli/verifier.h"

/* Names in the folder of an export. */
#define AUDIT_ENTRIES "entries.jsonl"
#define AUDIT_CHECKPOINTS "checkpoints.jsonl"
#define AUDIT_KEY "key.pem"

/* What GET /audit/checkpoint says. */
struct audit_point {
	struct audit_head head;	/* of the log when first asked */
	char *note;		/* NULL: none signed yet */
	char *key;		/* PEM; NULL: none yet */
};
void audit_point_end(struct audit_point *point);
#define OWNED_POINT(name)                                                      \
	__attribute__((cleanup(audit_point_end))) struct audit_point name = {0}
/* Waits some seconds for a checkpoint that covers the head.
 * Errors: those of client_call; ERR_INTERNAL for an answer that is none. */
MUST_CHECK enum err_code auditlog_point(
    struct client *client, struct audit_point *point, struct err *err);

/* Calls EACH with the entries behind number AFTER up to number LAST. */
typedef enum err_code auditlog_each(
    json_t *entry, void *arg, struct err *err);
struct auditlog_range {
	uint64_t after, last;
};
MUST_CHECK enum err_code auditlog_fetch(struct client *client,
    struct auditlog_range range, auditlog_each *each, void *arg,
    struct err *err);

/*
 * Calls EACH with each line of PATH that is a JSON object; others (cut by a
 * crash) are passed over, and said on standard error.  WHOLE_OUT (may be NULL)
 * receives the octets up to the end of the last line that was taken.
 * Errors: ERR_IO; ERR_NOT_FOUND; ERR_CORRUPT for a line of more than a MiB.
 */
MUST_CHECK enum err_code auditlog_read(const char *path, auditlog_each *each,
    void *arg, uint64_t *whole_out, struct err *err);

/* Has VERIFIER expect each checkpoint that stands in PATH; entries are passed
 * over. */
MUST_CHECK enum err_code auditlog_expect(
    const char *path, struct verifier *verifier, struct err *err);
/* Has VERIFIER follow each entry that stands in PATH. */
MUST_CHECK enum err_code auditlog_follow(const char *path,
    struct verifier *verifier, uint64_t *whole_out, struct err *err);

#endif
