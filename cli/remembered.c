// SPDX-License-Identifier: Apache-2.0
#include "cli/remembered.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "ca/digest.h"
#include "cli/session.h"
#include "store/checkpoint.h"

#define ROOTS_MAX (1u << 20)
#define NAME_OCTETS 16

/* The folder that the XDG base directory specification names. */
static char *state_folder(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		return fs_join(state, "signet");
	if (home == NULL || home[0] != '/')
		return NULL;
	return fs_join(home, ".local/state/signet");
}

enum err_code remembered_path(
    const struct options *options, char **path_out, struct err *err)
{
	const char *given = options_get(options, "state");
	OWNED_STR(folder) = NULL;
	OWNED_STR(roots) = NULL;
	OWNED_BUF(pem);
	uint8_t digest[32];
	enum err_code code;

	if (given != NULL) {
		*path_out = mem_strdup(given);
		return ERR_OK;
	}
	*path_out = NULL;
	if ((folder = state_folder()) == NULL)
		return ERR_OK;
	if ((code = session_roots(options, &roots, err)) != ERR_OK ||
	    (code = fs_read(roots, ROOTS_MAX, &pem, err)) != ERR_OK)
		return code;
	digest_sha256(buf_bytes(&pem), digest);
	OWNED_STR(name) = hex_new(digest, NAME_OCTETS);
	*path_out = mem_printf("%s/audit-%s", folder, name);
	return ERR_OK;
}

enum err_code remembered_read(
    const char *path, char **note_out, struct err *err)
{
	OWNED_BUF(note);
	enum err_code code;

	*note_out = NULL;
	if (path == NULL || !fs_exists(path))
		return ERR_OK;
	code = fs_read(path, CHECKPOINT_TEXT_MAX, &note, err);
	if (code == ERR_OK)
		*note_out = buf_to_str(&note);
	return code;
}

/* From the root down; what is there already is left alone. */
static enum err_code make_folders(const char *path, struct err *err)
{
	OWNED_STR(parent) = fs_dirname(path);
	enum err_code code;

	if (fs_exists(parent))
		return ERR_OK;
	code = make_folders(parent, err);
	return code == ERR_OK ? fs_mkdir(parent, 0700, err) : code;
}

enum err_code remembered_write(
    const char *path, const char *note, struct err *err)
{
	enum err_code code;

	if (path == NULL)
		return err_refuse(err, ERR_USAGE,
		    "there is no HOME to keep it in: use --state");
	if ((code = make_folders(path, err)) != ERR_OK)
		return code;
	return fs_write(path, 0600, bytes_str(note), err);
}
