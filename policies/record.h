// SPDX-License-Identifier: Apache-2.0
/*
 * How clusters, tokens, identities and approvals stand in the store.  The first octet of a
 * record is its format version.  Reading is total: whatever octets come, the
 * answer is one object with every bound kept, or false; and an object has one
 * encoding, so that what is read and written again is the same; but for one in
 * an older format, which is written in the newest.
 */
#ifndef POLICIES_RECORD_H
#define POLICIES_RECORD_H

#include "policies/approval.h"
#include "policies/cluster.h"
#include "policies/identity.h"
#include "policies/token.h"

#define RECORD_VERSION 1
/* 2: source ranges and quarantine.  Version 1 is read as without either. */
#define CLUSTER_RECORD_VERSION 2
/* 3: the use of a code, of which there may be several one after the other. */
#define IDENTITY_RECORD_VERSION 3

void cluster_write(const struct cluster *cluster, struct buf *out);
MUST_CHECK bool cluster_read(
    const char *name, struct bytes record, struct cluster **cluster_out);
void token_write(const struct token *token, struct buf *out);
MUST_CHECK bool token_read(const uint8_t id[static TOKEN_ID_SIZE],
    struct bytes record, struct token **token_out);
void identity_write(const struct identity *identity, struct buf *out);
MUST_CHECK bool identity_read(const uint8_t id[static IDENTITY_ID_SIZE],
    struct bytes record, struct identity **identity_out);

void approval_write(const struct approval *approval, struct buf *out);
MUST_CHECK bool approval_read(const uint8_t id[static APPROVAL_ID_SIZE],
    struct bytes record, struct approval **approval_out);

/* Parts of records.  The readers give NULL and 0 once READER has failed, and
 * make it fail when there are more than MAX items or one is malformed. */
void record_put_texts(struct buf *out, char *const *texts, size_t count);
char **record_read_texts(struct reader *reader, size_t max, size_t *count_out);
void record_texts_free(char **texts, size_t count);
void record_put_ranges(
    struct buf *out, const struct cidr *ranges, size_t count);
struct cidr *record_read_ranges(
    struct reader *reader, size_t max, size_t *count_out);

/* Requests.  Errors: ERR_BAD_FIELD naming FIELD. */
MUST_CHECK enum err_code record_parse_ranges(const char *const *texts,
    size_t count, struct cidr *ranges, struct err *err);

#endif
