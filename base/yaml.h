// SPDX-License-Identifier: Apache-2.0
/* YAML files by schema: unknown keys and wrong types are refused with file and
 * line.  Built on libcyaml. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <cyaml/cyaml.h>
#include "base/buf.h"
#include "base/err.h"

/*
 * Loads PATH (at most 1 MiB) by SCHEMA into a newly allocated *data_out, freed
 * with yaml_free() and the same schema.
 * Errors: ERR_CONFIG, whose detail is "FILE:LINE: what is wrong"; ERR_NOT_FOUND.
 */
MUST_CHECK enum err_code yaml_load(const char *path,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err);
/* As yaml_load from memory; NAME stands for the file in errors. */
MUST_CHECK enum err_code yaml_parse(const char *name, struct bytes text,
    const cyaml_schema_value_t *schema, void **data_out, struct err *err);
void yaml_free(const cyaml_schema_value_t *schema, void *data);

#endif
