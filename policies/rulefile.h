// SPDX-License-Identifier: Apache-2.0
/* Files of rules in YAML (policies, roles, approvers): a version and a list of
 * items, each word of which is checked, and refused with its line. */
#ifndef POLICIES_RULEFILE_H
#define POLICIES_RULEFILE_H

#include "base/yaml.h"

/* Where a loader is. */
struct rulefile {
	const char *path;
	const cyaml_schema_value_t *schema;
	const char *list;	/* the key of the items */
	struct bytes text;
	size_t item;		/* from 0 */
	struct err *err;	/* of the loader's caller */
};

/* Refuses the file at FIELD of its item. */
enum err_code rulefile_refuse(const struct rulefile *file, const char *field,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As rulefile_refuse, where the file's VERSION is not the one KNOWN. */
MUST_CHECK enum err_code rulefile_check_version(
    const struct rulefile *file, int64_t version, int known);

/* Reads the file, at most MAX octets of it, into TEXT and FILE->text.
 * Errors: ERR_CONFIG, ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK enum err_code rulefile_read(
    struct rulefile *file, size_t max, struct buf *text);
/* As yaml_parse, of FILE->text. */
MUST_CHECK enum err_code rulefile_parse(
    const struct rulefile *file, void **data_out);

#endif
