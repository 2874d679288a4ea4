// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/fs.h"
#include "cli/backupfile.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/unbox.h"
#include "cli/unlock.h"
#include "store/audit.h"

#define PEM_MAX ((size_t)4 * RECIPIENT_DER_MAX)

static const struct column columns[] = {
    {"backup", "backup"},
    {"audit entries", "audit_sequence"},
    {"sealed rows", "seal"},
    {"encrypted", "encrypted"},
    {"recipients", "recipients"},
    {0},
};

const struct option_spec backup_options[] = {
    {"encrypt-to", "CERT",
	"encrypt it to this certificate (PEM); whoever has its key restores",
	true, false},
    {"show", NULL, "tell what the backup FILE says of itself", false, false},
    {"verify", NULL, "read all of the backup FILE again", false, false},
    UNBOX_OPTIONS,
    {0},
};

/* What is told of a copy. */
struct copied {
	uint64_t entries;
	const char *seal;
	struct recipients *to;
};

static void copied_end(struct copied *copied)
{
	recipients_free(copied->to);
}

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

/* ---- recipients ---- */

static enum err_code add_recipient(
    struct recipients *to, const char *path, struct err *err)
{
	OWNED_BUF(pem);
	struct err why = {0};
	int64_t ends = 0, now = clock_now();
	enum err_code code = fs_read(path, PEM_MAX, &pem, err);

	if (code != ERR_OK)
		return code;
	code = recipients_add(to, buf_bytes(&pem), now, &ends, &why);
	if (code != ERR_OK && why.detail[0] != '\0')
		return err_refuse(err, code, "%.80s: %s", path, why.detail);
	*err = why;
	if (code == ERR_OK && ends - now < RECIPIENT_WARN)
		fprintf(stderr,
		    "signet: the certificate %s ends in %" PRId64
		    " days, and then no backup is encrypted to it: have it "
		    "renewed\n",
		    path, (ends - now) / 86400);
	return code;
}

static enum err_code read_recipients(
    const struct options *options, struct recipients *to, struct err *err)
{
	const char *path;
	enum err_code code = ERR_OK;

	for (size_t i = 0; code == ERR_OK &&
	     options_each(options, "encrypt-to", i, &path); i++)
		code = add_recipient(to, path, err);
	return code;
}

/* ---- the copy ---- */

/* What the copy will be made of, for it is not to be had in the clear. */
static enum err_code verify_store(
    struct store *store, const struct copied *copied, struct err *err)
{
	struct progress progress;
	struct audit_head head;
	uint64_t rows;
	enum err_code code;

	progress_begin(&progress, "verifying the store", 0);
	code = audit_verify(store, &head, err);
	if (code == ERR_OK && copied->seal[0] == 'v')
		code = store_verify(store, &rows, err);
	progress_end(&progress);
	return code;
}

/* The file is as long as what it was made of, and is gone through twice. */
static void tell_second(void *arg, uint64_t octets)
{
	struct progress *progress = arg;

	progress->hook.tell(progress, progress->total / 2 + octets);
}

static enum err_code write_encrypted(struct store *store, const char *path,
    struct copied *copied, struct err *err)
{
	OWNED_MANIFEST(manifest);
	struct progress progress;
	struct store_stats stats;
	struct strongbox_order order = {
	    .to = copied->to, .manifest = &manifest};
	enum err_code code;

	if (fs_exists(path))
		return err_refuse(err, ERR_EXISTS, "%s is there already", path);
	if ((code = verify_store(store, copied, err)) != ERR_OK ||
	    (code = manifest_of(store, clock_now(), &manifest, err)) != ERR_OK)
		return code;
	copied->entries = manifest.entries;
	store_stats(store, &stats);
	progress_begin(
	    &progress, "encrypting a copy and reading it again", 2 * stats.used);
	order.progress = &progress.hook;
	order.checking = &(struct store_progress){tell_second, &progress};
	code = strongbox_write(store, path, &order, err);
	progress_end(&progress);
	return code;
}

static enum err_code write_plain(
    struct store *store, const char *path, struct err *err)
{
	struct progress progress;
	struct store_stats stats;
	enum err_code code;

	store_stats(store, &stats);
	progress_begin(&progress, "copying the store and verifying the copy",
	    stats.used);
	code = store_backup(store, path, &progress.hook, err);
	progress_end(&progress);
	return code;
}

static enum err_code copy_store(
    const struct options *options, struct copied *copied, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED(store) store = NULL;
	const char *path = options_arg(options, 0);
	struct audit_head head;
	enum err_code code;

	if ((code = read_recipients(options, copied->to, err)) != ERR_OK ||
	    (code = session_config(options, &config, err)) != ERR_OK ||
	    (code = unlock_open(config, true, &store, err)) != ERR_OK ||
	    (code = unlock_if_possible(
		 config, store, &copied->seal, err)) != ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK)
		return code;
	copied->entries = head.sequence;
	return recipients_count(copied->to) == 0
	    ? write_plain(store, path, err)
	    : write_encrypted(store, path, copied, err);
}

static int report(const struct options *options, const char *path,
    const struct copied *copied)
{
	OWNED_JSON(answer) = json_object();
	bool encrypted = recipients_count(copied->to) > 0;

	json_object_set_new(answer, "backup", json_string(path));
	json_object_set_new(answer, "audit_sequence",
	    json_integer((json_int_t)copied->entries));
	json_object_set_new(answer, "seal", json_string(copied->seal));
	json_object_set_new(answer, "encrypted", json_boolean(encrypted));
	if (encrypted)
		json_object_set_new(answer, "recipients",
		    unbox_recipients(copied->to, session_wants_json(options)));
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

static enum err_code check_options(
    const struct options *options, struct err *err)
{
	bool show = options_has(options, "show");
	bool verify = options_has(options, "verify");

	if (show + verify + options_has(options, "encrypt-to") > 1)
		return err_refuse(err, ERR_USAGE,
		    "--show and --verify look at a backup that is there, "
		    "--encrypt-to makes one: take one of them");
	if (!verify && (options_has(options, "decrypt-with") ||
			   options_has(options, "passphrase-file")))
		return err_refuse(err, ERR_USAGE,
		    "--decrypt-with and --passphrase-file go with --verify: "
		    "nothing else of signet backup needs a private key");
	return ERR_OK;
}

int backup_run(const struct options *options)
{
	__attribute__((cleanup(copied_end))) struct copied copied = {0};
	struct err err = {0};
	enum err_code code = check_options(options, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (options_has(options, "show"))
		return backupfile_show(options);
	if (options_has(options, "verify"))
		return backupfile_verify(options);
	copied.to = recipients_new();
	code = copy_store(options, &copied, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	return report(options, options_arg(options, 0), &copied);
}
