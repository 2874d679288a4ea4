// SPDX-License-Identifier: Apache-2.0
/* Gives a fuzz target, "fuzz_NAME", every file of its corpus NAME, as `make
 * check` does where no fuzzer is at hand.  Each input is copied to a block of its
 * exact size, so that the sanitizers see a read past its end. */
#include <dirent.h>

#include "base/fs.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)64 << 10)

#pragma weak LLVMFuzzerInitialize

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

/* The corpus that goes with the program's name; malloc'd. */
static char *corpus_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *base = slash == NULL ? program : slash + 1;

	must(text_has_prefix(base, "fuzz_"));
	return fs_join(FUZZ_CORPUS, base + strlen("fuzz_"));
}

int main(int argc, char **argv)
{
	OWNED_STR(dir) = argc > 1 ? mem_strdup(argv[1]) : corpus_of(argv[0]);
	DIR *corpus = opendir(dir);
	const struct dirent *entry;
	unsigned count = 0;

	if (corpus == NULL) {
		perror(dir);
		return 1;
	}
	if (LLVMFuzzerInitialize != NULL)
		(void)LLVMFuzzerInitialize(&argc, &argv);
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
