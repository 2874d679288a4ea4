// SPDX-License-Identifier: Apache-2.0
/*
 * signet restore: a store from a backup.  All is made and checked in a folder
 * beside the store's, which gets the data by one rename at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/folder.h"
#include "cli/output.h"
#include "cli/restore.h"
#include "cli/session.h"
#include "cli/setup.h"
#include "store/backup.h"

const struct option_spec restore_options[] = {
    {"dir", "DIR",
	"folder of the instance, made when absent; it has no store yet", false,
	true},
    {"witness", "FILE",
	"what the audit log's witness has: later revocations are replayed",
	false, false},
    {"without-witness", NULL,
	"none is left: what came after the backup is forgotten", false, false},
    {"crl-number-above", "N", "no CRL was published with a higher number",
	false, false},
    UNBOX_OPTIONS,
    {0},
};

static const struct column columns[] = {
    {"store", "store"},
    {"sealed rows", "seal"},
    {"audit entries", "audit_sequence"},
    {"of the backup", "backup_sequence"},
    {"replayed", "replayed"},
    {"  issued", "issued"},
    {"  of these unresolved", "unresolved"},
    {"  certificates revoked", "revoked"},
    {"  tokens revoked", "tokens"},
    {"  identities revoked", "identities"},
    {"  clusters ended", "clusters"},
    {"to be made again", "by_hand"},
    {0},
};

static void restore_end(struct restore *restore)
{
	if (restore->staging != NULL)
		store_remove(restore->staging);
	free(restore->staging);
	free(restore->path);
	strongbox_free(restore->box);
	hsm_close(restore->hsm);
	config_free(restore->config);
}

/* ---- what is asked for ---- */

static enum err_code read_number(
    const char *text, uint64_t *number_out, struct err *err)
{
	char *end = NULL;

	*number_out = 0;
	if (text == NULL)
		return ERR_OK;
	errno = 0;
	if (text[0] >= '0' && text[0] <= '9')
		*number_out = strtoull(text, &end, 10);
	if (end == NULL || *end != '\0' || errno != 0)
		return err_refuse(err, ERR_USAGE,
		    "--crl-number-above %s: not a number", err_quote_str(text));
	return ERR_OK;
}

static enum err_code read_options(
    const struct options *options, struct restore *restore, struct err *err)
{
	bool without = options_has(options, "without-witness");

	restore->file = options_arg(options, 0);
	restore->dir = options_get(options, "dir");
	restore->witness = options_get(options, "witness");
	if (without == (restore->witness != NULL))
		return err_refuse(err, ERR_USAGE,
		    without ? "--witness and --without-witness exclude each "
			      "other"
			    : "what came after the backup (revocations!) is "
			      "replayed from --witness FILE.  If there is "
			      "none, --without-witness says that it may be "
			      "forgotten");
	return read_number(
	    options_get(options, "crl-number-above"), &restore->crl_above, err);
}

static enum err_code read_config(struct restore *restore, struct err *err)
{
	OWNED_STR(path) = fs_join(restore->dir, SETUP_CONFIG);
	enum err_code code;

	if (!fs_exists(path)) {
		restore->path = fs_join(restore->dir, "store");
		if (restore->witness == NULL)
			return ERR_OK;
		return err_refuse(err, ERR_CONFIG,
		    "%s is not there, and with it the token: without it "
		    "nothing can be replayed.  Put the instance's folder back "
		    "first",
		    path);
	}
	code = config_load(path, &restore->config, err);
	if (code == ERR_OK)
		restore->path = mem_strdup(restore->config->store.path);
	return code;
}

/* ---- before anything is written ---- */

/* What is encrypted is seen once it is out of its box. */
static enum err_code check_first(const struct options *options,
    struct restore *restore, struct err *err)
{
	enum err_code code;

