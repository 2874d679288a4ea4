// SPDX-License-Identifier: Apache-2.0
#include "cli/outdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "cli/csr.h"
#include "cli/folder.h"

#define CURRENT ".current"
#define GENERATION "gen-"
#define STATE "agent.json"
#define STATE_MAX 65536
#define PENDING "pending-key.pem"
#define KEY_PEM_MAX 16384

static const char *const files[] = {
    "key.pem", "cert.pem", "chain.pem", "fullchain.pem", "ca.pem"};

/* Where the name FILES[INDEX] points when it is ours. */
static char *target_of(size_t index)
{
	return fs_join(CURRENT, files[index]);
}

/* True when PATH is the link to TARGET; false also when it is absent. */
static bool is_link_to(const char *path, const char *target)
{
	char found[64];
	ssize_t len = readlink(path, found, sizeof(found));

	return len == (ssize_t)strlen(target) &&
	       memcmp(found, target, (size_t)len) == 0;
}

/* Who may rename in DIR could lead what is written there elsewhere, with the
 * agent's rights: so that is its own user, or root. */
static enum err_code check_owner(const char *dir, struct err *err)
{
	struct stat status;

	if (stat(dir, &status) != 0)
		return err_fail(err, ERR_IO, "looking at %s: %m", dir);
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return err_refuse(err, ERR_CONFIG,
		    "%s belongs to another user (%u): run as that user, or "
		    "take another folder",
		    dir, (unsigned)status.st_uid);
	if ((status.st_mode & S_IWOTH) != 0)
		return err_refuse(err, ERR_CONFIG,
		    "everybody can write to %s: correct it by: chmod o-w %s",
		    dir, dir);
	return ERR_OK;
}

enum err_code outdir_make(const char *dir, struct err *err)
{
	enum err_code code = folder_make("--out", dir, 0755, err);

	if (code == ERR_OK)
		code = check_owner(dir, err);
	for (size_t i = 0; code == ERR_OK && i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = fs_join(dir, files[i]);
		OWNED_STR(target) = target_of(i);
		struct stat status;

		if (lstat(path, &status) == 0 && !is_link_to(path, target))
			code = err_refuse(err, ERR_EXISTS,
			    "%s is not the agent's: move it away", path);
	}
	return code;
}

static enum err_code write_in(const char *dir, const char *name, mode_t mode,
    struct bytes data, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, name);

	return fs_write(path, mode, data, err);
}

static enum err_code write_generation(
    const char *dir, const struct bundle *set, struct err *err)
{
	OWNED_BUF(fullchain);
	enum err_code code;

	buf_put_bytes(&fullchain, set->cert);
	buf_put_bytes(&fullchain, set->chain);
	if ((code = write_in(dir, "key.pem", 0600, secret_bytes(set->key_pem),
		 err)) != ERR_OK ||
	    (code = write_in(dir, "cert.pem", 0644, set->cert, err)) !=
		ERR_OK ||
	    (code = write_in(dir, "chain.pem", 0644, set->chain, err)) !=
		ERR_OK ||
	    (code = write_in(dir, "fullchain.pem", 0644, buf_bytes(&fullchain),
		 err)) != ERR_OK)
		return code;
	return write_in(dir, "ca.pem", 0644, set->ca, err);
}

/* Points the link NAME in DIR at TARGET, in one step. */
static enum err_code point_link(
    const char *dir, const char *name, const char *target, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, name);
	OWNED_STR(fresh) = mem_printf("%s.new", path);

	(void)unlink(fresh);
	if (symlink(target, fresh) != 0 || rename(fresh, path) != 0)
		return err_fail(
		    err, ERR_IO, "linking %s: %m", path);
	return ERR_OK;
}

/* The five links; until .current is, they lead nowhere. */
static enum err_code make_links(const char *dir, struct err *err)
{
	enum err_code code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = fs_join(dir, files[i]);
		OWNED_STR(target) = target_of(i);

		if (!is_link_to(path, target))
			code = point_link(dir, files[i], target, err);
	}
	return code;
}

/* With all that is in it: a stop while writing leaves drafts of keys. */
static void remove_generation(const char *dir, const char *name)
{
	OWNED_STR(folder) = fs_join(dir, name);
	DIR *files_of = opendir(folder);
	struct dirent *entry;

	while (files_of != NULL && (entry = readdir(files_of)) != NULL)
		(void)unlinkat(dirfd(files_of), entry->d_name, 0);
	if (files_of != NULL)
		closedir(files_of);
	(void)rmdir(folder);
}

/* A program that has just read .current may still be opening the files of the
 * one before, so that one stays. */
