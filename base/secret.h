// SPDX-License-Identifier: Apache-2.0
/* Secrets: octets in locked memory that are wiped when freed and have no
 * printer. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/buf.h"
#include "base/err.h"

struct secret;

/*
 * Sets up the locked heap that holds every secret of this process; called once,
 * first thing in main.  SIZE in octets, a power of two.  Also disables core
 * dumps of this process and hides its /proc entries from its own user.
 * Errors: ERR_IO when memory could not be locked (RLIMIT_MEMLOCK too low).
 */
MUST_CHECK enum err_code secret_heap_open(size_t size, struct err *err);
/* Octets of the locked heap in use; tests end by asserting 0. */
size_t secret_heap_used(void);

/* LEN zero octets (LEN >= 1).  Aborts when the locked heap is exhausted. */
struct secret *secret_new(size_t len) __attribute__((returns_nonnull));
struct secret *secret_copy(const void *data, size_t len)
    __attribute__((returns_nonnull));
void secret_free(struct secret *secret);
DEFINE_CLEANUP(secret, secret_free)

uint8_t *secret_data(struct secret *secret);
size_t secret_len(const struct secret *secret);
struct bytes secret_bytes(const struct secret *secret);
/* Constant time for equal lengths. */
bool secret_equal(const struct secret *a, struct bytes b);

/*
 * Reads at most MAX octets of a regular file that group and others cannot write
 * and others cannot read; one trailing newline is dropped; empty is refused.
 * Errors: ERR_IO; ERR_CONFIG for modes too open, empty or longer than MAX.
 */
MUST_CHECK enum err_code secret_from_file(
    const char *path, size_t max, struct secret **secret_out, struct err *err);

#endif
