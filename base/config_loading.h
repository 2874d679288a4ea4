// SPDX-License-Identifier: Apache-2.0
/* The configuration while it is read: what every check of a value needs. */
#ifndef BASE_CONFIG_LOADING_H
#define BASE_CONFIG_LOADING_H

#include "base/config_rules.h"

struct config_loading {
	struct bytes text;
	const cyaml_schema_value_t *schema;
	struct config *config;
	const struct config_words *words;
};

/* Refuses the value of KEY, with its line where it is in the file. */
enum err_code config_loading_refuse(const struct config_loading *loading,
    const char *key, struct err *err, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Is KEY in the file? */
MUST_CHECK bool config_loading_has(
    const struct config_loading *loading, const char *key);

#endif
