// SPDX-License-Identifier: Apache-2.0
#include "base/modes.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/text.h"

#define SOFTHSM_CONF_MAX 65536
#define LINKS_MAX 40	/* as the kernel */

static const struct {
	mode_t forbidden;
	const char *what;
	const char *mend_file, *mend_folder;	/* arguments of chmod */
} rules[] = {
    [MODES_STABLE] = {022, "others could change it", "go-w", "go-w"},
    [MODES_SECRET] = {027, "a secret that others could read or change", "600",
	"700"},
    [MODES_PRIVATE] = {077, "it is open to group or others", "600", "700"},
    [MODES_TOKEN] = {007, "it is open to others", "o-rwx", "o-rwx"},
};

enum err_code modes_check(const char *path, const struct stat *st,
    enum modes_rule rule, struct err *err)
{
	if ((st->st_mode & rules[rule].forbidden) == 0)
		return ERR_OK;
	return err_refuse(err, ERR_CONFIG,
	    "%s has mode %04o: %s; correct it by: chmod %s %s", path,
	    (unsigned)st->st_mode & 07777, rules[rule].what,
	    S_ISDIR(st->st_mode) ? rules[rule].mend_folder
				 : rules[rule].mend_file, path);
}

static enum err_code look(const char *path, struct stat *st, struct err *err)
{
	if (stat(path, st) == 0)
		return ERR_OK;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_refuse(
		    err, ERR_NOT_FOUND, "%s does not exist", path);
	return err_fail(err, ERR_IO, "look at %s: %m", path);
}

static enum err_code check_owner(
    const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid == 0 || st->st_uid == geteuid())
		return ERR_OK;
	return err_refuse(err, ERR_CONFIG,
	    "%s belongs to user %u, who could change it; correct it by: "
	    "chown %u %s",
	    path, (unsigned)st->st_uid, (unsigned)geteuid(), path);
}

/* Who owns a folder replaces what is in it, whatever its mode. */
static enum err_code check_folder(const char *path, struct err *err)
{
	const char *who, *mend;
	struct stat st;
	enum err_code code = look(path, &st, err);

	if (code == ERR_OK)
		code = check_owner(path, &st, err);
	if (code != ERR_OK || (st.st_mode & S_ISVTX) != 0)
		return code;
	if ((st.st_mode & S_IWOTH) != 0)
		who = "everybody", mend = "o-w";
	else if ((st.st_mode & S_IWGRP) != 0 && st.st_gid != 0 &&
	    st.st_gid != getegid())
		who = "its group", mend = "g-w";
	else
		return ERR_OK;
	return err_refuse(err, ERR_CONFIG,
	    "%s has mode %04o: %s could replace what is in it; correct it by: "
	    "chmod %s %s",
	    path, (unsigned)st.st_mode & 07777, who, mend, path);
}

/* Where the link PART leads, with what stands behind it in a path; NULL when PART
 * is no link. */
static char *follow(const char *part, const char *rest)
{
	char target[PATH_MAX];
	ssize_t len = readlink(part, target, sizeof(target) - 1);

	if (len < 0)
		return NULL;
	target[len] = '\0';
	OWNED_STR(folder) = fs_dirname(part);
	OWNED_STR(whole) = fs_join(folder, target);
	return mem_printf("%s%s", whole, rest);
}

/* Each folder in which a part of PATH, or of a link on the way, is looked up: who
 * can replace a link there has as much power as over the file. */
static enum err_code check_way(const char *path, struct err *err)
{
	OWNED_STR(way) = mem_strdup(path);
	unsigned links = 0;
	size_t end = 0;	/* of the part that was looked at last */
	enum err_code code = check_folder("/", err);

	while (code == ERR_OK && way[end + strspn(way + end, "/")] != '\0') {
		end += strspn(way + end, "/");
		end += strcspn(way + end, "/");
		OWNED_STR(part) = mem_printf("%.*s", (int)end, way);
		char *elsewhere = follow(part, way + end);

		if (elsewhere == NULL) {
			if (way[end] != '\0')
				code = check_folder(part, err);
			continue;
		}
		free(way);
		way = elsewhere;
		end = 0;
		if (++links > LINKS_MAX)
			return err_fail(
			    err, ERR_IO, "%s: too many links", path);
	}
	return code;
}

