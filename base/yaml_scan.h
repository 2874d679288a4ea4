// SPDX-License-Identifier: Apache-2.0
/* The shape of a YAML text, checked beside a schema on libyaml's events. */
#ifndef BASE_YAML_SCAN_H
#define BASE_YAML_SCAN_H

#include <cyaml/cyaml.h>
#include "base/buf.h"
#include "base/err.h"

/*
 * Refuses what is no YAML or has another shape than SCHEMA, and what Signet
 * never reads.  Only single values can be wrong afterwards.
 * Errors: ERR_CONFIG "NAME:LINE: KEY: what is wrong".
 */
MUST_CHECK enum err_code yaml_scan_check(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, struct err *err);

/* See yaml_line_of(). */
unsigned yaml_scan_line_of(
    struct bytes text, const cyaml_schema_value_t *schema, const char *key);

#endif
