// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/store/copy.h"

#include <dirent.h>
#include <stdlib.h>

#include "store/backup.h"

unsigned copy_files(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

enum err_code copy_take(struct fixture *f, const char *name)
{
	OWNED_STR(path) = fixture_path(f, name);

	return store_backup(f->store, path, NULL, &f->err);
}

void copy_restore(struct fixture *f, const char *name)
{
	OWNED_STR(path) = fixture_path(f, name);

	fixture_close(f);
	free(f->path);
	f->path = fixture_path(f, "restored");
	assert_int_equal(store_restore(path, f->path, NULL, &f->err), ERR_OK);
	assert_int_equal(fixture_open(f, 0), ERR_OK);
}
