// SPDX-License-Identifier: Apache-2.0
#include "base/config_loading.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/yaml.h"

enum err_code config_loading_refuse(const struct config_loading *loading,
    const char *key, struct err *err, const char *fmt, ...)
{
	unsigned line = yaml_line_of(loading->text, loading->schema, key);
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	if (line == 0)
		return err_refuse(err, ERR_CONFIG, "%s: %s: %s",
		    loading->config->path, key, what);
	return err_refuse(err, ERR_CONFIG, "%s:%u: %s: %s",
	    loading->config->path, line, key, what);
}

bool config_loading_has(const struct config_loading *loading, const char *key)
{
	return yaml_line_of(loading->text, loading->schema, key) != 0;
}