enum err_code modes_check_path(
    const char *path, enum modes_rule rule, struct err *err)
{
	struct stat st;
	enum err_code code = look(path, &st, err);

	if (code == ERR_OK)
		code = modes_check(path, &st, rule, err);
	if (code == ERR_OK)
		code = check_owner(path, &st, err);
	return code == ERR_OK ? check_way(path, err) : code;
}

/* ---- What a configuration names ---- */

static enum err_code check_if_there(
    const char *path, enum modes_rule rule, struct err *err)
{
	enum err_code code = modes_check_path(path, rule, err);

	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	return ERR_OK;
}

static enum err_code check_policies(const char *dir, struct err *err)
{
	enum err_code code = check_if_there(dir, MODES_STABLE, err);
	DIR *folder = code == ERR_OK ? opendir(dir) : NULL;
	const struct dirent *entry;

	while (folder != NULL && code == ERR_OK &&
	    (entry = readdir(folder)) != NULL) {
		if (!text_has_suffix(entry->d_name, ".yaml"))
			continue;
		OWNED_STR(path) = fs_join(dir, entry->d_name);
		code = check_if_there(path, MODES_STABLE, err);
	}
	if (folder != NULL)
		closedir(folder);
	return code;
}

/* The value of "directories.tokendir = FOLDER", malloc'd, or NULL. */
static char *token_folder(char *text)
{
	static const char key[] = "directories.tokendir";
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		line += strspn(line, " \t");
		if (!text_has_prefix(line, key))
			continue;
		line += strlen(key);
		line += strspn(line, " \t");
		if (*line != '=')
			continue;
		line += 1 + strspn(line + 1, " \t");
		line[strcspn(line, "\r")] = '\0';
		return mem_strdup(line);
	}
	return NULL;
}

static enum err_code check_softhsm(const char *conf, struct err *err)
{
	OWNED_BUF(octets);
	enum err_code code = check_if_there(conf, MODES_STABLE, err);

	if (code != ERR_OK || !fs_exists(conf))
		return code;
	code = fs_read(conf, SOFTHSM_CONF_MAX, &octets, err);
	if (code != ERR_OK)
		return code;
	OWNED_STR(text) = buf_to_str(&octets);
	OWNED_STR(folder) = token_folder(text);
	if (folder == NULL || folder[0] != '/')
		return ERR_OK;
	return check_if_there(folder, MODES_TOKEN, err);
}

static enum err_code check_environment(
    const struct config *config, struct err *err)
{
	static const char name[] = "SOFTHSM2_CONF=";
	enum err_code code = ERR_OK;

	for (unsigned i = 0;
	    code == ERR_OK && i < config->hsm.environment_count; i++) {
		const char *variable = config->hsm.environment[i];

		if (text_has_prefix(variable, name))
			code = check_softhsm(variable + strlen(name), err);
	}
	return code;
}

enum err_code modes_check_config(const struct config *config, struct err *err)
{
	const struct {
		const char *path;
		enum modes_rule rule;
	} files[] = {
	    {config->path, MODES_STABLE},
	    {config->tls.certificate, MODES_STABLE},
	    {config->tls.key, MODES_SECRET},
	    {config->store.path, MODES_PRIVATE},
	    {config->hsm.module, MODES_STABLE},
	    {config->hsm.pin_file, MODES_SECRET},
	    {config->audit.witness_ca, MODES_STABLE},
	    {config->audit.witness_certificate, MODES_STABLE},
	    {config->audit.witness_key, MODES_SECRET},
	};
	enum err_code code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < ARRAY_LEN(files); i++)
		if (files[i].path != NULL)
			code = check_if_there(
			    files[i].path, files[i].rule, err);
	if (code == ERR_OK)
		code = check_policies(config->policies, err);
	return code == ERR_OK ? check_environment(config, err) : code;
}
