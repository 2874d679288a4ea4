// SPDX-License-Identifier: Apache-2.0
#include "policies/rulefile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"

enum err_code rulefile_refuse(
    const struct rulefile *file, const char *field, const char *fmt, ...)
{
	OWNED_STR(at) =
	    mem_printf("%s[%zu].%s", file->list, file->item + 1, field);
	char wrong[240];
	va_list args;

	va_start(args, fmt);
	vsnprintf(wrong, sizeof(wrong), fmt, args);
	va_end(args);
	return err_refuse(file->err, ERR_CONFIG, "%s:%u: %s: %s", file->path,
	    yaml_line_of(file->text, file->schema, at), at, wrong);
}

enum err_code rulefile_check_version(
    const struct rulefile *file, int64_t version, int known)
{
	if (version == known)
		return ERR_OK;
	return err_refuse(file->err, ERR_CONFIG,
	    "%s:%u: version: format %lld is not known, only %d", file->path,
	    yaml_line_of(file->text, file->schema, "version"),
	    (long long)version, known);
}

enum err_code rulefile_read(
    struct rulefile *file, size_t max, struct buf *text)
{
	enum err_code code = fs_read(file->path, max, text, file->err);

	if (code == ERR_TOO_LARGE)
		return err_refuse(file->err, ERR_CONFIG,
		    "%s:1: longer than %zu octets", file->path, max);
	file->text = buf_bytes(text);
	return code;
}

enum err_code rulefile_parse(const struct rulefile *file, void **data_out)
{
	return yaml_parse(
	    file->path, file->text, file->schema, data_out, file->err);
}
