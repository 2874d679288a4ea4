// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "fake.h"

void fake_begin(struct fake *fake)
{
	*fake = (struct fake){0};
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/signet-fake-XXXXXX");
	assert_non_null(mkdtemp(fake->dir));
	fake->environment[0] = mem_printf("FAKE_DIR=%s", fake->dir);
	fake->options = (struct hsm_options){
	    .worker = FAKE_WORKER,
	    .module = "/module.so",
	    .token = "pkcs11:token=t",
	    .pin_file = "/pin",
	    .environment = fake->environment,
	    .environment_count = 1,
	    .workers = 1,
	    .timeout_ms = 20000,
	};
}

char *fake_path(const struct fake *fake, const char *name)
{
	return fs_join(fake->dir, name);
}

void fake_hello(const struct fake *fake, const char *words)
{
	OWNED_STR(path) = fake_path(fake, "hello");
	struct err err = {0};

	assert_int_equal(fs_write(path, 0600, BYTES_STR(words), &err), ERR_OK);
}

void fake_open(struct fake *fake, const char *hello)
{
	struct err err = {0};

	if (hello != NULL)
		fake_hello(fake, hello);
	assert_int_equal(
	    hsm_open(&fake->options, true, &fake->hsm, &err), ERR_OK);
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	(void)rmdir(path);
}

void fake_end(struct fake *fake)
{
	hsm_close(GIVE(fake->hsm));
	assert_int_equal(secret_heap_used(), 0);
	remove_dir(fake->dir);
	free(fake->environment[0]);
}

size_t fake_starts(const struct fake *fake)
{
	OWNED_STR(path) = fake_path(fake, "starts");
	struct stat stat_buf;

	return stat(path, &stat_buf) == 0 ? (size_t)stat_buf.st_size : 0;
}

unsigned fake_logged(const struct fake *fake, const char *line)
{
	OWNED_STR(path) = fake_path(fake, "log");
	FILE *file = fopen(path, "r");
	char read[128];
	unsigned count = 0;

	if (file == NULL)
		return 0;
	while (fgets(read, sizeof(read), file) != NULL) {
		read[strcspn(read, "\n")] = '\0';
		count += strcmp(read, line) == 0;
	}
	fclose(file);
	return count;
}

enum err_code fake_sign(struct fake *fake, const char *word, const char *data,
    struct buf *out, struct err *err)
{
	buf_reset(out);
	return hsm_sign(
	    fake->hsm, word, HSM_ECDSA, BYTES_STR(data), out, err);
}

int fake_pid(struct fake *fake)
{
	OWNED_BUF(out);
	OWNED_STR(text) = NULL;
	struct err err = {0};

	assert_int_equal(fake_sign(fake, "pid", "", &out, &err), ERR_OK);
	text = buf_to_str(&out);
	return (int)strtol(text, NULL, 10);
}

unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}
