// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/text.h"

#define LINE 32
#define FILE_MAX ((size_t)1 << 20)

void golden_put_hex(struct buf *text, struct bytes octets)
{
	char line[2 * LINE + 1];

	for (size_t at = 0; at < octets.len; at += LINE) {
		size_t len = octets.len - at < LINE ? octets.len - at : LINE;

		buf_put_str(text, hex_write(octets.data + at, len, line));
		buf_put_u8(text, '\n');
	}
}

void golden_check(const char *name, const struct buf *text)
{
	OWNED_STR(path) = fs_join(GOLDEN_DIR, name);
	OWNED_STR(have) = buf_to_str(text);
	OWNED_BUF(golden);
	struct err err;

	if (getenv("GOLDEN_WRITE") != NULL) {
		assert_int_equal(
		    fs_write(path, 0644, buf_bytes(text), &err), ERR_OK);
		return;
	}
	assert_int_equal(fs_read(path, FILE_MAX, &golden, &err), ERR_OK);
	{
		OWNED_STR(want) = buf_to_str(&golden);

		assert_string_equal(have, want);
	}
}
