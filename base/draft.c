// SPDX-License-Identifier: Apache-2.0
#include "base/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

void draft_discard(struct draft *draft)
{
	if (draft->fd >= 0)
		close(draft->fd);
	if (draft->path != NULL)
		unlink(draft->path);
	free(draft->path);
	*draft = (struct draft){NULL, -1};
}

static enum err_code fail_io(
    const char *what, const char *path, struct err *err)
{
	return err_fail(
	    err, ERR_IO, "%s %s: %s", what, path, strerrordesc_np(errno));
}

enum err_code draft_open(struct draft *draft, const char *path, struct err *err)
{
	OWNED_STR(name) = mem_printf("%s.XXXXXX", path);

	if (fs_exists(path))
		return err_refuse(err, ERR_EXISTS, "%s is there already", path);
	draft->fd = mkostemp(name, O_CLOEXEC);
	if (draft->fd < 0)
		return fail_io("create", name, err);
	draft->path = GIVE(name);
	return ERR_OK;
}

static enum err_code fail_write(const struct draft *draft, struct err *err)
{
	if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
		return fail_io("write", draft->path, err);
	return err_fail(err, ERR_IO,
	    "write %s: %s: make room there, or name a place that has more; "
	    "nothing is left of it",
	    draft->path, strerrordesc_np(errno));
}

enum err_code draft_write(
    struct draft *draft, struct bytes octets, struct err *err)
{
	while (octets.len > 0) {
		ssize_t put = write(draft->fd, octets.data, octets.len);

		if (put < 0 && errno != EINTR)
			return fail_write(draft, err);
		if (put > 0) {
			octets.data += put;
			octets.len -= (size_t)put;
		}
	}
	return ERR_OK;
}

enum err_code draft_restart(struct draft *draft, struct err *err)
{
	if (ftruncate(draft->fd, 0) != 0 ||
	    lseek(draft->fd, 0, SEEK_SET) != 0)
		return fail_io("begin anew", draft->path, err);
	return ERR_OK;
}

/* Some file systems tell only now that they are full. */
enum err_code draft_sync(struct draft *draft, struct err *err)
{
	return fsync(draft->fd) == 0 ? ERR_OK : fail_write(draft, err);
}

/* Not every file system can rename so. */
enum err_code draft_publish(
    struct draft *draft, const char *path, struct err *err)
{
	OWNED_STR(dir) = fs_dirname(path);
	bool done = renameat2(AT_FDCWD, draft->path, AT_FDCWD, path,
			RENAME_NOREPLACE) == 0;
	enum err_code code;

	if (done) {
		free(GIVE(draft->path));
	} else if (errno == EINVAL || errno == ENOSYS) {
		done = link(draft->path, path) == 0;
	}
	if (!done && errno == EEXIST)
		return err_refuse(err, ERR_EXISTS, "%s is there already", path);
	if (!done)
		return fail_io("create", path, err);
	code = fs_sync_dir(dir, err);
	if (code != ERR_OK)
		unlink(path);
	return code;
}
