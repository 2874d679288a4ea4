// SPDX-License-Identifier: Apache-2.0
/* What a caller binds to a data key: pairs of text, in a canonical form. */
#ifndef KMS_CONTEXT_H
#define KMS_CONTEXT_H

#include "base/buf.h"
#include "base/err.h"

#define CONTEXT_PAIRS_MAX 16
#define CONTEXT_OCTETS_MAX 2048 /* names and values together */

struct context;
struct context *context_new(void);
void context_free(struct context *context);
DEFINE_CLEANUP(context, context_free)

/* Adds a pair; the order of adding does not matter.
 * Errors: ERR_BAD_FIELD: empty or repeated name, not UTF-8, past the bounds. */
MUST_CHECK enum err_code context_add(struct context *context, const char *name,
    const char *value, struct err *err);

/* The pairs in the order of their names, each part with its length: two
 * contexts give the same octets exactly when they hold the same pairs.  NULL is
 * the empty context. */
void context_write(const struct context *context, struct buf *out);

#endif
