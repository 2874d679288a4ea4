// SPDX-License-Identifier: Apache-2.0
/*
 * One complete CRL of many entries: CPU time to build and sign it, and how much
 * the process grew while doing so.
 * Usage: crl_bench [ENTRIES]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "ca/crl.h"
#include "tests/unit/ca/authority.h"

#define BATCH 2000u

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Anonymous memory, MiB: the store's pages are mapped files and not counted. */
static double memory(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kib = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return (double)kib / 1024;
}

static void revoke_many(struct authority *authority, uint32_t entries)
{
	OWNED(names) names = names_new();
	struct err err;

	for (uint32_t n = 0; n < entries; n += BATCH) {
		OWNED(batch) batch = batch_new();

		for (uint32_t i = n; i < n + BATCH && i < entries; i++)
			certificate_put(batch, &(struct certificate){
			    .serial = authority_serial(i),
			    .state = CERTIFICATE_REVOKED,
			    .issuer = (char[]){"issuing-1"},
			    .profile = (char[]){"p"},
			    .requester = (char[]){"r"},
			    .not_after = AUTHORITY_NOW + AUTHORITY_YEAR,
			    .revoked = AUTHORITY_NOW, .reason = 1,
			    .names = names, .der = (uint8_t[]){1},
			    .der_len = 1});
		if (store_commit(authority->store, batch, &err) != ERR_OK)
			abort();
	}
}

int main(int argc, char **argv)
{
	uint32_t entries =
	    argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000;
	struct authority *authority;
	OWNED(issuer_set) set = NULL;
	OWNED(batch) batch = batch_new();
	struct crl *crl;
	double before, start, built;
	struct err err;
	void *state;

	if (authority_setup(&state) != 0)
		return 1;
	authority = state;
	revoke_many(authority, entries);
	set = ca_issuers(authority->ca);
	before = memory();
	start = cpu_seconds();
	if (crl_build(authority->store, issuer_set_find(set, "issuing-1"),
		86400, NULL, batch, &crl, &err) != ERR_OK)
		return 1;
	built = cpu_seconds() - start;
	printf("entries\t%u\n", entries);
	printf("CRL\t%.1f MiB\n", (double)crl->der_len / 1048576);
	printf("built and signed\t%.3f CPU s\n", built);
	printf("memory, CRL and batch\t%.1f MiB\n", memory() - before);
	crl_free(crl);
	issuer_set_free(GIVE(set));
	return authority_teardown(&state);
}
