// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

int fixture_begin(void **state)
{
	struct fixture *fixture = mem_zalloc(sizeof(*fixture));
	const char *base = getenv("TMPDIR");

	fixture->dir =
	    mem_printf("%s/store-test.XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(fixture->dir) == NULL)
		return -1;
	fixture->path = fs_join(fixture->dir, "store");
	*state = fixture;
	return 0;
}

int fixture_begin_open(void **state)
{
	if (fixture_begin(state) != 0)
		return -1;
	return fixture_open(*state, 0) == ERR_OK ? 0 : -1;
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

int fixture_end(void **state)
{
	struct fixture *fixture = *state;

	store_close(fixture->store);
	nftw(fixture->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(fixture->dir);
	free(fixture->path);
	free(fixture);
	return 0;
}

enum err_code fixture_open(struct fixture *fixture, uint64_t map_size)
{
	const struct store_options options = {
	    .path = fixture->path, .map_size = map_size, .create = true};
	enum err_code code =
	    store_open(&options, &fixture->store, &fixture->err);

	if (code != ERR_OK)
		print_error("%s%s\n", fixture->err.detail, fixture->err.cause);
	return code;
}

struct store *fixture_open_read_only(struct fixture *fixture)
{
	const struct store_options options = {
	    .path = fixture->path, .read_only = true};
	struct store *store = NULL;

	assert_int_equal(store_open(&options, &store, &fixture->err), ERR_OK);
	return store;
}

void fixture_close(struct fixture *fixture)
{
	store_close(fixture->store);
	fixture->store = NULL;
}

void fixture_reopen(struct fixture *fixture)
{
	fixture_close(fixture);
	assert_int_equal(fixture_open(fixture, 0), ERR_OK);
}

char *fixture_path(const struct fixture *fixture, const char *name)
{
	return fs_join(fixture->dir, name);
}

enum err_code put(struct store *store, const char *key, const char *value)
{
	OWNED(batch) batch = batch_new();
	struct err err;

	batch_put(batch, TABLE_CLUSTERS, BYTES_STR(key), BYTES_STR(value));
	return store_commit(store, batch, &err);
}

void assert_put(struct store *store, const char *key, const char *value)
{
	assert_int_equal(put(store, key, value), ERR_OK);
}

uint64_t assert_value(struct store *store, const char *key, const char *value)
{
	OWNED_BUF(found_value);
	struct err err;
	uint64_t revision = 99;
	bool found = value == NULL;

	assert_int_equal(store_find(store, TABLE_CLUSTERS, BYTES_STR(key),
			     &found_value, &revision, &found, &err),
	    ERR_OK);
	assert_int_equal(found, value != NULL);
	if (value != NULL)
		assert_true(
		    bytes_equal(buf_bytes(&found_value), BYTES_STR(value)));
	else
		assert_int_equal(revision, 0);
	return revision;
}

void assert_absent(struct store *store, const char *key)
{
	assert_value(store, key, NULL);
}

void add_audit(struct batch *batch, const char *object)
{
	const struct audit_entry entry = {
	    .action = "test.put",
	    .result = "granted",
	    .actor = "system",
	    .source = "local",
	    .object = object,
	    .detail = "an entry of the test",
	};

	batch_audit(batch, &entry);
}

void assert_audit(struct store *store, const char *object)
{
	OWNED(batch) batch = batch_new();
	struct err err;

	add_audit(batch, object);
	assert_int_equal(store_commit(store, batch, &err), ERR_OK);
}

void assert_audits(struct store *store, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		char object[24];

		snprintf(object, sizeof(object), "entry %u", i);
		assert_audit(store, object);
	}
}

uint64_t assert_verifies(struct store *store)
{
	struct audit_head head;
	struct err err = {0};

	if (audit_verify(store, &head, &err) != ERR_OK)
		fail_msg("audit_verify: %s", err.cause);
	return head.sequence;
}

void assert_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}
