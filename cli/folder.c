// SPDX-License-Identifier: Apache-2.0
#include "cli/folder.h"

#include "base/fs.h"

enum err_code folder_make(
    const char *option, const char *path, mode_t mode, struct err *err)
{
	OWNED_STR(parent) = fs_dirname(path);

	if (!fs_exists(parent))
		return err_refuse(err, ERR_USAGE,
		    "%s %s: there is no folder %s to make it in: make that "
		    "first, or name another",
		    option, path, parent);
	return fs_mkdir(path, mode, err);
}
