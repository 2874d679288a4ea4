// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/draft.h"
#include "base/fs.h"
#include "store/audit.h"
#include "store/backup.h"
#include "store/folder.h"
#include "store/inside.h"

/* Where a copy comes from. */
struct source {
	store_fill *fill;
	void *arg;
};

static enum err_code fail_io(
    const char *what, const char *path, struct err *err)
{
	return err_fail(
	    err, ERR_IO, "%s %s: %s", what, path, strerrordesc_np(errno));
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

/* ---- a file from octets ---- */

static enum err_code put_in_draft(
    void *arg, struct bytes octets, struct err *err)
{
	return draft_write(arg, octets, err);
}

static enum err_code restart_draft(void *arg, struct err *err)
{
	return draft_restart(arg, err);
}

/* Makes the new file PATH of what FILL gives, durably, and verifies it first. */
static enum err_code write_copy(const char *path, const struct source *source,
    struct seal *seal, struct err *err)
{
	OWNED_DRAFT(draft);
	const struct store_sink sink = {put_in_draft, restart_draft, &draft};
	enum err_code code;

	if ((code = draft_open(&draft, path, err)) != ERR_OK ||
	    (code = source->fill(source->arg, &sink, err)) != ERR_OK ||
	    (code = draft_sync(&draft, err)) != ERR_OK ||
	    (code = verify_copy(draft.path, seal, err)) != ERR_OK)
		return code;
	return draft_publish(&draft, path, err);
}

/* ---- octets from a store ---- */

struct copying {
	struct store *store;
	const struct store_progress *progress; /* NULL: nobody is told */
	const struct store_sink *sink;
	uint64_t octets;
};

static enum err_code put_and_tell(
    void *arg, struct bytes octets, struct err *err)
{
	struct copying *copying = arg;
	const struct store_sink *sink = copying->sink;

	copying->octets += octets.len;
	if (copying->progress != NULL)
		copying->progress->tell(
		    copying->progress->arg, copying->octets);
	return sink->put(sink->arg, octets, err);
}

static enum err_code restart_and_tell(void *arg, struct err *err)
{
	struct copying *copying = arg;

	copying->octets = 0;
	return copying->sink->restart(copying->sink->arg, err);
}

static enum err_code fill_from_store(
    void *arg, const struct store_sink *sink, struct err *err)
{
	struct copying *copying = arg;

	copying->sink = sink;
	return store_copy(copying->store,
	    &(struct store_sink){put_and_tell, restart_and_tell, copying}, err);
}

enum err_code store_backup(struct store *store, const char *path,
    const struct store_progress *progress, struct err *err)
{
	struct copying copying = {.store = store, .progress = progress};
	const struct source source = {fill_from_store, &copying};

	return write_copy(path, &source, store->seal, err);
}

/* ---- restore ---- */

char *store_data_path(const char *dir)
{
	return fs_join(dir, FOLDER_DATA);
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
	bool made;
	enum err_code code;

	if (!fs_exists(dir))
		return ERR_OK;
	code = claim_folder(dir, &made, err);
	return code == ERR_OK ? folder_check_unclaimed(dir, err) : code;
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
	if (code == ERR_OK) {
		store_remove(from);
	} else if (made) {
		remove_file(dir, FOLDER_WRITER);
		(void)rmdir(dir);
	}
	return code;
}

static enum err_code restore_into(
    const char *dir, const struct source *source, struct err *err)
{
	OWNED_STR(data) = store_data_path(dir);
	OWNED_STR(lock) = fs_join(dir, FOLDER_LOCK);
	OWNED_STR(writer) = fs_join(dir, FOLDER_WRITER);
	OWNED(store) store = NULL;
	/* For writing: that brings a backup of an older version up to date. */
	const struct store_options options = {.path = dir};
	struct audit_head head;
	enum err_code code = write_copy(data, source, NULL, err);

	if (code != ERR_OK)
		return code;
	code = store_open(&options, &store, err);
	if (code == ERR_OK)
		code = audit_verify(store, &head, err);
	if (code != ERR_OK) {
		unlink(data);
		unlink(lock);
		unlink(writer);
	}
	return code;
}

enum err_code store_receive(
    const char *dir, store_fill *fill, void *arg, struct err *err)
{
	const struct source source = {fill, arg};
	bool made;
	enum err_code code = claim_folder(dir, &made, err);

	if (code != ERR_OK)
		return code;
	code = restore_into(dir, &source, err);
	if (code != ERR_OK && made)
		(void)rmdir(dir);
	return code;
}

enum err_code store_restore(const char *path, const char *dir,
    const struct store_progress *progress, struct err *err)
{
	OWNED(store) copy = NULL;
	enum err_code code;

	if (!fs_exists(path))
		return err_refuse(
		    err, ERR_NOT_FOUND, "there is no backup at %s", path);
	if ((code = store_open_copy(path, &copy, err)) != ERR_OK ||
	    (code = verify_log(copy, err)) != ERR_OK)
		return code;
	struct copying copying = {.store = copy, .progress = progress};
	return store_receive(dir, fill_from_store, &copying, err);
}
