// SPDX-License-Identifier: Apache-2.0
/* Exit codes of all programs: the same for the same cause, everywhere. */
#ifndef BASE_EXIT_H
#define BASE_EXIT_H

#include "base/err.h"

enum exit_code {
	EXIT_DONE = 0, /* done, or nothing was due */
	EXIT_FAILED = 1,
	EXIT_WRONG_USE = 2, /* also a value that cannot be, whoever finds it */
	EXIT_TEMPORARY = 3, /* unreachable, busy: try again */
	EXIT_REFUSED = 4, /* by policy or permission */
	EXIT_AWAITING = 5, /* approval */
	EXIT_NOT_SET_UP = 6, /* no configuration, or nothing enrolled */
};

enum exit_code exit_for(enum err_code code);

#endif
