// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/config.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/unlock.h"
#include "store/audit.h"
#include "store/backup.h"

static const struct column columns[] = {
    {"backup", "backup"},
    {"audit entries", "audit_sequence"},
    {"sealed rows", "seal"},
    {0},
};

const struct option_spec backup_options[] = {{0}};

/* What is told of a copy. */
struct copied {
	uint64_t entries;
	const char *seal;
};

/* A backup is made also while the token is away: then its rows are copied as
 * they lie, sealed, and nobody can say more of them. */
static enum err_code unlock_if_possible(const struct config *config,
    struct store *store, const char **seal_out, struct err *err)
{
	enum err_code code = unlock_store(config, store, err);
	bool sealed;

	if (code == ERR_HSM_UNAVAILABLE) {
		fprintf(stderr, "signet: the token is out of reach: the rows "
		    "are copied, but not verified\n");
		*seal_out = "not verified";
		return ERR_OK;
	}
	if (code != ERR_OK)
		return code;
	code = unlock_is_sealed(store, &sealed, err);
	*seal_out = sealed ? "verified" : "not sealed";
	return code;
}

static enum err_code copy_store(
    const struct options *options, struct copied *copied, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED(store) store = NULL;
	struct audit_head head;
	enum err_code code;

	if ((code = session_config(options, &config, err)) != ERR_OK ||
	    (code = unlock_open(config, true, &store, err)) != ERR_OK ||
	    (code = unlock_if_possible(
		 config, store, &copied->seal, err)) != ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK)
		return code;
	fprintf(stderr, "copying the store and verifying the copy …\n");
	copied->entries = head.sequence;
	return store_backup(store, options_arg(options, 0), NULL, err);
}

static int report(const struct options *options, const char *path,
    const struct copied *copied)
{
	OWNED_JSON(answer) = json_object();

	json_object_set_new(answer, "backup", json_string(path));
	json_object_set_new(answer, "audit_sequence",
	    json_integer((json_int_t)copied->entries));
	json_object_set_new(answer, "seal", json_string(copied->seal));
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

int backup_run(const struct options *options)
{
	struct copied copied = {0};
	struct err err = {0};
	enum err_code code = copy_store(options, &copied, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	return report(options, options_arg(options, 0), &copied);
}
