// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "real.h"

static void must(enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return;
	fprintf(stderr, "%s: %s%s\n", err_slug(code), err->detail, err->cause);
	abort();
}

void real_write(const struct real *real, const char *name, const char *text)
{
	OWNED_STR(path) = fs_join(real->dir, name);
	struct err err = {0};

	must(fs_write(path, 0600, BYTES_STR(text), &err), &err);
}

static const char *module_path(void)
{
	const char *path = getenv("SOFTHSM_MODULE");

	return path != NULL ? path : "/usr/lib/softhsm/libsofthsm2.so";
}

void real_begin(struct real *real)
{
	OWNED_STR(tokens) = NULL;
	OWNED_STR(conf) = NULL;
	OWNED_STR(so_pin_file) = NULL;
	struct err err = {0};

	*real = (struct real){.dir = "/tmp/signet-real-XXXXXX"};
	if (mkdtemp(real->dir) == NULL)
		abort();
	tokens = fs_join(real->dir, "tokens");
	if (mkdir(tokens, 0700) != 0)
		abort();
	conf = mem_printf("directories.tokendir = %s\n", tokens);
	real_write(real, "softhsm2.conf", conf);
	real_write(real, "so-pin", "87654321\n");
	real_write(real, "pin", "12345678\n");
	so_pin_file = fs_join(real->dir, "so-pin");
	real->pin_file = fs_join(real->dir, "pin");
	real->environment[0] =
	    mem_printf("SOFTHSM2_CONF=%s/softhsm2.conf", real->dir);
	real->options = (struct hsm_options){
	    .worker = SIGNET_HSM,
	    .module = module_path(),
	    .token = "pkcs11:token=test",
	    .pin_file = real->pin_file,
	    .environment = real->environment,
	    .environment_count = 1,
	    .workers = 1,
	    .timeout_ms = 20000,
	};
	must(hsm_init_token(&real->options, "test", so_pin_file,
		 real->pin_file, &err),
	    &err);
}

void real_open(struct real *real, unsigned workers)
{
	struct hsm_stats stats = {0};
	struct err err = {0};

	real->options.workers = workers;
	must(hsm_open(&real->options, true, &real->hsm, &err), &err);
	while (stats.workers < workers) {
		usleep(1000);
		hsm_stats(real->hsm, &stats);
	}
}

void real_close(struct real *real)
{
	hsm_close(GIVE(real->hsm));
}

static int remove_one(const char *path, const struct stat *stat UNUSED,
    int type UNUSED, struct FTW *at UNUSED)
{
	return remove(path);
}

void real_end(struct real *real)
{
	real_close(real);
	nftw(real->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(real->environment[0]);
	free(real->pin_file);
}

/* Fields of /proc/PID/stat after the name, which may hold blanks. */
static bool read_stat(
    const char *pid, int *parent_out, unsigned long *ticks_out)
{
	OWNED_STR(path) = mem_printf("/proc/%s/stat", pid);
	char line[512];
	FILE *file = fopen(path, "r");
	unsigned long user, system;
	const char *after;
	bool read;

	if (file == NULL)
		return false;
	read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	after = read ? strrchr(line, ')') : NULL;
	if (after == NULL ||
	    sscanf(after,
		") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		parent_out, &user, &system) != 3)
		return false;
	*ticks_out = user + system;
	return true;
}

size_t real_children(pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t count = 0;

	while (dir != NULL && count < max && (entry = readdir(dir)) != NULL) {
		unsigned long ticks;
		int parent;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    !read_stat(entry->d_name, &parent, &ticks) ||
		    parent != getpid())
			continue;
		pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	if (dir != NULL)
		closedir(dir);
	return count;
}

int64_t real_cpu_us(pid_t pid)
{
	OWNED_STR(name) = mem_printf("%d", (int)pid);
	unsigned long ticks = 0;
	int parent;

	if (!read_stat(name, &parent, &ticks))
		return 0;
	return (int64_t)ticks * 1000000 / sysconf(_SC_CLK_TCK);
}
