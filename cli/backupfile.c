// SPDX-License-Identifier: Apache-2.0
#include "cli/backupfile.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/storekey.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/unbox.h"
#include "cli/unlock.h"
#include "store/audit.h"

static const struct column columns[] = {
    {"backup", "backup"},
    {"format", "format"},
    {"encrypted", "encrypted"},
    {"recipients", "recipients"},
    {"created", "created_at"},
    {"octets", "size"},
    {"verified", "verified"},
    {"sealed rows", "seal"},
    {"audit log", "log"},
    {"audit entries", "audit_sequence"},
    {"root of the log", "tree_root"},
    {"store format", "store_format"},
    {"keys of the token", "token_keys"},
    {0},
};

static void set_integer(json_t *answer, const char *name, uint64_t value)
{
	json_object_set_new(answer, name, json_integer((json_int_t)value));
}

static void set_manifest(json_t *answer, const struct manifest *manifest)
{
	char time[CLOCK_TEXT_SIZE], root[65];
	json_t *keys = json_array();

	for (size_t i = 0; i < manifest->keys_count; i++)
		json_array_append_new(keys, json_string(manifest->keys[i]));
	json_object_set_new(answer, "created_at",
	    json_string(clock_format(manifest->created, time)));
	json_object_set_new(answer, "log", json_string(manifest->log));
	set_integer(answer, "audit_sequence", manifest->entries);
	json_object_set_new(answer, "tree_root",
	    json_string(hex_write(manifest->root, 32, root)));
	set_integer(answer, "store_format", manifest->store_format);
	json_object_set_new(answer, "token_keys", keys);
}

static void set_file(json_t *answer, const char *path, bool encrypted,
    uint64_t size)
{
	json_object_set_new(answer, "backup", json_string(path));
	json_object_set_new(answer, "format",
	    json_string(encrypted ? "signet backup 1" : "lmdb"));
	json_object_set_new(answer, "encrypted", json_boolean(encrypted));
	set_integer(answer, "size", size);
}

static void set_box(json_t *answer, const char *path,
    const struct strongbox *box, bool as_json)
{
	set_file(answer, path, true, strongbox_size(box));
	json_object_set_new(answer, "recipients",
	    unbox_recipients(strongbox_recipients(box), as_json));
	set_manifest(answer, strongbox_manifest(box));
}

/* The file's own time is all that is known of when it was made. */
static enum err_code set_plain(
    json_t *answer, const char *path, struct store *copy, struct err *err)
{
	OWNED_MANIFEST(manifest);
	struct stat st;
	enum err_code code;

	if (stat(path, &st) != 0)
		return err_fail(err, ERR_IO, "look at %s: %m", path);
	code = manifest_of(copy, (int64_t)st.st_mtim.tv_sec, &manifest, err);
	if (code != ERR_OK)
		return code;
	set_file(answer, path, false, (uint64_t)st.st_size);
	set_manifest(answer, &manifest);
	return ERR_OK;
}

static enum err_code show(const struct options *options, const char *path,
    json_t *answer, struct err *err)
{
	OWNED(strongbox) box = NULL;
	OWNED(store) copy = NULL;
	bool encrypted;
	enum err_code code = strongbox_is(path, &encrypted, err);

	if (code != ERR_OK)
		return code;
	if (encrypted) {
		code = strongbox_open(path, &box, err);
		if (code == ERR_OK)
			set_box(answer, path, box, session_wants_json(options));
		return code;
	}
	code = store_open_copy(path, &copy, err);
	return code == ERR_OK ? set_plain(answer, path, copy, err) : code;
}

/* Rows open by the token that the configuration names, if there is one. */
static enum err_code verify_rows(const struct options *options,
    struct store *copy, const char **seal_out, struct err *err)
{
	OWNED(config) config = NULL;
	uint64_t rows;
	bool sealed;
	enum err_code code = unlock_is_sealed(copy, &sealed, err);

	*seal_out = sealed ? "not verified" : "not sealed";
	if (code != ERR_OK || !sealed || !session_config_exists(options))
		return code;
	if ((code = session_config(options, &config, err)) != ERR_OK)
		return code;
	code = unlock_store(config, copy, err);
	if (code == ERR_HSM_UNAVAILABLE) {
		err_clear(err);
		return ERR_OK;
	}
	if (code == ERR_OK)
		code = store_verify(copy, &rows, err);
	if (code == ERR_OK)
		*seal_out = "verified";
	return code;
}

static enum err_code verify_plain(const struct options *options,
    const char *path, json_t *answer, struct err *err)
{
	OWNED(store) copy = NULL;
	struct audit_head head;
	const char *seal = NULL;
	enum err_code code;

	if ((code = store_open_copy(path, &copy, err)) != ERR_OK ||
	    (code = audit_verify(copy, &head, err)) != ERR_OK ||
	    (code = verify_rows(options, copy, &seal, err)) != ERR_OK ||
	    (code = set_plain(answer, path, copy, err)) != ERR_OK)
		return code;
	json_object_set_new(answer, "seal", json_string(seal));
	return ERR_OK;
}

static enum err_code verify(const struct options *options, const char *path,
    json_t *answer, struct err *err)
{
	OWNED(strongbox) box = NULL;
	struct progress progress;
	enum err_code code = unbox_open(options, path, &box, err);

	if (code != ERR_OK)
		return code;
	if (box == NULL) {
		code = verify_plain(options, path, answer, err);
	} else {
		progress_begin(
		    &progress, "verifying the backup", strongbox_size(box));
		code = strongbox_pour(box, NULL, &progress.hook, err);
		progress_end(&progress);
		set_box(answer, path, box, session_wants_json(options));
	}
	json_object_set_new(answer, "verified", json_true());
	return code;
}

static int run(const struct options *options,
    enum err_code (*what)(const struct options *options, const char *path,
	json_t *answer, struct err *err))
{
	OWNED_JSON(answer) = json_object();
	struct err err = {0};
	enum err_code code =
	    what(options, options_arg(options, 0), answer, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

int backupfile_show(const struct options *options)
{
	return run(options, show);
}

int backupfile_verify(const struct options *options)
{
	return run(options, verify);
}
