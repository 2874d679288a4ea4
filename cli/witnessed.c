// SPDX-License-Identifier: Apache-2.0
#include "cli/witnessed.h"

#include <stdlib.h>
#include <string.h>

#include "ca/notary.h"
#include "cli/auditlog.h"
#include "store/audit_json.h"
#include "store/ledger.h"

/* One reading of a file that writes nothing. */
struct check {
	const char *path;
	struct store *store;
	struct ledger *ledger; /* from the store's last entry on */
	struct buf spki;
	struct witnessed *found;
	uint64_t last; /* number of the last entry told; 0: none */
};

static void check_end(struct check *check)
{
	ledger_free(check->ledger);
	buf_free(&check->spki);
}

static enum err_code read_entry(const struct check *check, json_t *json,
    struct audit_entry *entry, uint8_t leaf[static 32], struct err *err)
{
	enum err_code code = audit_from_json(json, entry, leaf, err);

	if (code == ERR_OK)
		return ERR_OK;
	OWNED_STR(why) = mem_strdup(err->detail);
	err_clear(err);
	return err_fail(err, ERR_CORRUPT,
	    "the witness %.80s has a malformed entry behind entry %llu: %s",
	    check->path, (unsigned long long)check->last, why);
}

static bool keep_leaf(
    const struct audit_entry *entry, const uint8_t leaf[static 32], void *arg)
{
	(void)entry;
	memcpy(arg, leaf, 32);
	return false;
}

static enum err_code fail_forked(
    const struct check *check, uint64_t at, struct err *err)
{
	return err_fail(err, ERR_CORRUPT,
	    "the backup is not of the log that the witness %.80s has: entry "
	    "%llu differs",
	    check->path, (unsigned long long)at);
}

/* What the store has too. */
static enum err_code compare_entry(struct check *check, uint64_t sequence,
    const uint8_t leaf[static 32], struct err *err)
{
	uint8_t have[32] = {0};
	enum err_code code =
	    audit_read(check->store, sequence, 1, keep_leaf, have, err);

	if (code == ERR_OK && memcmp(have, leaf, sizeof(have)) != 0)
		return fail_forked(check, sequence, err);
	return code;
}

static enum err_code check_entry(
    struct check *check, json_t *json, struct err *err)
{
	struct audit_entry entry;
	uint8_t leaf[32];
	enum err_code code = read_entry(check, json, &entry, leaf, err);

	if (code != ERR_OK)
		return code;
	if (check->last == 0 && entry.sequence > check->found->before + 1)
		return err_fail(err, ERR_CORRUPT,
		    "the witness %.80s begins with entry %llu, the backup ends "
		    "with entry %llu: what lies between is told by an older "
		    "file, that goes before it",
		    check->path, (unsigned long long)entry.sequence,
		    (unsigned long long)check->found->before);
	if (check->last != 0 && entry.sequence != check->last + 1)
		return err_fail(err, ERR_CORRUPT,
		    "the witness %.80s has entry %llu behind entry %llu: it "
		    "was changed, or files were joined wrongly",
		    check->path, (unsigned long long)entry.sequence,
		    (unsigned long long)check->last);
	check->last = entry.sequence;
	if (entry.sequence <= check->found->before)
		return compare_entry(check, entry.sequence, leaf, err);
	return ledger_follow_entry(check->ledger, &entry, leaf, err);
}

static enum err_code root_at(const struct check *check, uint64_t size,
    uint8_t root_out[static 32], struct err *err)
{
	struct audit_head head;

	if (size <= check->found->before)
		return audit_root(check->store, size, root_out, err);
	ledger_head(check->ledger, &head);
	if (head.sequence != size)
		return err_fail(err, ERR_CORRUPT,
		    "the witness %.80s has a checkpoint of %llu entries where "
		    "it tells %llu: some are missing",
		    check->path, (unsigned long long)size,
		    (unsigned long long)head.sequence);
	memcpy(root_out, head.hash, sizeof(head.hash));
	return ERR_OK;
}

static enum err_code check_note(
    struct check *check, const char *note, struct err *err)
{
	struct checkpoint checkpoint;
	uint8_t root[32];
	enum err_code code = checkpoint_check(
	    bytes_str(note), buf_bytes(&check->spki), &checkpoint, err);

	if (code == ERR_OK)
		code = root_at(check, checkpoint.size, root, err);
	if (code != ERR_OK)
		return code;
	if (memcmp(root, checkpoint.root, sizeof(root)) != 0)
		return fail_forked(check, checkpoint.size, err);
	if (checkpoint.size > check->found->covered)
		check->found->covered = checkpoint.size;
	return ERR_OK;
}

static enum err_code check_line(json_t *json, void *arg, struct err *err)
{
	struct check *check = arg;
	const char *note =
	    json_string_value(json_object_get(json, "checkpoint"));

	return note != NULL ? check_note(check, note, err)
			    : check_entry(check, json, err);
}

static enum err_code find_end(struct check *check, struct err *err)
{
	struct audit_head head;

	ledger_head(check->ledger, &head);
	check->found->entries = head.sequence;
	memcpy(check->found->root, head.hash, sizeof(head.hash));
	if (check->last >= check->found->before)
		return ERR_OK;
	return err_refuse(err, ERR_CONFLICT,
	    "the witness %.80s ends with entry %llu, before the backup, which "
	    "ends with entry %llu: it does not tell what came after",
	    check->path, (unsigned long long)check->last,
	    (unsigned long long)check->found->before);
}

enum err_code witnessed_check(const char *path, struct store *store,
    struct witnessed *found, struct err *err)
{
	__attribute__((cleanup(check_end))) struct check check = {
	    .path = path, .store = store, .found = found};
	enum err_code code;

	*found = (struct witnessed){0};
	if ((code = ledger_new(&check.ledger, err)) != ERR_OK ||
	    (code = ledger_resume_store(check.ledger, store, err)) != ERR_OK ||
	    (code = notary_find_key(store, &check.spki, err)) != ERR_OK)
		return code;
	found->before = ledger_size(check.ledger);
	code = auditlog_read(path, check_line, &check, NULL, err);
	return code == ERR_OK ? find_end(&check, err) : code;
}

/* ---- the second reading ---- */

struct taking {
	const struct witnessed *found;
	struct replay *replay;
	uint64_t next;
};

/* The file may have grown meanwhile; what was not checked is not taken.  That
 * the rest is as it was checked, the root tells in the end. */
static enum err_code take_line(json_t *json, void *arg, struct err *err)
{
	struct taking *taking = arg;
	struct audit_entry entry;
	uint8_t leaf[32];
	enum err_code code;

	if (json_object_get(json, "checkpoint") != NULL)
		return ERR_OK;
	code = audit_from_json(json, &entry, leaf, err);
	if (code != ERR_OK || entry.sequence != taking->next ||
	    entry.sequence > taking->found->entries)
		return code;
	taking->next++;
	return replay_entry(taking->replay, &entry,
	    entry.sequence <= taking->found->covered, err);
}

enum err_code witnessed_take(const char *path, const struct witnessed *found,
    struct replay *replay, struct err *err)
{
	struct taking taking = {found, replay, found->before + 1};
	enum err_code code = auditlog_read(path, take_line, &taking, NULL, err);

	if (code == ERR_OK && taking.next != found->entries + 1)
		return err_fail(err, ERR_CORRUPT,
		    "the witness %.80s was changed while it was read", path);
	return code;
}
