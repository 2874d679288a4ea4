// SPDX-License-Identifier: Apache-2.0
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/modes.h"

/* Absence is normal and leaves *PRESENT_OUT false. */
static enum err_code check_file(
    const char *dir, const char *name, bool *present_out, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, name);
	struct stat st;

	*present_out = false;
	if (stat(path, &st) != 0) {
		if (errno == ENOENT)
			return ERR_OK;
		return err_fail(
		    err, ERR_IO, "stat %s: %s", path, strerror(errno));
	}
	*present_out = true;
	if (!S_ISREG(st.st_mode))
		return err_refuse(
		    err, ERR_CONFIG, "%s is not a regular file", path);
	return modes_check(path, &st, MODES_PRIVATE, err);
}

static enum err_code check_folder(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return err_fail(
		    err, ERR_IO, "stat %s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_refuse(
		    err, ERR_CONFIG, "store path %s is not a folder", path);
	return modes_check(path, &st, MODES_PRIVATE, err);
}

static enum err_code make_folder(const char *path, struct err *err)
{
	OWNED_STR(parent) = fs_dirname(path);
	enum err_code code = fs_mkdir(path, 0700, err);

	if (code != ERR_OK)
		return code;
	return fs_sync_dir(parent, err);
}

enum err_code folder_prepare(
    const struct store_options *options, bool *fresh_out, struct err *err)
{
	const char *path = options->path;
	bool data = false;
	bool lock = false;
	enum err_code code;

	if (!fs_exists(path)) {
		if (!options->create)
			return err_refuse(err, ERR_NOT_FOUND,
			    "there is no store at %s", path);
		if ((code = make_folder(path, err)) != ERR_OK)
			return code;
	}
	if ((code = check_folder(path, err)) != ERR_OK ||
	    (code = check_file(path, FOLDER_DATA, &data, err)) != ERR_OK ||
	    (code = check_file(path, FOLDER_LOCK, &lock, err)) != ERR_OK)
		return code;
	if (!data && !options->create)
		return err_refuse(
		    err, ERR_NOT_FOUND, "there is no store at %s", path);
	*fresh_out = !data;
	return ERR_OK;
}

static enum err_code lock_claim(int fd, const char *path, struct err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return ERR_OK;
	return err_refuse(err, ERR_CONFIG,
	    "the store %s is in use by another server: stop that one first",
	    path);
}

enum err_code folder_claim(const char *path, int *claim_out, struct err *err)
{
	OWNED_STR(lock) = fs_join(path, FOLDER_WRITER);
	OWNED_FD(fd) = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum err_code code;

	if (fd < 0)
		return err_fail(err, ERR_IO, "open %s: %m", lock);
	if ((code = lock_claim(fd, path, err)) != ERR_OK)
		return code;
	*claim_out = fd;
	fd = -1;
	return ERR_OK;
}

enum err_code folder_check_unclaimed(const char *path, struct err *err)
{
	OWNED_STR(lock) = fs_join(path, FOLDER_WRITER);
	OWNED_FD(fd) = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return ERR_OK;
	if (fd < 0)
		return err_fail(err, ERR_IO, "open %s: %m", lock);
	return lock_claim(fd, path, err);
}
