// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/text.h"
#include "ca/notary.h"
#include "ca/pem.h"
#include "cli/auditlog.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/remembered.h"
#include "cli/session.h"

#define KEY_MAX 4096

const struct option_spec audit_verify_options[] = {
    {"offline", "DIR", "an export, a store's folder, or a witness's file",
	false, false},
    {"key", "FILE", "public key that signs, PEM [as told]", false, false},
    {"fingerprint", "HEX", "what the key's SHA-256 must be", false, false},
    {"witness", "FILE", "checkpoints that a witness has must fit too", false,
	false},
    {"state", "FILE", "last checkpoint seen [below ~/.local/state/signet]",
	false, false},
    {"quick", NULL, "only what is new since, by proof", false, false},
    {0},
};

static const struct column verified[] = {
    {"verified entries", "sequence"},
    {"head", "head"},
    {"signed up to", "signed"},
    {"audit key fingerprint", "key_fingerprint"},
    {0},
};

/* KEY_PEM is what the teller says the key is; --key overrides it. */
static enum err_code trust(const struct options *options,
    struct verifier *verifier, struct bytes key_pem, struct err *err)
{
	const char *path = options_get(options, "key");
	const char *fingerprint = options_get(options, "fingerprint");
	OWNED_BUF(own);
	enum err_code code;

	if (path != NULL) {
		if ((code = fs_read(path, KEY_MAX, &own, err)) != ERR_OK)
			return code;
		key_pem = buf_bytes(&own);
	}
	return verifier_trust(verifier, key_pem, fingerprint, err);
}

static enum err_code expect_witness(const struct options *options,
    struct verifier *verifier, struct err *err)
{
	const char *path = options_get(options, "witness");

	return path == NULL ? ERR_OK : auditlog_expect(path, verifier, err);
}

/* Without one, no entries at all would pass for the whole log. */
static enum err_code expect_any(
    const struct verifier *verifier, const char *where, struct err *err)
{
	if (verifier_covered(verifier) > 0)
		return ERR_OK;
	return err_fail(err, ERR_CORRUPT,
	    "%.160s has no checkpoint: nothing shows which entries were logged",
	    where);
}

/* ---- an export, or the file of a witness ---- */

static enum err_code trust_file(const struct options *options,
    struct verifier *verifier, const char *path, struct err *err)
{
	OWNED_BUF(pem);
	enum err_code code = ERR_OK;

	if (path != NULL && !options_has(options, "key"))
		code = fs_read(path, KEY_MAX, &pem, err);
	else if (!options_has(options, "key"))
		code = err_refuse(err, ERR_USAGE,
		    "name the public key that signs with --key");
	return code == ERR_OK
		   ? trust(options, verifier, buf_bytes(&pem), err)
		   : code;
}

static enum err_code verify_files(const struct options *options,
    struct verifier *verifier, const char *entries, const char *checkpoints,
    struct err *err)
{
	enum err_code code;

	if ((code = auditlog_expect(checkpoints, verifier, err)) != ERR_OK ||
	    (code = expect_any(verifier, checkpoints, err)) != ERR_OK ||
	    (code = expect_witness(options, verifier, err)) != ERR_OK ||
	    (code = auditlog_follow(entries, verifier, NULL, err)) != ERR_OK)
		return code;
	return verifier_end(verifier, err);
}

static enum err_code verify_export(const struct options *options,
    struct verifier *verifier, const char *dir, struct err *err)
{
	OWNED_STR(entries) = fs_join(dir, AUDIT_ENTRIES);
	OWNED_STR(checkpoints) = fs_join(dir, AUDIT_CHECKPOINTS);
	OWNED_STR(key) = fs_join(dir, AUDIT_KEY);
	struct audit_head head;
	enum err_code code;

	if ((code = trust_file(options, verifier, key, err)) != ERR_OK ||
	    (code = verify_files(
		 options, verifier, entries, checkpoints, err)) != ERR_OK)
		return code;
	verifier_head(verifier, &head);
	if (head.sequence == verifier_covered(verifier))
		return ERR_OK;
	return err_fail(err, ERR_CORRUPT,
	    "audit entry %" PRIu64 " is beyond the last checkpoint: it was "
	    "added, or the export did not end; export again",
	    verifier_covered(verifier) + 1);
}