static void remove_old(const char *dir, const char *keep, const char *before)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL)
		if (text_has_prefix(entry->d_name, GENERATION) &&
		    strcmp(entry->d_name, keep) != 0 &&
		    strcmp(entry->d_name, before) != 0)
			remove_generation(dir, entry->d_name);
	closedir(folder);
}

static void read_current(const char *dir, char *name, size_t size)
{
	OWNED_STR(path) = fs_join(dir, CURRENT);
	ssize_t len = readlink(path, name, size - 1);

	name[len < 0 ? 0 : len] = '\0';
}

/* A folder that no other has, which all may enter; key.pem has its own mode. */
static enum err_code new_generation(
    const char *dir, char **folder_out, struct err *err)
{
	OWNED_STR(folder) = fs_join(dir, GENERATION "XXXXXX");

	if (mkdtemp(folder) == NULL)
		return err_fail(
		    err, ERR_IO, "making a folder in %s: %m", dir);
	if (chmod(folder, 0755) != 0) {
		(void)rmdir(folder);
		return err_fail(err, ERR_IO, "opening %s: %m", folder);
	}
	*folder_out = GIVE(folder);
	return ERR_OK;
}

enum err_code outdir_switch(
    const char *dir, const struct bundle *set, struct err *err)
{
	char before[64];
	OWNED_STR(folder) = NULL;
	enum err_code code;

	if ((code = outdir_make(dir, err)) != ERR_OK ||
	    (code = new_generation(dir, &folder, err)) != ERR_OK)
		return code;
	const char *name = strrchr(folder, '/') + 1;
	read_current(dir, before, sizeof(before));
	if ((code = write_generation(folder, set, err)) != ERR_OK ||
	    (code = fs_sync_dir(folder, err)) != ERR_OK ||
	    (code = make_links(dir, err)) != ERR_OK ||
	    (code = point_link(dir, CURRENT, name, err)) != ERR_OK) {
		remove_generation(dir, name);
		return code;
	}
	remove_old(dir, name, before);
	return fs_sync_dir(dir, err);
}

enum err_code outdir_read_state(
    const char *dir, json_t **state_out, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, STATE);
	OWNED_BUF(text);
	enum err_code code = fs_read(path, STATE_MAX, &text, err);

	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return err_refuse(err, ERR_CONFIG,
		    "nothing is enrolled in %s: run 'signet-agent enroll' "
		    "first",
		    dir);
	}
	if (code != ERR_OK)
		return code;
	OWNED_JSON(state) = NULL;
	if (json_parse(buf_bytes(&text), &state, err) != ERR_OK ||
	    !json_is_object(state)) {
		err_clear(err);
		return err_refuse(err, ERR_CONFIG,
		    "%s is damaged: run 'signet-agent enroll' again", path);
	}
	*state_out = GIVE(state);
	return ERR_OK;
}

enum err_code outdir_write_state(
    const char *dir, const json_t *state, struct err *err)
{
	OWNED_BUF(text);

	json_put_indented(&text, state);
	return write_in(dir, STATE, 0644, buf_bytes(&text), err);
}

/* With the newline that a secret's file is read without: a PEM ends in one. */
static enum err_code read_pem(
    const char *path, struct secret **pem_out, struct err *err)
{
	OWNED(secret) text = NULL;
	enum err_code code = secret_from_file(path, KEY_PEM_MAX, &text, err);

	if (code != ERR_OK)
		return code;
	struct secret *pem = secret_new(secret_len(text) + 1);
	memcpy(secret_data(pem), secret_data(text), secret_len(text));
	secret_data(pem)[secret_len(text)] = '\n';
	*pem_out = pem;
	return ERR_OK;
}

enum err_code outdir_pending_key(const char *dir, const char *type,
    struct secret **key_pem_out, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, PENDING);
	OWNED(secret) key = NULL;
	enum err_code code;

	if (fs_exists(path)) {
		if ((code = read_pem(path, &key, err)) != ERR_OK)
			return code;
		const char *found = csr_key_type(key);
		if (found != NULL && strcmp(found, type) == 0) {
			*key_pem_out = GIVE(key);
			return ERR_OK;
		}
		secret_free(GIVE(key));
	}
	if ((code = csr_new_key(type, &key, err)) != ERR_OK ||
	    (code = fs_write(path, 0600, secret_bytes(key), err)) != ERR_OK)
		return code;
	*key_pem_out = GIVE(key);
	return ERR_OK;
}

bool outdir_has_pending(const char *dir)
{
	OWNED_STR(path) = fs_join(dir, PENDING);

	return fs_exists(path);
}

void outdir_drop_pending(const char *dir)
{
	OWNED_STR(path) = fs_join(dir, PENDING);

	(void)unlink(path);
}
