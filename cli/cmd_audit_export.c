// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/auditlog.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/folder.h"
#include "cli/output.h"
#include "cli/session.h"
#include "store/audit_json.h"

#define KEY_MAX 4096
#define WRITE_OCTETS (256 * 1024)

const struct option_spec audit_export_options[] = {
    {"out", "DIR", "folder of the export; made, or gone on with", false, true},
    {"fingerprint", "HEX", "what the key's SHA-256 must be", false, false},
    {0},
};

static const struct column exported[] = {
    {"entries", "sequence"},
    {"new", "new"},
    {"audit key fingerprint", "key_fingerprint"},
    {0},
};

struct export {
	struct client *client;
	struct verifier *verifier;
	struct audit_point point;
	struct checkpoint now;
	char *entries, *checkpoints, *key;
	int fd; /* of the entries */
	struct buf waiting;
	uint64_t had;
};

static void export_end(struct export *export)
{
	client_close(export->client);
	verifier_free(export->verifier);
	audit_point_end(&export->point);
	free(export->entries);
	free(export->checkpoints);
	free(export->key);
	own_fd_cleanup(&export->fd);
	buf_free(&export->waiting);
}

/* ---- what is there ---- */

/* The key of the first export is that of all later ones. */
static enum err_code settle_key(const struct options *options,
    struct export *export, struct err *err)
{
	OWNED_BUF(pem);
	bool fresh = !fs_exists(export->key);
	enum err_code code = ERR_OK;

	if (fresh)
		buf_put_str(&pem, export->point.key);
	else
		code = fs_read(export->key, KEY_MAX, &pem, err);
	if (code == ERR_OK)
		code = verifier_trust(export->verifier, buf_bytes(&pem),
		    options_get(options, "fingerprint"), err);
	if (code == ERR_OK && fresh)
		code = fs_write(export->key, 0644, buf_bytes(&pem), err);
	return code;
}

static enum err_code fail_io(const char *path, struct err *err)
{
	return err_fail(err, ERR_IO, "%s: %m", path);
}

/* Reads again what was exported, and drops a line that was cut. */
static enum err_code resume(struct export *export, struct err *err)
{
	struct audit_head head;
	uint64_t whole = 0;
	enum err_code code = ERR_OK;

	if (fs_exists(export->checkpoints))
		code = auditlog_expect(
		    export->checkpoints, export->verifier, err);
	if (code == ERR_OK && fs_exists(export->entries))
		code = auditlog_follow(
		    export->entries, export->verifier, &whole, err);
	if (code != ERR_OK)
		return code;
	export->fd = open(export->entries,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	if (export->fd < 0 || ftruncate(export->fd, (off_t)whole) != 0)
		return fail_io(export->entries, err);
	verifier_head(export->verifier, &head);
	export->had = head.sequence;
	return ERR_OK;
}

/* ---- what is new ---- */

static enum err_code flush(struct export *export, struct err *err)
{
	const uint8_t *at = export->waiting.data;
	size_t left = export->waiting.len;

	while (left > 0) {
		ssize_t done = write(export->fd, at, left);

		if (done < 0)
			return fail_io(export->entries, err);
		at += done;
		left -= (size_t)done;
	}
	buf_reset(&export->waiting);
	return ERR_OK;
}

static enum err_code take_entry(json_t *entry, void *arg, struct err *err)
{
	struct export *export = arg;
	enum err_code code = verifier_entry(export->verifier, entry, err);

	if (code != ERR_OK)
		return code;
	json_put(&export->waiting, entry);
	buf_put_u8(&export->waiting, '\n');
	return export->waiting.len < WRITE_OCTETS ? ERR_OK
						  : flush(export, err);
}

static enum err_code add_checkpoint(struct export *export, struct err *err)
{
	OWNED_JSON(json) = audit_checkpoint_json(bytes_str(export->point.note));
	OWNED_BUF(line);
	OWNED_FD(fd) = open(export->checkpoints,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);

	json_put(&line, json);
	buf_put_u8(&line, '\n');
	if (fd < 0 || write(fd, line.data, line.len) != (ssize_t)line.len ||
	    fsync(fd) != 0)
		return fail_io(export->checkpoints, err);
	return ERR_OK;
}

static enum err_code fetch(
    struct export *export, uint64_t covered, struct err *err)
{
	struct auditlog_range range = {export->had, export->now.size};
	enum err_code code;

	if (export->now.size < export->had || export->now.size < covered)
		return err_fail(err, ERR_CORRUPT,
		    "the log was rolled back: its checkpoint covers %" PRIu64
		    " entries, %" PRIu64 " were exported",
		    export->now.size,
		    export->had > covered ? export->had : covered);
	if ((code = auditlog_fetch(
		 export->client, range, take_entry, export, err)) != ERR_OK ||
	    (code = verifier_end(export->verifier, err)) != ERR_OK ||
	    (code = flush(export, err)) != ERR_OK)
		return code;
	if (fsync(export->fd) != 0)
		return fail_io(export->entries, err);
	return covered == export->now.size ? ERR_OK
					   : add_checkpoint(export, err);
}

static enum err_code run(const struct options *options, struct export *export,
    struct err *err)
{
	const char *dir = options_get(options, "out");
	uint64_t covered;
	enum err_code code;

	export->entries = fs_join(dir, AUDIT_ENTRIES);
	export->checkpoints = fs_join(dir, AUDIT_CHECKPOINTS);
	export->key = fs_join(dir, AUDIT_KEY);
	if ((code = verifier_new(&export->verifier, err)) != ERR_OK ||
	    (code = session_open(options, &export->client, err)) != ERR_OK ||
	    (code = auditlog_point(export->client, &export->point, err)) !=
		ERR_OK)
		return code;
	if (export->point.note == NULL || export->point.key == NULL)
		return err_fail(err, ERR_UNREACHABLE,
		    "the server has signed no checkpoint of the audit log yet");
	if ((code = folder_make("--out", dir, 0700, err)) != ERR_OK ||
	    (code = settle_key(options, export, err)) != ERR_OK ||
	    (code = resume(export, err)) != ERR_OK)
		return code;
	covered = verifier_covered(export->verifier);
	if ((code = verifier_expect(export->verifier,
		 bytes_str(export->point.note), &export->now, err)) != ERR_OK ||
	    (code = fetch(export, covered, err)) != ERR_OK)
		return code;
	return fs_sync_dir(dir, err);
}

int audit_export_run(const struct options *options)
{
	__attribute__((cleanup(export_end))) struct export export = {.fd = -1};
	OWNED_JSON(answer) = json_object();
	struct err err = {0};
	enum err_code code = run(options, &export, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	json_object_set_new(
	    answer, "sequence", json_integer((json_int_t)export.now.size));
	json_object_set_new(answer, "new",
	    json_integer((json_int_t)(export.now.size - export.had)));
	json_object_set_new(answer, "key_fingerprint",
	    json_string(verifier_fingerprint(export.verifier)));
	output_object(answer, exported, session_wants_json(options));
	return EXIT_DONE;
}