/* What it was told after its last checkpoint is not signed yet. */
static enum err_code verify_witness(const struct options *options,
    struct verifier *verifier, const char *path, struct err *err)
{
	enum err_code code = trust_file(options, verifier, NULL, err);

	return code == ERR_OK
		   ? verify_files(options, verifier, path, path, err)
		   : code;
}

/* ---- a store ---- */

static enum err_code check_kept(struct store *store, struct verifier *verifier,
    struct bytes note, struct err *err)
{
	struct checkpoint checkpoint;
	struct audit_head head;
	uint8_t root[32];
	enum err_code code;

	if ((code = verifier_expect(verifier, note, &checkpoint, err)) !=
		ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK)
		return code;
	if (checkpoint.size > head.sequence)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %" PRIu64 " is missing: a checkpoint covers "
		    "%" PRIu64 " entries",
		    head.sequence + 1, checkpoint.size);
	if ((code = audit_root(store, checkpoint.size, root, err)) != ERR_OK)
		return code;
	if (memcmp(root, checkpoint.root, sizeof(root)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "the first %" PRIu64 " audit entries are not those that "
		    "the checkpoint of them covers",
		    checkpoint.size);
	return ERR_OK;
}

static enum err_code check_all_kept(
    struct store *store, struct verifier *verifier, struct err *err)
{
	uint64_t size = 0;
	bool found = true;

	while (found) {
		struct checkpoint checkpoint;
		OWNED_BUF(note);
		enum err_code code =
		    checkpoint_find(store, size, &note, &found, err);

		if (code == ERR_OK && found)
			code = check_kept(
			    store, verifier, buf_bytes(&note), err);
		if (code != ERR_OK)
			return code;
		if (found &&
		    checkpoint_parse(buf_bytes(&note), &checkpoint, NULL))
			size = checkpoint.size + 1;
	}
	return ERR_OK;
}

struct store_check {
	struct store *store;
	struct verifier *verifier;
};

static enum err_code check_line(json_t *json, void *arg, struct err *err)
{
	const struct store_check *check = arg;
	const char *note =
	    json_string_value(json_object_get(json, "checkpoint"));

	return note == NULL ? ERR_OK
			    : check_kept(check->store, check->verifier,
				  bytes_str(note), err);
}

static enum err_code check_signed(const struct options *options,
    struct store *store, struct verifier *verifier, struct err *err)
{
	struct store_check check = {store, verifier};
	const char *witness = options_get(options, "witness");
	OWNED_BUF(spki);
	OWNED_BUF(pem);
	enum err_code code = notary_find_key(store, &spki, err);

	/* Else whoever takes the key out would have no signature looked at. */
	if (code == ERR_NOT_FOUND && !options_has(options, "key")) {
		err_clear(err);
		return err_fail(err, ERR_CORRUPT,
		    "the store has no audit key: nothing shows which entries "
		    "were logged.  Name the key with --key; a store that never "
		    "had one is given one when signetd next starts");
	}
	if (code != ERR_OK && code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	pem_put(&pem, "PUBLIC KEY", buf_bytes(&spki));
	if ((code = trust(options, verifier, buf_bytes(&pem), err)) !=
		ERR_OK ||
	    (code = check_all_kept(store, verifier, err)) != ERR_OK ||
	    (code = expect_any(verifier, "the store", err)) != ERR_OK)
		return code;
	if (witness == NULL)
		return ERR_OK;
	return auditlog_read(witness, check_line, &check, NULL, err);
}

static enum err_code verify_store(const struct options *options,
    const struct store_options *where, struct verifier *verifier,
    struct audit_head *head, struct err *err)
{
	OWNED(store) store = NULL;
	enum err_code code;

	if ((code = store_open(where, &store, err)) != ERR_OK ||
	    (code = audit_verify(store, head, err)) != ERR_OK)
		return code;
	return check_signed(options, store, verifier, err);
}

static enum err_code verify_offline(const struct options *options,
    struct verifier *verifier, struct audit_head *head, struct err *err)
{
	const char *path = options_get(options, "offline");
	const struct store_options where = {.path = path, .read_only = true};
	OWNED_STR(entries) = fs_join(path, AUDIT_ENTRIES);
	struct stat status;
	bool is_file = stat(path, &status) == 0 && S_ISREG(status.st_mode);
	enum err_code code;

