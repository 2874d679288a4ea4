// SPDX-License-Identifier: Apache-2.0
/* YAML files by schema: unknown keys and wrong types are refused with file and
 * line.  Built on libcyaml; what it would let pass (anchors, aliases, tags, NUL
 * in text, octal numbers, a second document, deep nesting) is refused too. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <cyaml/cyaml.h>
#include "base/buf.h"
#include "base/err.h"

#define YAML_MAX_SIZE ((size_t)1 << 20)
#define YAML_MAX_DEPTH 8
#define YAML_MAX_FIELDS 64	/* of one mapping in a schema */

/*
 * Loads PATH (at most 1 MiB) by SCHEMA, a mapping with CYAML_FLAG_POINTER, into
 * a newly allocated *data_out, freed with yaml_release() and the same schema.
 * What hangs in it is malloc'd, so that a member may be taken out with GIVE().
 * Errors: ERR_CONFIG, whose detail is "FILE:LINE: KEY: what is wrong";
 * ERR_NOT_FOUND; ERR_IO.
 */
MUST_CHECK enum err_code yaml_load(const char *path,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err);
/* As yaml_load from memory; NAME stands for the file in errors. */
MUST_CHECK enum err_code yaml_parse(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err);
/* Not "yaml_free": libyaml has one, which ours would displace in its calls. */
void yaml_release(const cyaml_schema_value_t *schema, void *data);

/* The line of TEXT on which the value of KEY ("listen.api", "tls.names[2]",
 * counted from 1) begins, for checks that follow the loading; 0 when absent. */
unsigned yaml_line_of(
    struct bytes text, const cyaml_schema_value_t *schema, const char *key);

#endif
