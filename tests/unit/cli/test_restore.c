// SPDX-License-Identifier: Apache-2.0
/* What signet restore says of a backup that proves nothing of itself; all else of
 * it is shown end to end. */
#include "tests/unit/cli/harness.h"

#include <sys/stat.h>
#include <unistd.h>

#include "store/audit.h"
#include "store/backup.h"

#define SIGNET PROGRAMS "/signet"

static struct err err;

static char *run_ok(const char *const *argv)
{
	char *errors = NULL;
	int code = run_program(argv, NULL, &errors);

	if (code != 0)
		fail_msg("%s %s: %s", argv[0], argv[1], errors);
	return errors;
}

/* Which keys the token has is in the clear; what the store itself keeps is not
 * anybody's to put. */
static bool is_copied(struct bytes key)
{
	static const char *const own[] = {
	    "format", "audit_head", "seal", "tally", "scrub"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (bytes_equal(key, bytes_str(own[i])))
			return false;
	return true;
}

static void copy_meta(struct store *from, struct batch *batch)
{
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	bool more = true;

	assert_ok(scan_open(from, TABLE_META, BYTES(NULL, 0), BYTES(NULL, 0),
		      &scan, &err), &err);
	while (more) {
		assert_ok(scan_next(scan, &key, &value, &more, &err), &err);
		if (more && is_copied(key))
			batch_put(batch, TABLE_META, key, value);
	}
}

/* A store as they were before they were sealed, of the token of DIR. */
static void forge_backup(const char *dir, const char *file)
{
	OWNED_STR(path) = fs_join(dir, "store");
	OWNED_STR(plain) = fs_join(dir, "plain");
	OWNED(store) sealed = NULL;
	OWNED(store) store = NULL;
	OWNED(batch) batch = batch_new();
	const struct store_options from = {.path = path, .read_only = true};
	const struct store_options to = {.path = plain, .create = true};

	assert_ok(store_open(&from, &sealed, &err), &err);
	assert_ok(store_open(&to, &store, &err), &err);
	copy_meta(sealed, batch);
	batch_audit(batch, &(struct audit_entry){.action = "forged",
			       .result = "granted", .actor = "thief",
			       .source = "local"});
	assert_ok(store_commit(store, batch, &err), &err);
	assert_ok(store_backup(store, file, NULL, &err), &err);
}

static void a_backup_that_is_not_sealed_is_told_loudly(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "i");
	OWNED_STR(good) = fs_join(*state, "good");
	OWNED_STR(bad) = fs_join(*state, "bad");
	OWNED_STR(config) = fs_join(dir, "signet.yaml");
	OWNED_STR(store) = fs_join(dir, "store");

	free(run_ok((const char *const[]){
	    SIGNET, "init", "--dir", dir, "--dev", NULL}));
	/* Before its server has run at all its log is signed. */
	free(run_ok((const char *const[]){
	    SIGNET, "audit", "verify", "--offline", store, NULL}));
	free(run_ok((const char *const[]){
	    SIGNET, "backup", good, "--config", config, NULL}));
	forge_backup(dir, bad);
	store_remove(store);
	OWNED_STR(loud) = run_ok((const char *const[]){SIGNET, "restore", bad,
	    "--dir", dir, "--without-witness", NULL});
	assert_has(loud, "WARNING: this backup is NOT SEALED");
	assert_has(loud, "signet store seal --config");
	store_remove(store);
	OWNED_STR(quiet) = run_ok((const char *const[]){SIGNET, "restore", good,
	    "--dir", dir, "--without-witness", NULL});
	assert_lacks(quiet, "SEALED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_backup_that_is_not_sealed_is_told_loudly),
	};

	setenv("SIGNET_DATADIR", SOURCES, 1);
	setenv("SIGNET_HSM_WORKER", PROGRAMS "/signet-hsm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
