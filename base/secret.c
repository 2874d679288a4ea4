// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/modes.h"

#define LEAST_BLOCK 64	/* a key of 32 octets and its header */

struct secret {
	size_t len;
	size_t room;		/* octets of data; len <= room */
	uint8_t data[];
};

enum err_code secret_heap_open(size_t size, struct err *err)
{
	const struct rlimit none = {0, 0};
	int got;

	if (setrlimit(RLIMIT_CORE, &none) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_fail(err, ERR_IO, "disable core dumps: %s",
		    strerrordesc_np(errno));
	got = CRYPTO_secure_malloc_init(size, LEAST_BLOCK);
	if (got == 1)
		return ERR_OK;
	/* 2: the heap is there, but could not be locked or guarded. */
	if (got == 2)
		CRYPTO_secure_malloc_done();
	return err_fail(err, ERR_IO,
	    "lock %zu octets of memory for secrets: %s", size,
	    got == 2 ? "not permitted (raise RLIMIT_MEMLOCK)"
		     : "no memory, or opened before");
}

size_t secret_heap_used(void)
{
	return CRYPTO_secure_used();
}

struct secret *secret_new(size_t len)
{
	struct secret *secret = NULL;

	/* Without this, OpenSSL would quietly take ordinary memory. */
	if (len == 0 || len > PTRDIFF_MAX - sizeof(*secret) ||
	    !CRYPTO_secure_malloc_initialized())
		abort();
	secret = OPENSSL_secure_zalloc(sizeof(*secret) + len);
	if (secret == NULL || !CRYPTO_secure_allocated(secret))
		abort();
	secret->len = len;
	secret->room = len;
	return secret;
}

struct secret *secret_copy(const void *data, size_t len)
{
	struct secret *secret = secret_new(len);

	memcpy(secret->data, data, len);
	return secret;
}

void secret_free(struct secret *secret)
{
	if (secret != NULL)
		OPENSSL_secure_clear_free(
		    secret, sizeof(*secret) + secret->room);
}

uint8_t *secret_data(struct secret *secret)
{
	return secret->data;
}

size_t secret_len(const struct secret *secret)
{
	return secret->len;
}

struct bytes secret_bytes(const struct secret *secret)
{
	return BYTES(secret->data, secret->len);
}

bool secret_equal(const struct secret *a, struct bytes b)
{
	return a->len == b.len && CRYPTO_memcmp(a->data, b.data, b.len) == 0;
}

static enum err_code check_file(
    int fd, const char *path, size_t max, struct err *err)
{
	struct stat st;
	enum err_code code;

	if (fstat(fd, &st) != 0)
		return err_fail(err, ERR_IO, "look at %s: %s", path,
		    strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return err_fail(err, ERR_IO, "%s is not a regular file", path);
	if ((code = modes_check(path, &st, MODES_SECRET, err)) != ERR_OK)
		return code;
	if (st.st_size > 0 && (uint64_t)st.st_size > max + 1)
		return err_refuse(err, ERR_CONFIG,
		    "%s is longer than %zu octets", path, max);
	return ERR_OK;
}

/* Until the secret is full or the file ends. */
static enum err_code fill(
    struct secret *secret, int fd, const char *path, struct err *err)
{
	ssize_t got;

	secret->len = 0;
	do {
		got = read(fd, secret->data + secret->len,
		    secret->room - secret->len);
		if (got > 0)
			secret->len += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		return err_fail(err, ERR_IO, "read %s: %s", path,
		    strerrordesc_np(errno));
	return ERR_OK;
}

enum err_code secret_from_file(
    const char *path, size_t max, struct secret **secret_out, struct err *err)
{
	OWNED(secret) secret = NULL;
	OWNED_FD(fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum err_code code;

	if (fd < 0)
		return err_fail(err, ERR_IO, "open %s: %s", path,
		    strerrordesc_np(errno));
	code = check_file(fd, path, max, err);
	if (code != ERR_OK)
		return code;
	/* A newline may follow, and one more octet shows that more would. */
	secret = secret_new(max + 2);
	code = fill(secret, fd, path, err);
	if (code != ERR_OK)
		return code;
	if (secret->len > 0 && secret->data[secret->len - 1] == '\n')
		secret->data[--secret->len] = 0;
	if (secret->len == 0 || secret->len > max)
		return err_refuse(err, ERR_CONFIG, secret->len == 0
			? "%s is empty (at most %zu octets are read)"
			: "%s is longer than %zu octets", path, max);
	*secret_out = GIVE(secret);
	return ERR_OK;
}
