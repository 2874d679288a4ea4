// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"

int fixture_begin(void **state)
{
	struct fixture *fixture = mem_zalloc(sizeof(*fixture));
	const char *base = getenv("TMPDIR");

	fixture->dir = mem_printf(
	    "%s/policies-test.XXXXXX", base != NULL ? base : "/tmp");
	*state = fixture;
	return mkdtemp(fixture->dir) == NULL ? -1 : 0;
}

int fixture_begin_store(void **state)
{
	OWNED_STR(path) = NULL;
	struct store_options options = {.create = true};
	struct fixture *fixture;

	if (fixture_begin(state) != 0)
		return -1;
	fixture = *state;
	options.path = path = fs_join(fixture->dir, "store");
	if (store_open(&options, &fixture->store, &fixture->err) == ERR_OK)
		return 0;
	print_error("%s%s\n", fixture->err.detail, fixture->err.cause);
	return -1;
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
	free(fixture);
	return 0;
}

void assert_refused_at(enum err_code got, enum err_code code,
    const struct err *err, const char *const *words)
{
	assert_int_equal(got, code);
	for (; *words != NULL; words++) {
		if (strstr(err->detail, *words) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err->detail,
			    *words);
	}
}

void assert_commit(struct store *store, struct batch *batch)
{
	struct err err = {0};

	if (store_commit(store, batch, &err) != ERR_OK)
		fail_msg("commit: %s%s", err.detail, err.cause);
}

void assert_golden(const char *name, struct bytes text)
{
	OWNED_STR(path) =
	    mem_printf("%s/tests/unit/policies/golden/%s", SOURCE_DIR, name);
	struct err err = {0};
	OWNED_BUF(golden);

	if (getenv("SIGNET_UPDATE_GOLDEN") != NULL) {
		assert_int_equal(fs_write(path, 0644, text, &err), ERR_OK);
		return;
	}
	if (fs_read(path, 1 << 20, &golden, &err) != ERR_OK)
		fail_msg("%s: %s%s", path, err.detail, err.cause);
	if (!bytes_equal(buf_bytes(&golden), text))
		fail_msg("%s differs from:\n%.*s", path, (int)text.len,
		    (const char *)text.data);
}

struct policy_set *shipped_policies(void)
{
	struct policy_set *set = NULL;
	struct err err = {0};

	if (policy_set_load(SOURCE_DIR "/policies", &set, &err) != ERR_OK)
		fail_msg("%s%s", err.detail, err.cause);
	return set;
}

struct cluster *orders(const char *policy)
{
	static const char *const dns[] = {
	    "db1.example.net", "*.orders.example.net"};
	static const char *const ips[] = {"10.1.0.0/16", "fd00:1::/64"};
	const struct cluster_request request = {
	    .name = "orders",
	    .policy = policy,
	    .issuer = "issuing-1",
	    .dns = dns,
	    .dns_count = ARRAY_LEN(dns),
	    .ips = ips,
	    .ips_count = ARRAY_LEN(ips),
	};
	struct cluster *cluster = NULL;
	struct err err;

	assert_int_equal(cluster_parse(&request, &cluster, &err), ERR_OK);
	return cluster;
}

struct names *names_of_list(const char *const *texts)
{
	static const struct {
		const char *prefix;
		enum name_kind kind;
	} kinds[] = {{"DNS:", NAME_DNS}, {"IP:", NAME_IP}, {"URI:", NAME_URI}};
	struct names *names = names_new();
	struct err err = {0};

	for (; *texts != NULL; texts++) {
		enum err_code code = ERR_INTERNAL;

		if (text_has_prefix(*texts, "CN="))
			code = names_set_cn(names, BYTES_STR(*texts + 3), &err);
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
			if (text_has_prefix(*texts, kinds[i].prefix))
				code = names_add(names, kinds[i].kind,
				    BYTES_STR(*texts + strlen(kinds[i].prefix)),
				    &err);
		}
		if (code != ERR_OK)
			fail_msg("%s: %s", *texts, err.detail);
	}
	return names;
}

uint32_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 32);
}
