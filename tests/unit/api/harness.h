// SPDX-License-Identifier: Apache-2.0
/* What the tests of api/ share: cmocka, and refusals by code and text. */
#ifndef TESTS_UNIT_API_HARNESS_H
#define TESTS_UNIT_API_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/err.h"

#define assert_ok(call)                                                        \
	do {                                                                   \
		if ((call) != ERR_OK)                                          \
			fail_msg("%s: %s%s", #call, err.detail, err.cause);    \
	} while (0)

/* The call refuses by WANT, and a detail that holds TEXT. */
#define assert_refused(call, want, text)                                       \
	do {                                                                   \
		if ((call) != (want))                                          \
			fail_msg("%s: got %s (%s%s)", #call,                   \
			    err_slug(err.code), err.detail, err.cause);        \
		assert_int_equal(err.code, (want));                            \
		assert_string_equal(err.cause, "");                            \
		if (strstr(err.detail, (text)) == NULL)                        \
			fail_msg("\"%s\" lacks \"%s\"", err.detail, (text));   \
	} while (0)

#endif