	if (!is_file && !fs_exists(entries))
		return verify_store(options, &where, verifier, head, err);
	code = is_file ? verify_witness(options, verifier, path, err)
		       : verify_export(options, verifier, path, err);
	verifier_head(verifier, head);
	return code;
}

/* ---- the server ---- */

static enum err_code follow(json_t *entry, void *arg, struct err *err)
{
	return verifier_entry(arg, entry, err);
}

static bool take_hash(const json_t *json, uint8_t hash[static MERKLE_SIZE])
{
	const char *text = json_string_value(json);

	return text != NULL && hex_parse(text, hash, MERKLE_SIZE);
}

static enum err_code prove(struct client *client,
    const struct checkpoint *from, const struct checkpoint *to,
    struct err *err)
{
	OWNED_STR(path) = mem_printf("/audit/proof/consistency?from=%" PRIu64
				     "&to=%" PRIu64,
	    from->size, to->size);
	struct merkle_consistency claim = {
	    from->size, to->size, from->root, to->root};
	OWNED_JSON(answer) = NULL;
	OWNED(hasher) hasher = NULL;
	struct merkle_proof proof = {.count = 0};
	json_t *hashes;
	enum err_code code;

	if ((code = hasher_new(&hasher, err)) != ERR_OK ||
	    (code = client_call(client, "GET", path, NULL, &answer, err)) !=
		ERR_OK)
		return code;
	hashes = json_object_get(answer, "proof");
	while (proof.count < MERKLE_PROOF_MAX &&
	       take_hash(json_array_get(hashes, proof.count),
		   proof.hashes[proof.count]))
		proof.count++;
	if (!merkle_check_consistency(hasher, &claim, &proof))
		return err_fail(err, ERR_CORRUPT,
		    "audit entries 1 to %" PRIu64 " are not those seen before: "
		    "the log of %" PRIu64 " entries does not go on them",
		    from->size, to->size);
	return ERR_OK;
}

struct online {
	struct client *client;
	struct verifier *verifier;
	struct audit_point point;
	struct checkpoint now, before; /* size 0: none */
	bool signed_now;
};

static void online_end(struct online *online)
{
	client_close(online->client);
	audit_point_end(&online->point);
}

/* The last checkpoint seen here; the log now must go on it. */
static enum err_code recall(const struct options *options,
    struct online *online, struct err *err)
{
	OWNED_STR(path) = NULL;
	OWNED_STR(note) = NULL;
	enum err_code code = remembered_path(options, &path, err);

	if (code == ERR_OK)
		code = remembered_read(path, &note, err);
	if (code != ERR_OK || note == NULL)
		return code;
	code = verifier_expect(
	    online->verifier, bytes_str(note), &online->before, err);
	if (code != ERR_OK) {
		fprintf(stderr, "compared with the checkpoint in %s\n", path);
		return code;
	}
	if (online->now.size >= online->before.size)
		return ERR_OK;
	return err_fail(err, ERR_CORRUPT,
	    "the log was rolled back: its checkpoint covers %" PRIu64
	    " entries, the one seen before %" PRIu64 " (entry %" PRIu64
	    " is missing).  After a restore on purpose, remove %.100s",
	    online->now.size, online->before.size, online->now.size + 1, path);
}

static enum err_code remember(const struct options *options,
    const struct online *online, struct err *err)
{
	OWNED_STR(path) = NULL;
	struct err why = {0};
	enum err_code code = remembered_path(options, &path, err);

	if (code != ERR_OK)
		return code;
	code = remembered_write(path, online->point.note, &why);
	if (code == ERR_OK)
		return ERR_OK;
	/* What was verified is; only the next time knows less. */
	fprintf(stderr, "the checkpoint is not remembered: %s%s\n", why.detail,
	    why.cause);
	return ERR_OK;
}

static enum err_code ask(const struct options *options, struct online *online,
    struct err *err)
{
	enum err_code code = auditlog_point(online->client, &online->point, err);

