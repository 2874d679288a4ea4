// SPDX-License-Identifier: Apache-2.0
#include "cli/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/storekey.h"
#include "cli/progress.h"
#include "cli/tokencheck.h"
#include "cli/unlock.h"
#include "store/backup.h"

enum err_code restore_check_token(
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
		code = restore_check_token(restore, data, err);
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

enum err_code restore_make(struct restore *restore, struct err *err)
{
	OWNED(store) store = NULL;
	enum err_code code = stage(restore, err);

	/* The records alone, to be looked at. */
	if (code != ERR_OK || restore->config == NULL)
		return code;
	code = open_staged(restore, &store, err);
	return code == ERR_OK ? bring_up(restore, store, err) : code;
}
