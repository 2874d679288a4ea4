// SPDX-License-Identifier: Apache-2.0
/*
 * What the fuzz targets share.  A target states a property of parsers and aborts
 * where it does not hold.  One that holds several parsers picks one by the first
 * octet of its input, so that a corpus can be written by hand.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);	/* where it is needed */

#define must(holds) ((holds) ? (void)0 : fuzz_broken(#holds, __FILE__, __LINE__))
__attribute__((noreturn)) UNUSED static inline void fuzz_broken(
    const char *property, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, property);
	abort();
}

/* What is refused says why to its sender; what is no refusal hides it. */
UNUSED static inline void must_tell(enum err_code code, const struct err *err)
{
	must(code != ERR_OK && err->code == code);
	must(err_is_refusal(code) ? err->detail[0] != '\0' && err->cause[0] == '\0'
				  : err->detail[0] == '\0' && err->cause[0] != '\0');
}

struct fuzz_case {
	char letter;
	void (*run)(struct bytes input);
};

UNUSED static inline int fuzz_pick(const struct fuzz_case *cases, size_t count,
    const uint8_t *data, size_t size)
{
	for (size_t i = 0; size > 0 && i < count; i++)
		if (data[0] == (uint8_t)cases[i].letter)
			cases[i].run(BYTES(data + 1, size - 1));
	return 0;
}

/* INPUT up to a NUL in it, as a string that ends where its block ends. */
UNUSED static inline char *fuzz_str(struct bytes input)
{
	return mem_strndup((const char *)input.data,
	    strnlen((const char *)input.data, input.len));
}

#endif