	if ((code = unbox_open(options, restore->file, &restore->box, err)) !=
		ERR_OK ||
	    (code = store_check_vacant(restore->path, err)) != ERR_OK ||
	    restore->config == NULL || restore->box != NULL)
		return code;
	return restore_check_token(restore, restore->file, err);
}

static enum err_code publish(struct restore *restore, struct err *err)
{
	enum err_code code = store_move(restore->staging, restore->path, err);

	if (code == ERR_OK)
		free(GIVE(restore->staging));
	return code;
}

static enum err_code run(const struct options *options,
    struct restore *restore, struct err *err)
{
	enum err_code code;

	if ((code = read_config(restore, err)) != ERR_OK ||
	    (code = check_first(options, restore, err)) != ERR_OK ||
	    (code = restore_make(restore, err)) != ERR_OK)
		return code;
	return publish(restore, err);
}

/* ---- what is told ---- */

static void set(json_t *answer, const char *name, uint64_t value)
{
	json_object_set_new(answer, name, json_integer((json_int_t)value));
}

static void warn(const struct restore *restore)
{
	if (restore->config == NULL)
		fprintf(stderr,
		    "signet: without %s/" SETUP_CONFIG " these are the records "
		    "alone, to be looked at: nothing was replayed, and they "
		    "are "
		    "not to be served\n",
		    restore->dir);
	else if (restore->witness == NULL)
		fprintf(stderr,
		    "signet: what came after the backup is forgotten: what was "
		    "revoked since is good again, and what was issued since is "
		    "known to nobody.  See \"Without a witness\" in "
		    "backup.md\n");
}

/* The server refuses such a store: whoever may write files could have made it. */
static void warn_unsealed(const struct restore *restore)
{
	if (restore->config == NULL || strcmp(restore->seal, "not sealed") != 0)
		return;
	fprintf(stderr,
	    "signet: WARNING: this backup is NOT SEALED.  Nothing shows that its "
	    "rows are those that Signet wrote, and the server does not serve "
	    "them as they are.\n"
	    "signet: If there is a sealed backup, remove %s and restore that "
	    "one.\n"
	    "signet: If not, and nobody else can have changed this one since it "
	    "was written, compare it with what you know ('signet audit verify "
	    "--offline', a witness, certificates in use), then seal it: 'signet "
	    "store seal --config %s/" SETUP_CONFIG "'.\n",
	    restore->path, restore->dir);
}

static int report(const struct options *options, const struct restore *restore)
{
	OWNED_JSON(answer) = json_object();
	const struct replay_counts *counts = &restore->counts;

	json_object_set_new(answer, "store", json_string(restore->path));
	json_object_set_new(answer, "seal", json_string(restore->seal));
	if (restore->config != NULL) {
		set(answer, "audit_sequence", restore->entries);
		set(answer, "backup_sequence", restore->backup.sequence);
	}
	if (restore->witness != NULL) {
		set(answer, "replayed", counts->entries);
		set(answer, "issued", counts->issued);
		set(answer, "unresolved", counts->unresolved);
		set(answer, "revoked", counts->revoked);
		set(answer, "tokens", counts->tokens);
		set(answer, "identities", counts->identities);
		set(answer, "clusters", counts->clusters);
		set(answer, "by_hand", counts->by_hand);
	}
	warn(restore);
	warn_unsealed(restore);
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

int restore_run(const struct options *options)
{
	__attribute__((cleanup(restore_end))) struct restore restore = {
	    .seal = "not verified"};
	struct err err = {0};
	enum err_code code = read_options(options, &restore, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	bool existed = fs_exists(restore.dir);
	code = folder_make("--dir", restore.dir, 0700, &err);
	if (code == ERR_OK)
		code = run(options, &restore, &err);
	if (code == ERR_OK)
		return report(options, &restore);
	if (restore.staging != NULL)
		store_remove(restore.staging);
	/* It stays when anything is in it. */
	if (!existed)
		(void)rmdir(restore.dir);
	return session_end(options, code, &err);
}
