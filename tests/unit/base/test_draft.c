// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "base/draft.h"

static void a_draft_gets_its_name_when_it_is_whole(void **state)
{
	const char *dir = *state;
	OWNED_STR(path) = fs_join(dir, "file");
	OWNED_BUF(content);
	struct err err = {0};
	struct stat st;
	mode_t before = umask(0);
	OWNED_DRAFT(draft);

	assert_ok(draft_open(&draft, path, &err));
	umask(before);
	assert_ok(draft_write(&draft, BYTES_STR("in vain"), &err));
	assert_ok(draft_restart(&draft, &err));
	assert_ok(draft_write(&draft, BYTES_STR("ab"), &err));
	assert_ok(draft_write(&draft, BYTES_STR("c"), &err));
	assert_false(fs_exists(path));
	assert_ok(draft_sync(&draft, &err));
	assert_ok(draft_publish(&draft, path, &err));
	assert_int_equal(harness_dir_count(dir), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_ok(fs_read(path, 100, &content, &err));
	assert_true(bytes_equal(buf_bytes(&content), BYTES_STR("abc")));
}

static void a_draft_that_is_not_published_leaves_nothing(void **state)
{
	const char *dir = *state;
	OWNED_STR(path) = fs_join(dir, "file");
	struct err err = {0};

	{
		OWNED_DRAFT(draft);
		assert_ok(draft_open(&draft, path, &err));
		assert_ok(draft_write(&draft, BYTES_STR("abc"), &err));
		assert_int_equal(harness_dir_count(dir), 1);
	}
	assert_int_equal(harness_dir_count(dir), 0);
}

static void a_draft_never_replaces_a_file(void **state)
{
	const char *dir = *state;
	OWNED_STR(path) = fs_join(dir, "file");
	OWNED_STR(made) = NULL;
	OWNED_BUF(content);
	struct err err = {0};

	{
		OWNED_DRAFT(late);
		OWNED_DRAFT(early);

		assert_ok(draft_open(&early, path, &err));
		made = harness_file(dir, "file", "mine");
		assert_refused(draft_publish(&early, path, &err), ERR_EXISTS,
		    "is there already");
		assert_refused(draft_open(&late, path, &err), ERR_EXISTS,
		    "is there already");
	}
	assert_int_equal(harness_dir_count(dir), 1);
	assert_ok(fs_read(path, 100, &content, &err));
	assert_true(bytes_equal(buf_bytes(&content), BYTES_STR("mine")));
}

static void a_full_disk_is_told_with_what_to_do(void **state)
{
	const char *dir = *state;
	OWNED_STR(path) = fs_join(dir, "file");
	struct err err = {0};
	struct rlimit before;

	{
		OWNED_DRAFT(draft);

		/* A limit of the process takes the disk's place. */
		signal(SIGXFSZ, SIG_IGN);
		assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(
		    setrlimit(RLIMIT_FSIZE,
			&(struct rlimit){2, before.rlim_max}),
		    0);
		assert_ok(draft_open(&draft, path, &err));
		assert_failed(draft_write(&draft, BYTES_STR("abc"), &err),
		    ERR_IO, "make room");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	}
	assert_int_equal(harness_dir_count(dir), 0);
}

static void a_draft_in_a_folder_that_is_not_there_fails(void **state)
{
	OWNED_STR(path) = fs_join(*state, "none/file");
	struct err err = {0};
	OWNED_DRAFT(draft);

	assert_failed(draft_open(&draft, path, &err), ERR_IO, "create");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    DIR_TEST(a_draft_gets_its_name_when_it_is_whole),
	    DIR_TEST(a_draft_that_is_not_published_leaves_nothing),
	    DIR_TEST(a_draft_never_replaces_a_file),
	    DIR_TEST(a_full_disk_is_told_with_what_to_do),
	    DIR_TEST(a_draft_in_a_folder_that_is_not_there_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
