// SPDX-License-Identifier: Apache-2.0
/*
 * How long a long audit log takes to verify: audit_bench [ENTRIES [FOLDER]].
 * The log is made by appending to a store of its own, thousands of entries a
 * commit, and is then verified as signet audit verify --offline STORE does: each
 * entry hashed, and the tree recomputed up to its head.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/audit.h"
#include "tests/scratch.h"

#define ENTRIES_A_COMMIT 5000

static void give_up(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s%s\n", what, err->detail, err->cause);
	exit(1);
}

static void add(struct batch *batch, uint64_t number)
{
	char object[64];
	const struct audit_entry entry = {
	    .action = "certificate.issue",
	    .result = "granted",
	    .actor = "token:4c0f9e2277aa01d3",
	    .source = "10.20.30.40",
	    .cluster = "orders",
	    .object = object,
	    .rule = "etcd/peer",
	    .request_id = "4f1c2d3e5a6b7c8d",
	    .detail = "profile peer, issuer issuing-1, "
		      "valid until 2027-02-22T09:45:00Z",
	};

	snprintf(object, sizeof(object), "serial:0165a1b2c3d4e5f60718%016llx",
	    (unsigned long long)number);
	batch_audit(batch, &entry);
}

static double append(struct store *store, uint64_t entries)
{
	struct err err = {0};
	int64_t start = clock_mono_us();

	for (uint64_t done = 0; done < entries;) {
		OWNED(batch) batch = batch_new();

		for (unsigned i = 0; i < ENTRIES_A_COMMIT && done < entries; i++)
			add(batch, done++);
		if (store_commit(store, batch, &err) != ERR_OK)
			give_up("commit", &err);
	}
	return (double)(clock_mono_us() - start) / 1e6;
}

int main(int argc, char **argv)
{
	uint64_t entries = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	char dir[256] = "/tmp/audit-bench.XXXXXX";
	struct store_options options = {.create = true};
	struct store *store = NULL;
	struct audit_head head;
	struct err err = {0};

	if (argc > 2)
		snprintf(dir, sizeof(dir), "%s/audit-bench.XXXXXX", argv[2]);
	if (entries == 0 || mkdtemp(dir) == NULL) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return 1;
	}
	options.path = dir;
	if (store_open(&options, &store, &err) != ERR_OK)
		give_up(dir, &err);
	double made = append(store, entries);
	int64_t start = clock_mono_us();
	if (audit_verify(store, &head, &err) != ERR_OK)
		give_up("audit", &err);
	double verified = (double)(clock_mono_us() - start) / 1e6;
	if (head.sequence != entries)
		return 1;
	printf("%llu entries appended in %.2f s, verified in %.2f s: "
	       "%.0f entries/s, %.2f s a million\n",
	    (unsigned long long)entries, made, verified,
	    (double)entries / verified, verified * 1e6 / (double)entries);
	store_close(store);
	scratch_remove(dir);
	return 0;
}
