// SPDX-License-Identifier: Apache-2.0
#include "cli/exit.h"

#include <stdio.h>

#include "cli/output.h"

enum exit_code exit_with(const char *program, const struct err *err)
{
	OWNED_BUF(why);

	/* A server that is not trusted yet may have worded it. */
	output_escape(
	    &why, err->detail[0] != '\0' ? err->detail : err->cause);
	fprintf(stderr, "%s: %s: %.*s\n", program, err_title(err->code),
	    (int)why.len, (const char *)why.data);
	return exit_for(err->code);
}
