// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/audit.h"
#include "store/folder.h"
#include "store/inside.h"

/* A file that gets its name once it is whole; what is left of it otherwise
 * goes with its scope. */
struct draft {
	char *path; /* NULL: nothing to remove */
	int fd;
};

static void draft_discard(struct draft *draft)
{
	if (draft->fd >= 0)
		close(draft->fd);
	if (draft->path != NULL)
		unlink(draft->path);
	free(draft->path);
}

#define OWNED_DRAFT(name)                                                      \
	__attribute__((cleanup(draft_discard))) struct draft name = {NULL, -1}

static enum err_code fail_io(
    const char *what, const char *path, struct err *err)
{
	return err_fail(
	    err, ERR_IO, "%s %s: %s", what, path, strerrordesc_np(errno));
}

/* Mode 0600 whatever the umask. */
static enum err_code draft_open(
    struct draft *draft, const char *path, struct err *err)
{
	OWNED_STR(name) = mem_printf("%s.XXXXXX", path);

	draft->fd = mkostemp(name, O_CLOEXEC);
	if (draft->fd < 0)
		return fail_io("create", name, err);
	draft->path = GIVE(name);
	return ERR_OK;
}

/* Never over what is there.  Not every file system can rename so. */
static enum err_code draft_publish(
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

/* One of an older version is verified when it is brought up to date. */
static enum err_code verify_log(struct store *store, struct err *err)
{
	struct audit_head head;

	return store->is_old ? ERR_OK : audit_verify(store, &head, err);
}

/* SEAL, NULL where it is not at hand, opens the copy's rows as the store's. */
static enum err_code verify_copy(
    const char *path, struct seal *seal, struct err *err)
{
	OWNED(store) copy = NULL;
	uint64_t rows;
	enum err_code code;

	if ((code = store_open_copy(path, &copy, err)) != ERR_OK ||
	    (code = verify_log(copy, err)) != ERR_OK || seal == NULL)
		return code;
	return verify_rows(copy->engine, seal, &rows, err);
}

/* Copies STORE to the new file PATH, durably, and verifies it first. */
static enum err_code write_copy(
    struct store *store, const char *path, struct err *err)
{
	OWNED_DRAFT(draft);
	enum err_code code = draft_open(&draft, path, err);

	if (code != ERR_OK)
		return code;
	code = store->engine->ops->copy(store->engine, draft.fd, err);
	if (code != ERR_OK)
		return code;
	if (fsync(draft.fd) != 0)
		return fail_io("sync", draft.path, err);
	if ((code = verify_copy(draft.path, store->seal, err)) != ERR_OK)
		return code;
	return draft_publish(&draft, path, err);
}

enum err_code store_backup(
    struct store *store, const char *path, struct err *err)
{
	if (fs_exists(path))
		return err_refuse(err, ERR_EXISTS, "%s is there already", path);
	return write_copy(store, path, err);
}

/* The folder and its data are the caller's to make: nothing is replaced. */
static enum err_code claim_folder(
    const char *dir, bool *made_out, struct err *err)
{
	const struct store_options options = {.path = dir, .create = true};
	bool fresh;
	enum err_code code;

	*made_out = !fs_exists(dir);
	code = folder_prepare(&options, &fresh, err);
	if (code == ERR_OK && !fresh)
		return err_refuse(
		    err, ERR_EXISTS, "there is a store at %s already", dir);
	return code;
}

/* Claims DIR, which is made where it is absent, until *CLAIM_OUT is closed. */
static enum err_code take_vacant(
    const char *dir, bool *made_out, int *claim_out, struct err *err)
{
	enum err_code code = claim_folder(dir, made_out, err);

	return code == ERR_OK ? folder_claim(dir, claim_out, err) : code;
}

enum err_code store_check_vacant(const char *dir, struct err *err)
{
	OWNED_FD(claim) = -1;
	bool made;

	if (!fs_exists(dir))
		return ERR_OK;
	return take_vacant(dir, &made, &claim, err);
}

static void remove_file(const char *dir, const char *name)
{
	OWNED_STR(path) = fs_join(dir, name);

	(void)unlink(path);
}

void store_remove(const char *from)
{
	remove_file(from, FOLDER_DATA);
	remove_file(from, FOLDER_LOCK);
	remove_file(from, FOLDER_WRITER);
	(void)rmdir(from);
}

static enum err_code move_data(
    const char *from, const char *dir, struct err *err)
{
	OWNED_STR(old) = fs_join(from, FOLDER_DATA);
	OWNED_STR(new) = fs_join(dir, FOLDER_DATA);

	/* Of a store that was here before. */
	remove_file(dir, FOLDER_LOCK);
	if (renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE) != 0 &&
	    (errno != EINVAL || rename(old, new) != 0))
		return fail_io("create", new, err);
	return fs_sync_dir(dir, err);
}

enum err_code store_move(const char *from, const char *dir, struct err *err)
{
	OWNED_STR(parent) = fs_dirname(dir);
	OWNED_FD(claim) = -1;
	bool made = false;
	enum err_code code = take_vacant(dir, &made, &claim, err);

	if (code == ERR_OK)
		code = move_data(from, dir, err);
	if (code == ERR_OK && made)
		code = fs_sync_dir(parent, err);
	if (code == ERR_OK)
		store_remove(from);
	else if (made)
		(void)rmdir(dir);
	return code;
}

static enum err_code restore_into(
    struct store *copy, const char *dir, struct err *err)
{
	OWNED_STR(data) = fs_join(dir, FOLDER_DATA);
	OWNED_STR(lock) = fs_join(dir, FOLDER_LOCK);
	OWNED(store) store = NULL;
	/* For writing: that brings a backup of an older version up to date. */
	const struct store_options options = {.path = dir};
	struct audit_head head;
	enum err_code code = write_copy(copy, data, err);

	if (code != ERR_OK)
		return code;
	code = store_open(&options, &store, err);
	if (code == ERR_OK)
		code = audit_verify(store, &head, err);
	if (code != ERR_OK) {
		unlink(data);
		unlink(lock);
	}
	return code;
}

enum err_code store_restore(const char *path, const char *dir, struct err *err)
{
	OWNED(store) copy = NULL;
	bool made;
	enum err_code code;

	if (!fs_exists(path))
		return err_refuse(
		    err, ERR_NOT_FOUND, "there is no backup at %s", path);
	if ((code = store_open_copy(path, &copy, err)) != ERR_OK ||
	    (code = verify_log(copy, err)) != ERR_OK ||
	    (code = claim_folder(dir, &made, err)) != ERR_OK)
		return code;
	code = restore_into(copy, dir, err);
	if (code != ERR_OK && made)
		(void)rmdir(dir);
	return code;
}
