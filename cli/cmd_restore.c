// SPDX-License-Identifier: Apache-2.0
/*
 * signet restore: a store from a backup.  All is made and checked in a folder
 * beside the store's, which gets the data by one rename at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/fs.h"
#include "base/text.h"
#include "ca/replay.h"
#include "ca/storekey.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/folder.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/setup.h"
#include "cli/tokencheck.h"
#include "cli/unbox.h"
#include "cli/unlock.h"
#include "cli/witnessed.h"
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

/* One restore, from its options to what is told of it. */
struct restore {
	const char *file, *dir, *witness;
	uint64_t crl_above;
	struct config *config; /* NULL: the folder has none */
	char *path; /* of the store */
	char *staging; /* NULL: nothing there to remove */
	struct strongbox *box; /* NULL: the backup is plain */
	struct hsm *hsm;
	const char *seal;
	struct audit_head backup;
	struct witnessed witnessed;
	uint64_t entries;
	struct replay_counts counts;
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

/* A store that the instance's token does not open, or for whose issuers it has
 * no keys, would serve nobody; so there is no way around this.  FILE: the backup,
 * or what came out of it. */
static enum err_code check_token(
    struct restore *restore, const char *file, struct err *err)
{
	OWNED(store) copy = NULL;
	uint64_t rows;
	bool sealed;
	enum err_code code;

	if ((code = store_open_copy(file, &copy, err)) != ERR_OK ||
	    (code = unlock_is_sealed(copy, &sealed, err)) != ERR_OK ||
	    (code = unlock_token(restore->config, &restore->hsm, err)) !=
		ERR_OK)
		return code;
	if (sealed &&
	    ((code = storekey_unseal(copy, restore->hsm, err)) != ERR_OK ||
		(code = store_verify(copy, &rows, err)) != ERR_OK))
		return code;
	restore->seal = sealed ? "verified" : "not sealed";
	return tokencheck(copy, restore->hsm, err);
}

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
	return check_token(restore, restore->file, err);
}

/* ---- the store in the making ---- */

struct unpacking {
	struct strongbox *box;
	const struct store_progress *progress;
};

static enum err_code unpack(
    void *arg, const struct store_sink *sink, struct err *err)
{
	struct unpacking *unpacking = arg;

	return strongbox_pour(unpacking->box, sink, unpacking->progress, err);
}

/* Whoever has the recipients' certificates can make a box of anything. */
static enum err_code check_manifest(
    struct restore *restore, const char *data, struct err *err)
{
	const struct manifest *told = strongbox_manifest(restore->box);
	OWNED(store) copy = NULL;
	uint8_t root[32];
	enum err_code code = store_open_copy(data, &copy, err);

	if (code == ERR_OK)
		code = audit_root(copy, told->entries, root, err);
	if (code == ERR_BAD_FIELD ||
	    (code == ERR_OK && memcmp(root, told->root, 32) != 0)) {
		err_clear(err);
		return err_fail(err, ERR_CORRUPT,
		    "what %.200s holds is not what it says of itself",
		    restore->file);
	}
	return code;
}

static enum err_code stage_box(struct restore *restore,
    const struct store_progress *progress, struct err *err)
{
	OWNED_STR(data) = store_data_path(restore->staging);
	struct unpacking unpacking = {restore->box, progress};
	enum err_code code =
	    store_receive(restore->staging, unpack, &unpacking, err);

	if (code == ERR_OK)
		code = check_manifest(restore, data, err);
	if (code == ERR_OK && restore->config != NULL)
		code = check_token(restore, data, err);
	return code;
}

