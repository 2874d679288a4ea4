// SPDX-License-Identifier: Apache-2.0
#include "base/own.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void own_str_cleanup(char **str)
{
	free(*str);
}

void own_fd_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* PTRDIFF_MAX is the most that an object may have, so a larger size can only
 * come from an arithmetic fault. */
static void *or_abort(void *mem)
{
	if (mem == NULL) {
		static const char message[] = "signet: memory exhausted\n";
		ssize_t ignored =
		    write(STDERR_FILENO, message, sizeof(message) - 1);
		(void)ignored;
		abort();
	}
	return mem;
}

static size_t product(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX)
		abort();
	return total == 0 ? 1 : total;
}

void *mem_zalloc(size_t size)
{
	return or_abort(calloc(1, product(1, size)));
}

void *mem_zalloc_array(size_t count, size_t size)
{
	return or_abort(calloc(1, product(count, size)));
}

void *mem_resize(void *mem, size_t count, size_t size)
{
	return or_abort(realloc(mem, product(count, size)));
}

char *mem_strdup(const char *str)
{
	return or_abort(strdup(str));
}

char *mem_strndup(const char *str, size_t len)
{
	/* Of no octets, STR may be NULL. */
	return or_abort(strndup(len > 0 ? str : "", len));
}

char *mem_printf(const char *fmt, ...)
{
	va_list args;
	char *text = NULL;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	return or_abort(len < 0 ? NULL : text);
}
