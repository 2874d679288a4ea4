// SPDX-License-Identifier: Apache-2.0
/* Gives a fuzz target every file of its corpus, as `make check` does where no
 * fuzzer is at hand.  Each input is copied to a block of its exact size, so
 * that the sanitizers see a read past its end. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

#define INPUT_MAX ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_exactly(struct bytes input)
{
	uint8_t *exact = malloc(input.len == 0 ? 1 : input.len);

	if (exact == NULL)
		abort();
	if (input.len > 0)
		memcpy(exact, input.data, input.len);
	LLVMFuzzerTestOneInput(exact, input.len);
	free(exact);
}

/* The file as it is, and cut short at each place. */
static void run_file(const char *dir, const char *name)
{
	OWNED_STR(path) = fs_join(dir, name);
	OWNED_BUF(input);
	struct err err;

	if (fs_read(path, INPUT_MAX, &input, &err) != ERR_OK) {
		fprintf(stderr, "%s: %s%s\n", path, err.detail, err.cause);
		exit(1);
	}
	for (size_t len = 0; len <= input.len; len++)
		run_exactly(BYTES(input.data, len));
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : FUZZ_CORPUS;
	DIR *corpus = opendir(dir);
	const struct dirent *entry;
	unsigned count = 0;

	if (corpus == NULL) {
		perror(dir);
		return 1;
	}
	while ((entry = readdir(corpus)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		run_file(dir, entry->d_name);
		count++;
	}
	closedir(corpus);
	printf("%u inputs of %s\n", count, dir);
	return count == 0;	/* a corpus that is lost proves nothing */
}
