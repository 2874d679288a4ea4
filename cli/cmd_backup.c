// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"
#include "store/audit.h"

static const struct column columns[] = {
    {"backup", "backup"},
    {"store", "store"},
    {"audit entries", "audit_sequence"},
    {0},
};

const struct option_spec backup_options[] = {{0}};

static enum err_code copy_store(
    const struct options *options, uint64_t *entries, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED(store) store = NULL;
	struct audit_head head;
	enum err_code code;

	if ((code = session_config(options, &config, err)) != ERR_OK)
		return code;
	struct store_options where = {.path = config->store.path,
	    .map_size = config->store.map_size_mib << 20,
	    .read_only = true};
	if ((code = store_open(&where, &store, err)) != ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK)
		return code;
	fprintf(stderr, "copying the store and verifying the copy …\n");
	*entries = head.sequence;
	return store_backup(store, options_arg(options, 0), err);
}

static int report(const struct options *options, const char *field,
    const char *path, uint64_t entries)
{
	OWNED_JSON(answer) = json_object();

	json_object_set_new(answer, field, json_string(path));
	if (entries > 0)
		json_object_set_new(answer, "audit_sequence",
		    json_integer((json_int_t)entries));
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

int backup_run(const struct options *options)
{
	uint64_t entries = 0;
	struct err err = {0};
	enum err_code code = copy_store(options, &entries, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	return report(options, "backup", options_arg(options, 0), entries);
}

const struct option_spec restore_options[] = {
    {"dir", "DIR", "folder of the instance, made when absent; it has no store yet", false,
	true},
    {0},
};

int restore_run(const struct options *options)
{
	const char *dir = options_get(options, "dir");
	OWNED_STR(path) = fs_join(dir, "store");
	bool existed = fs_exists(dir);
	struct err err = {0};
	/* A folder that is new holds the records alone, to be looked at. */
	enum err_code code = fs_mkdir(dir, 0700, &err);

	if (code == ERR_OK)
		code = store_restore(options_arg(options, 0), path, &err);
	if (code != ERR_OK) {
		/* It stays when anything is in it. */
		if (!existed)
			(void)rmdir(dir);
		return session_end(options, code, &err);
	}
	return report(options, "store", path, 0);
}
