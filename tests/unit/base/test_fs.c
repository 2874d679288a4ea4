// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void fs_writes_whole_files_with_the_mode_asked_for(void **state)
{
	OWNED_STR(path) = fs_join(*state, "file");
	OWNED_BUF(read);
	mode_t mask = umask(0077);
	struct err err;

	assert_ok(fs_write(path, 0644, BYTES_STR("first, longer"), &err));
	assert_ok(fs_write(path, 0640, BYTES_STR("second"), &err));
	umask(mask);
	assert_int_equal(mode_of(path), 0640);
	buf_put_str(&read, ">");
	assert_ok(fs_read(path, 6, &read, &err));
	assert_true(bytes_equal(buf_bytes(&read), BYTES_STR(">second")));
	assert_int_equal(harness_dir_count(*state), 1);
}

static void fs_write_that_fails_leaves_nothing(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "dir");
	OWNED_STR(absent) = fs_join(*state, "absent/file");
	struct err err;

	assert_ok(fs_mkdir(dir, 0700, &err));
	assert_failed(fs_write(dir, 0600, BYTES_STR("x"), &err), ERR_IO,
	    "rename to");
	assert_refused(fs_write(absent, 0600, BYTES_STR("x"), &err),
	    ERR_NOT_FOUND, "absent");
	assert_int_equal(harness_dir_count(*state), 1);
}

static void fs_read_is_bounded(void **state)
{
	OWNED_STR(path) = harness_file(*state, "file", "12345678");
	OWNED_BUF(read);
	struct err err;

	assert_ok(fs_read(path, 8, &read, &err));
	assert_int_equal(read.len, 8);
	assert_refused(fs_read(path, 7, &read, &err), ERR_TOO_LARGE, "7 octets");
	assert_int_equal(read.len, 8);
	/* A file that tells no size, and more than it was asked for. */
	assert_refused(fs_read("/proc/self/maps", 20, &read, &err),
	    ERR_TOO_LARGE, "20 octets");
	assert_int_equal(read.len, 8);
	assert_ok(fs_read("/proc/self/smaps", 1 << 20, &read, &err));
	assert_true(read.len > 4096);
}

static void fs_read_of_an_empty_file_is_empty(void **state)
{
	OWNED_STR(path) = harness_file(*state, "file", "");
	OWNED_BUF(read);
	struct err err;

	assert_ok(fs_read(path, 0, &read, &err));
	assert_int_equal(read.len, 0);
}

static void fs_read_refuses_what_is_no_file(void **state)
{
	OWNED_STR(fifo) = fs_join(*state, "fifo");
	OWNED_STR(absent) = fs_join(*state, "absent");
	OWNED_BUF(read);
	struct err err;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_failed(fs_read(fifo, 9, &read, &err), ERR_IO, "regular");
	assert_failed(fs_read(*state, 9, &read, &err), ERR_IO, "regular");
	assert_failed(fs_read("/dev/null", 9, &read, &err), ERR_IO, "regular");
	assert_refused(
	    fs_read(absent, 9, &read, &err), ERR_NOT_FOUND, "absent");
}

static void fs_mkdir_is_content_with_a_folder_that_is_there(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "dir");
	OWNED_STR(deep) = fs_join(*state, "a/b");
	OWNED_STR(file) = harness_file(*state, "file", "x");
	mode_t mask = umask(0077);
	struct err err;

	assert_ok(fs_mkdir(dir, 0750, &err));
	umask(mask);
	assert_int_equal(mode_of(dir), 0750);
	assert_ok(fs_mkdir(dir, 0700, &err));
	assert_int_equal(mode_of(dir), 0750);
	assert_failed(fs_mkdir(file, 0700, &err), ERR_IO, "not a directory");
	assert_refused(fs_mkdir(deep, 0700, &err), ERR_NOT_FOUND, "a/b");
	assert_refused(fs_sync_dir(deep, &err), ERR_NOT_FOUND, "a/b");
}

static void fs_copy_is_whole_or_not_at_all(void **state)
{
	OWNED_STR(from) = fs_join(*state, "from");
	OWNED_STR(to) = fs_join(*state, "to");
	OWNED_BUF(data);
	OWNED_BUF(read);
	struct err err;

	memset(buf_extend(&data, 200000), 'x', 200000);
	assert_ok(fs_write(from, 0600, buf_bytes(&data), &err));
	assert_refused(fs_copy(from, to, 0600, 199999, &err), ERR_TOO_LARGE,
	    "199999");
	assert_refused(fs_copy("/proc/self/maps", to, 0600, 20, &err),
	    ERR_TOO_LARGE, "20 octets");
	assert_refused(
	    fs_copy(to, from, 0600, 9, &err), ERR_NOT_FOUND, "to");
	assert_int_equal(harness_dir_count(*state), 1);
	assert_ok(fs_copy(from, to, 0640, 200000, &err));
	assert_int_equal(mode_of(to), 0640);
	assert_ok(fs_read(to, 200000, &read, &err));
	assert_true(bytes_equal(buf_bytes(&read), buf_bytes(&data)));
	assert_true(fs_exists(to));
	assert_int_equal(harness_dir_count(*state), 2);
}

static void fs_joins_and_parts_paths(void **state)
{
	const char *const joins[][3] = {{"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"},
	    {"/a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
	const char *const dirs[][2] = {{"/a/b", "/a"}, {"/a", "/"}, {"a", "."},
	    {"a/b", "a"}, {"/a//b", "/a"}, {"//a", "/"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(joins); i++) {
		OWNED_STR(path) = fs_join(joins[i][0], joins[i][1]);

		assert_string_equal(path, joins[i][2]);
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		OWNED_STR(dir) = fs_dirname(dirs[i][0]);

		assert_string_equal(dir, dirs[i][1]);
	}
}

static bool is_null(int fd)
{
	struct stat null, st;

	return stat("/dev/null", &null) == 0 && fstat(fd, &st) == 0 &&
	       st.st_rdev == null.st_rdev;
}

/* All that are open stay what they are; the next file gets none of the three. */
static void a_program_without_standard_files_gets_the_null_device(void **state)
{
	int status = 0;

	(void)state;
	for (int closed = 0; closed < 8; closed++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			int other = fcntl(open("/proc/self/maps", O_RDONLY),
			    F_DUPFD, 3);
			bool good = true;

			for (int fd = 0; fd < 3; fd++) {
				(void)dup2(other, fd);
				if ((closed & 1 << fd) != 0)
					close(fd);
			}
			fs_open_standard();
			for (int fd = 0; fd < 3; fd++)
				good &= is_null(fd) == ((closed & 1 << fd) != 0);
			_exit(good && open("/dev/zero", O_RDONLY) > 2 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    DIR_TEST(fs_writes_whole_files_with_the_mode_asked_for),
	    DIR_TEST(fs_write_that_fails_leaves_nothing),
	    DIR_TEST(fs_read_is_bounded),
	    DIR_TEST(fs_read_of_an_empty_file_is_empty),
	    DIR_TEST(fs_read_refuses_what_is_no_file),
	    DIR_TEST(fs_mkdir_is_content_with_a_folder_that_is_there),
	    DIR_TEST(fs_copy_is_whole_or_not_at_all),
	    cmocka_unit_test(fs_joins_and_parts_paths),
	    cmocka_unit_test(
		a_program_without_standard_files_gets_the_null_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