static uint64_t size_of_backup(const struct restore *restore)
{
	struct stat st;

	return stat(restore->file, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static enum err_code stage(struct restore *restore, struct err *err)
{
	OWNED_STR(staging) = mem_printf("%s.restore.XXXXXX", restore->path);
	struct progress progress;
	enum err_code code;

	if (mkdtemp(staging) == NULL)
		return err_fail(err, ERR_IO, "create %s: %m", staging);
	restore->staging = GIVE(staging);
	progress_begin(&progress, "copying the backup and verifying the copy",
	    size_of_backup(restore));
	code = restore->box != NULL
	    ? stage_box(restore, &progress.hook, err)
	    : store_restore(restore->file, restore->staging, &progress.hook,
		  err);
	progress_end(&progress);
	return code;
}

static enum err_code open_staged(
    struct restore *restore, struct store **store_out, struct err *err)
{
	const struct store_options options = {.path = restore->staging,
	    .map_size = restore->config->store.map_size_mib << 20};
	bool sealed;
	enum err_code code = store_open(&options, store_out, err);

	if (code == ERR_OK)
		code = unlock_is_sealed(*store_out, &sealed, err);
	if (code == ERR_OK && sealed)
		code = storekey_unseal(*store_out, restore->hsm, err);
	return code == ERR_OK ? audit_head(*store_out, &restore->backup, err)
			      : code;
}

static bool keep_time(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	(void)leaf;
	*(int64_t *)arg = entry->time_ms;
	return true;
}

static enum err_code check_witness(
    struct restore *restore, struct store *store, struct err *err)
{
	struct witnessed *found = &restore->witnessed;
	struct progress progress;
	enum err_code code;

	if (restore->witness == NULL)
		return ERR_OK;
	progress_begin(&progress, "comparing with the witness", 0);
	code = witnessed_check(restore->witness, store, found, err);
	progress_end(&progress);
	if (code == ERR_OK && found->entries > found->covered)
		fprintf(stderr,
		    "signet: of the witness's entries the last %" PRIu64
		    " are covered by no checkpoint: certificates that they "
		    "tell of count as revoked\n",
		    found->entries - found->covered);
	return code;
}

static enum err_code take_witness(
    struct restore *restore, struct replay *replay, struct err *err)
{
	if (restore->witness == NULL)
		return ERR_OK;
	return witnessed_take(
	    restore->witness, &restore->witnessed, replay, err);
}

/* What stands in the log for good. */
static char *tell(const struct restore *restore, int64_t time_ms)
{
	char text[CLOCK_TEXT_SIZE];

	clock_format_ms(time_ms, text);
	if (restore->witness == NULL)
		return mem_printf("backup of %" PRIu64
				  " entries, the last of %s; without a "
				  "witness: what came after is not known",
		    restore->backup.sequence, text);
	return mem_printf("backup of %" PRIu64
			  " entries, the last of %s; %" PRIu64
			  " replayed from a witness",
	    restore->backup.sequence, text,
	    restore->witnessed.entries - restore->backup.sequence);
}

static enum err_code finish(struct restore *restore, struct store *store,
    struct replay *replay, struct err *err)
{
	char hex[65];
	OWNED_STR(object) =
	    mem_printf("backup:%s", hex_write(restore->backup.hash, 32, hex));
	int64_t time_ms = 0;
	enum err_code code = audit_read(
	    store, restore->backup.sequence, 1, keep_time, &time_ms, err);

	if (code != ERR_OK)
		return code;
	OWNED_STR(detail) = tell(restore, time_ms);
	return replay_finish(replay,
	    &(struct replay_end){.crl_above = restore->crl_above,
		.object = object,
		.detail = detail},
	    err);
}

static enum err_code check_result(
    struct restore *restore, struct store *store, struct err *err)
{
	struct audit_head head;
	uint8_t root[32];
	uint64_t rows;
	enum err_code code = audit_verify(store, &head, err);

	restore->entries = head.sequence;
	if (code == ERR_OK && strcmp(restore->seal, "verified") == 0)
		code = store_verify(store, &rows, err);
	if (code != ERR_OK || restore->witness == NULL)
		return code;
	code = audit_root(store, restore->witnessed.entries, root, err);
	if (code == ERR_OK && memcmp(root, restore->witnessed.root, 32) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "the witness %.80s was changed while it was read",
		    restore->witness);
	return code;
}

static enum err_code bring_up(
    struct restore *restore, struct store *store, struct err *err)
{
	OWNED(replay) replay = replay_new(store);
	enum err_code code = check_witness(restore, store, err);

	if (code == ERR_OK)
		code = take_witness(restore, replay, err);
	if (code == ERR_OK)
		code = finish(restore, store, replay, err);
	if (code != ERR_OK)
		return code;
	restore->counts = *replay_counts(replay);
	struct bytes lines = replay_by_hand(replay);
	if (restore->counts.by_hand > 0)
		fprintf(stderr,
		    "signet: these came after the backup and are lost; make "
		    "them again where they are still wanted:\n%.*s",
		    (int)lines.len, (const char *)lines.data);
	return check_result(restore, store, err);
}

static enum err_code make(struct restore *restore, struct err *err)
{
	OWNED(store) store = NULL;
	enum err_code code = stage(restore, err);

	/* The records alone, to be looked at. */
	if (code != ERR_OK || restore->config == NULL)
		return code;
	code = open_staged(restore, &store, err);
	return code == ERR_OK ? bring_up(restore, store, err) : code;
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
	    (code = make(restore, err)) != ERR_OK)
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
