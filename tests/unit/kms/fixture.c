// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/kms/fixture.h"

#include <ftw.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

/* What OpenSSL's generator keeps in the locked heap for itself. */
static size_t own_use;

size_t fixture_secrets(void)
{
	return secret_heap_used() - own_use;
}

void fixture_process(void)
{
	struct err err = {0};
	uint8_t octet;

	if (secret_heap_open(1 << 20, &err) != ERR_OK ||
	    RAND_bytes(&octet, 1) != 1)
		abort();
	own_use = secret_heap_used();
	clock_freeze(NOW);
}

static void open_ring(struct fixture *fixture)
{
	struct keyring_keys keys = {.root = FAKE_ROOT, .mac = FAKE_MAC};

	assert_ok(keyring_open(fixture->store, fixture->hsm, &keys,
		      &fixture->ring, &fixture->err),
	    &fixture->err);
}

int fixture_begin(void **state)
{
	struct fixture *fixture = mem_zalloc(sizeof(*fixture));
	const char *base = getenv("TMPDIR");

	*state = fixture;
	fixture->dir =
	    mem_printf("%s/kms-test.XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(fixture->dir) == NULL)
		return -1;
	OWNED_STR(path) = fs_join(fixture->dir, "store");
	struct store_options options = {.path = path, .create = true};
	assert_ok(store_open(&options, &fixture->store, &fixture->err),
	    &fixture->err);
	fixture->hsm = fake_hsm_new();
	open_ring(fixture);
	return 0;
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

	keyring_close(fixture->ring);
	fake_hsm_free(fixture->hsm);
	store_close(fixture->store);
	nftw(fixture->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(fixture->dir);
	free(fixture);
	return fixture_secrets() == 0 ? 0 : -1;
}

void fixture_reopen(struct fixture *fixture)
{
	keyring_close(fixture->ring);
	open_ring(fixture);
}

struct key_info *fixture_key(
    struct fixture *fixture, const char *cluster, const char *name)
{
	OWNED(batch) batch = batch_new();
	struct key_info *info = NULL;

	assert_ok(keyring_create(fixture->ring, cluster, name, batch, &info,
		      &fixture->err),
	    &fixture->err);
	assert_ok(store_commit(fixture->store, batch, &fixture->err),
	    &fixture->err);
	return info;
}

void fixture_put(struct fixture *fixture, enum table table,
    const struct key *row, struct bytes value)
{
	OWNED(batch) batch = batch_new();

	batch_put(batch, table, key_bytes(row), value);
	assert_ok(store_commit(fixture->store, batch, &fixture->err),
	    &fixture->err);
}

void fixture_get(struct fixture *fixture, enum table table,
    const struct key *row, struct buf *value)
{
	bool found;

	assert_ok(store_find(fixture->store, table, key_bytes(row), value, NULL,
		      &found, &fixture->err),
	    &fixture->err);
	assert_true(found);
}

struct context *context_of_list(const char *const *texts)
{
	struct context *context = context_new();
	struct err err = {0};

	for (; texts[0] != NULL; texts += 2)
		assert_ok(
		    context_add(context, texts[0], texts[1], &err), &err);
	return context;
}
