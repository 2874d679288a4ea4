// SPDX-License-Identifier: Apache-2.0
#include "cli/outdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/csr.h"

#define CURRENT ".current"
#define GENERATION "gen-"
#define STATE "agent.json"
#define STATE_MAX 65536
#define PENDING "pending-key.pem"
#define KEY_PEM_MAX 16384

static const char *const files[] = {
    "key.pem", "cert.pem", "chain.pem", "fullchain.pem", "ca.pem"};

enum err_code outdir_make(const char *dir, struct err *err)
{
	return fs_mkdir(dir, 0755, err);
}

static enum err_code write_in(const char *dir, const char *name, mode_t mode,
    struct bytes data, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, name);

	return fs_write(path, mode, data, err);
}

static enum err_code write_generation(
    const char *dir, const struct outdir_set *set, struct err *err)
{
	OWNED_BUF(fullchain);
	enum err_code code;

	buf_put_bytes(&fullchain, set->cert);
	buf_put_bytes(&fullchain, set->chain);
	if ((code = fs_mkdir(dir, 0755, err)) != ERR_OK ||
	    (code = write_in(dir, "key.pem", 0600, secret_bytes(set->key_pem),
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

/* The five links; a plain file in their place is somebody's own. */
static enum err_code make_links(const char *dir, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = fs_join(dir, files[i]);
		OWNED_STR(target) = fs_join(CURRENT, files[i]);
		struct stat status;
		enum err_code code;

		if (lstat(path, &status) == 0) {
			if (S_ISLNK(status.st_mode))
				continue;
			return err_refuse(err, ERR_EXISTS,
			    "%s is not the agent's: move it away", path);
		}
		if ((code = point_link(dir, files[i], target, err)) != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static void remove_generation(const char *dir, const char *name)
{
	OWNED_STR(folder) = fs_join(dir, name);

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED_STR(path) = fs_join(folder, files[i]);
		(void)unlink(path);
	}
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

enum err_code outdir_switch(
    const char *dir, const struct outdir_set *set, struct err *err)
{
	char before[64];
	OWNED_STR(name) = mem_printf(
	    GENERATION "%lld-%d", (long long)clock_now_ms(), (int)getpid());
	OWNED_STR(folder) = fs_join(dir, name);
	enum err_code code;

	read_current(dir, before, sizeof(before));
	if ((code = write_generation(folder, set, err)) == ERR_OK &&
	    (code = fs_sync_dir(folder, err)) == ERR_OK &&
	    (before[0] == '\0' || (code = make_links(dir, err)) == ERR_OK))
		code = point_link(dir, CURRENT, name, err);
	if (code == ERR_OK && before[0] == '\0')
		code = make_links(dir, err);
	if (code != ERR_OK) {
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
	return json_parse(buf_bytes(&text), state_out, err);
}

enum err_code outdir_write_state(
    const char *dir, const json_t *state, struct err *err)
{
	OWNED_BUF(text);

	json_put_indented(&text, state);
	return write_in(dir, STATE, 0644, buf_bytes(&text), err);
}

enum err_code outdir_pending_key(const char *dir, const char *type,
    struct secret **key_pem_out, struct err *err)
{
	OWNED_STR(path) = fs_join(dir, PENDING);
	OWNED(secret)
	key = NULL;
	enum err_code code;

	if (fs_exists(path))
		return secret_from_file(path, KEY_PEM_MAX, key_pem_out, err);
	if ((code = csr_new_key(type, &key, err)) != ERR_OK ||
	    (code = fs_write(path, 0600, secret_bytes(key), err)) != ERR_OK)
		return code;
	*key_pem_out = GIVE(key);
	return ERR_OK;
}

void outdir_drop_pending(const char *dir)
{
	OWNED_STR(path) = fs_join(dir, PENDING);

	(void)unlink(path);
}
