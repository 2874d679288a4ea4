// SPDX-License-Identifier: Apache-2.0
/* Audit entries as JSON, as the API, exports and witnesses tell them. */
#ifndef STORE_AUDIT_JSON_H
#define STORE_AUDIT_JSON_H

#include "base/json.h"
#include "store/audit.h"

/* A new object: {"sequence","time",…,"leaf"}; texts that are none are left out.
 */
json_t *audit_to_json(
    const struct audit_entry *entry, const uint8_t leaf[static 32]);

/*
 * Reads what audit_to_json wrote; texts are borrowed from JSON.  LEAF_OUT
 * receives the hash that stands there, unchecked.
 * Errors: ERR_BAD_FIELD naming the field.
 */
MUST_CHECK enum err_code audit_from_json(json_t *json,
    struct audit_entry *entry_out, uint8_t leaf_out[static 32],
    struct err *err);

/* {"checkpoint": NOTE}: how a note stands among entries. */
json_t *audit_checkpoint_json(struct bytes note);

#endif