	if (code != ERR_OK)
		return code;
	if (online->point.note == NULL || online->point.key == NULL)
		return err_fail(err, ERR_UNREACHABLE,
		    "the server has signed no checkpoint of the audit log "
		    "yet: is its token in reach? 'signet status' tells");
	if ((code = trust(options, online->verifier,
		 bytes_str(online->point.key), err)) != ERR_OK ||
	    (code = expect_witness(options, online->verifier, err)) != ERR_OK)
		return code;
	/* What a witness has by now, the server has too: so asked again. */
	if (options_has(options, "witness") &&
	    (code = auditlog_point(online->client, &online->point, err)) !=
		ERR_OK)
		return code;
	return verifier_expect(online->verifier, bytes_str(online->point.note),
	    &online->now, err);
}

static enum err_code verify_entries(struct online *online, struct err *err)
{
	struct auditlog_range all = {0, online->point.head.sequence};
	enum err_code code;

	if (online->now.size > all.last)
		all.last = online->now.size;
	if ((code = verifier_expect_head(
		 online->verifier, &online->point.head, err)) != ERR_OK ||
	    (code = auditlog_fetch(online->client, all, follow,
		 online->verifier, err)) != ERR_OK)
		return code;
	return verifier_end(online->verifier, err);
}

static enum err_code verify_online(const struct options *options,
    struct verifier *verifier, struct audit_head *head, struct err *err)
{
	__attribute__((cleanup(online_end))) struct online online = {
	    .verifier = verifier};
	enum err_code code;

	if ((code = session_open(options, &online.client, err)) != ERR_OK ||
	    (code = ask(options, &online, err)) != ERR_OK ||
	    (code = recall(options, &online, err)) != ERR_OK)
		return code;
	if (options_has(options, "quick") && online.before.size > 0) {
		code = prove(online.client, &online.before, &online.now, err);
		head->sequence = online.now.size;
		memcpy(head->hash, online.now.root, sizeof(head->hash));
	} else {
		code = verify_entries(&online, err);
		verifier_head(verifier, head);
	}
	return code == ERR_OK ? remember(options, &online, err) : code;
}

/* Where the server does not run, its store lies still. */
static enum err_code verify_stopped(const struct options *options,
    struct verifier *verifier, struct audit_head *head, struct err *err)
{
	OWNED(config) config = NULL;
	struct err why = {0};

	if (options_has(options, "url") ||
	    session_config(options, &config, &why) != ERR_OK)
		return err->code;
	const struct store_options where = {.path = config->store.path,
	    .map_size = config->store.map_size_mib << 20,
	    .read_only = true};
	if (!fs_exists(where.path))
		return err->code;
	fprintf(stderr, "the server does not answer; reading its store, %s\n",
	    where.path);
	err_clear(err);
	return verify_store(options, &where, verifier, head, err);
}

static enum err_code verify(const struct options *options,
    struct verifier *verifier, struct audit_head *head, struct err *err)
{
	enum err_code code;

	if (options_has(options, "offline"))
		return verify_offline(options, verifier, head, err);
	code = verify_online(options, verifier, head, err);
	if (code == ERR_UNREACHABLE && verifier_fingerprint(verifier)[0] == 0)
		return verify_stopped(options, verifier, head, err);
	return code;
}

int audit_verify_run(const struct options *options)
{
	OWNED(verifier) verifier = NULL;
	OWNED_JSON(answer) = json_object();
	struct audit_head head = {0};
	struct err err = {0};
	enum err_code code = verifier_new(&verifier, &err);

	if (code == ERR_OK)
		code = verify(options, verifier, &head, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	char text[2 * sizeof(head.hash) + 1];
	json_object_set_new(
	    answer, "sequence", json_integer((json_int_t)head.sequence));
	json_object_set_new(answer, "head",
	    json_string(hex_write(head.hash, sizeof(head.hash), text)));
	json_object_set_new(answer, "signed",
	    json_integer((json_int_t)verifier_covered(verifier)));
	if (verifier_fingerprint(verifier)[0] != '\0')
		json_object_set_new(answer, "key_fingerprint",
		    json_string(verifier_fingerprint(verifier)));
	output_object(answer, verified, session_wants_json(options));
	return EXIT_DONE;
}
