// SPDX-License-Identifier: Apache-2.0
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_CHUNK ((size_t)65536)

/* errno as a code: absence is the caller's to know, the rest is a fault. */
static enum err_code fail_errno(
    struct err *err, const char *what, const char *path)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return err_refuse(err, ERR_NOT_FOUND, "%s: %s", path,
		    strerrordesc_np(errno));
	return err_fail(
	    err, ERR_IO, "%s %s: %s", what, path, strerrordesc_np(errno));
}

/* Opens a regular file; a FIFO or a device must not make it wait. */
static enum err_code open_regular(
    const char *path, size_t max, int *fd_out, struct err *err)
{
	struct stat st;
	OWNED_FD(fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_errno(err, "open", path);
	if (!S_ISREG(st.st_mode))
		return err_fail(err, ERR_IO, "%s is not a regular file", path);
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return err_refuse(err, ERR_TOO_LARGE,
		    "%s is larger than %zu octets", path, max);
	*fd_out = fd;
	fd = -1;
	return ERR_OK;
}

/* As read(2), but is not ended by a signal. */
static ssize_t read_some(int fd, void *into, size_t len)
{
	ssize_t got;

	do
		got = read(fd, into, len);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t put = write(fd, data.data, data.len);

		if (put < 0 && errno != EINTR)
			return false;
		if (put > 0) {
			data.data += put;
			data.len -= (size_t)put;
		}
	}
	return true;
}

/* Room for what the file says it has and one octet more, by which the end is
 * seen without growing. */
static size_t first_room(int fd, size_t max)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return max < 4096 ? max + 1 : 4096;
	return (size_t)st.st_size + 1;
}

enum err_code fs_read(
    const char *path, size_t max, struct buf *out, struct err *err)
{
	OWNED_FD(fd) = -1;
	size_t before = out->len, room;
	ssize_t got = 0;
	enum err_code code = open_regular(path, max, &fd, err);

	if (code != ERR_OK)
		return code;
	room = first_room(fd, max);
	do {
		buf_reserve(out, room);
		got = read_some(fd, out->data + out->len, room);
		if (got > 0)
			out->len += (size_t)got;
		if (out->len - before >= room)
			room = 4096;
	} while (got > 0 && out->len - before <= max);
	if (got < 0) {
		out->len = before;
		return fail_errno(err, "read", path);
	}
	if (out->len - before > max) {
		out->len = before;
		return err_refuse(err, ERR_TOO_LARGE,
		    "%s is larger than %zu octets", path, max);
	}
	return ERR_OK;
}

/* A file under way: it is removed unless it was given its name. */
struct draft {
	int fd;
	char *temporary;
	const char *path;
};

static void draft_discard(struct draft *draft)
{
	if (draft->fd >= 0) {
		close(draft->fd);
		unlink(draft->temporary);
	}
	free(draft->temporary);
}

static enum err_code draft_open(
    struct draft *draft, const char *path, struct err *err)
{
	draft->path = path;
	draft->temporary = mem_printf("%s.tmp-XXXXXX", path);
	draft->fd = mkostemp(draft->temporary, O_CLOEXEC); /* O_EXCL, 0600 */
	return draft->fd >= 0 ? ERR_OK : fail_errno(err, "create", path);
}

static enum err_code draft_publish(
    struct draft *draft, mode_t mode, struct err *err)
{
	OWNED_STR(dir) = fs_dirname(draft->path);

	/* The mode comes last, so that nobody reads a part; fchmod() and not
	 * open(), which the umask would change. */
	if (fchmod(draft->fd, mode) != 0 || fsync(draft->fd) != 0)
		return fail_errno(err, "sync", draft->path);
	if (rename(draft->temporary, draft->path) != 0)
		return fail_errno(err, "rename to", draft->path);
	close(draft->fd);
	draft->fd = -1;
	return fs_sync_dir(dir, err);
}

enum err_code fs_write(
    const char *path, mode_t mode, struct bytes data, struct err *err)
{
	__attribute__((cleanup(draft_discard))) struct draft draft = {.fd = -1};
	enum err_code code = draft_open(&draft, path, err);

	if (code != ERR_OK)
		return code;
	if (!write_all(draft.fd, data))
		return fail_errno(err, "write", path);
	return draft_publish(&draft, mode, err);
}

/* Copies to the end of FROM, at most MAX octets. */
static enum err_code pour(
    int from, struct draft *draft, size_t max, struct err *err)
{
	OWNED_BUF(chunk);
	size_t total = 0;
	ssize_t got;

	buf_extend(&chunk, COPY_CHUNK);
	while ((got = read_some(from, chunk.data, COPY_CHUNK)) > 0) {
		total += (size_t)got;
		if (total > max)
			return err_refuse(err, ERR_TOO_LARGE,
			    "copy to %s is larger than %zu octets",
			    draft->path, max);
		if (!write_all(draft->fd, BYTES(chunk.data, (size_t)got)))
			return fail_errno(err, "write", draft->path);
	}
	return got == 0 ? ERR_OK : fail_errno(err, "copy to", draft->path);
}

enum err_code fs_copy(const char *from, const char *to, mode_t mode, size_t max,
    struct err *err)
{
	__attribute__((cleanup(draft_discard))) struct draft draft = {.fd = -1};
	OWNED_FD(source) = -1;
	enum err_code code = open_regular(from, max, &source, err);

	if (code == ERR_OK)
		code = draft_open(&draft, to, err);
	if (code == ERR_OK)
		code = pour(source, &draft, max, err);
	return code == ERR_OK ? draft_publish(&draft, mode, err) : code;
}

enum err_code fs_mkdir(const char *path, mode_t mode, struct err *err)
{
	OWNED_STR(parent) = fs_dirname(path);
	struct stat st;

	if (mkdir(path, mode) == 0) {
		if (chmod(path, mode) != 0)	/* what the umask took */
			return fail_errno(err, "change mode of", path);
		return fs_sync_dir(parent, err);
	}
	if (errno != EEXIST)
		return fail_errno(err, "create directory", path);
	if (stat(path, &st) != 0)
		return fail_errno(err, "look at", path);
	return S_ISDIR(st.st_mode)
	    ? ERR_OK
	    : err_fail(err, ERR_IO, "%s is not a directory", path);
}

enum err_code fs_sync_dir(const char *path, struct err *err)
{
	OWNED_FD(fd) = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	if (fd < 0 || fsync(fd) != 0)
		return fail_errno(err, "sync directory", path);
	return ERR_OK;
}

bool fs_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

char *fs_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);
	bool slash = len > 0 && dir[len - 1] == '/';

	if (name[0] == '/' || len == 0)
		return mem_strdup(name);
	return mem_printf("%s%s%s", dir, slash ? "" : "/", name);
}

char *fs_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".");
	while (slash > path && slash[-1] == '/')
		slash--;
	return slash == path ? mem_strdup("/")
			     : mem_strndup(path, (size_t)(slash - path));
}

void fs_open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		abort();
	close(fd);
}
