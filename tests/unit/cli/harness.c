// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

int harness_begin(void **state)
{
	const char *base = getenv("TMPDIR");

	*state = mem_printf("%s/cli-test.XXXXXX", base != NULL ? base : "/tmp");
	return mkdtemp(*state) == NULL ? -1 : 0;
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

int harness_end(void **state)
{
	int failed = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return failed;
}

struct capture capture_begin(int fd)
{
	struct capture capture = {.fd = fd};

	fflush(NULL);
	capture.kept = dup(fd);
	capture.file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (capture.kept < 0 || capture.file < 0 || dup2(capture.file, fd) < 0)
		abort();
	return capture;
}

char *capture_end(struct capture *capture)
{
	OWNED_BUF(text);
	ssize_t len;

	fflush(NULL);
	dup2(capture->kept, capture->fd);
	close(capture->kept);
	lseek(capture->file, 0, SEEK_SET);
	while ((len = read(capture->file, buf_extend(&text, 4096), 4096)) > 0)
		text.len -= 4096 - (size_t)len;
	text.len -= 4096;
	close(capture->file);
	return buf_to_str(&text);
}

int run_program(const char *const *argv, char **out, char **errors)
{
	struct capture one = capture_begin(STDOUT_FILENO);
	struct capture two = capture_begin(STDERR_FILENO);
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	pid_t ended = waitpid(child, &status, 0);
	OWNED_STR(on_two) = capture_end(&two);
	OWNED_STR(on_one) = capture_end(&one);
	assert_int_equal(ended, child);
	if (out != NULL)
		*out = GIVE(on_one);
	if (errors != NULL)
		*errors = GIVE(on_two);
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 128 + WTERMSIG(status);
}

char *slurp(const char *dir, const char *name)
{
	OWNED_STR(path) = fs_join(dir, name);
	OWNED_BUF(text);
	struct err err = {0};

	if (fs_read(path, 1 << 20, &text, &err) != ERR_OK)
		return NULL;
	return buf_to_str(&text);
}

void spill(const char *dir, const char *name, mode_t mode, const char *text)
{
	OWNED_STR(path) = fs_join(dir, name);
	struct err err = {0};

	assert_ok(fs_write(path, mode, bytes_str(text), &err), &err);
}

int count_names(const char *dir, const char *prefix)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	int count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL)
		count += text_has_prefix(entry->d_name, prefix) &&
			 strcmp(entry->d_name, ".") != 0 &&
			 strcmp(entry->d_name, "..") != 0;
	closedir(folder);
	return count;
}
