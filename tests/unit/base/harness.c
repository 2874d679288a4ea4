// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

int harness_dir_setup(void **state)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_printf(
	    "%s/signet-base-XXXXXX", base == NULL ? "/tmp" : base);

	*state = dir;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

/* Calls remove() on what the folder holds when ERASE; returns the number. */
static int walk(const char *dir, int erase)
{
	DIR *handle = opendir(dir);
	struct dirent *entry;
	int count = 0;

	if (handle == NULL)
		return -1;
	while ((entry = readdir(handle)) != NULL) {
		OWNED_STR(path) = fs_join(dir, entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		count++;
		if (erase)
			remove(path);
	}
	closedir(handle);
	return count;
}

int harness_dir_count(const char *dir)
{
	return walk(dir, 0);
}

int harness_dir_teardown(void **state)
{
	OWNED_STR(dir) = *state;

	walk(dir, 1);
	return rmdir(dir);
}

char *harness_file(const char *dir, const char *name, const char *text)
{
	char *path = fs_join(dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	return path;
}
