// SPDX-License-Identifier: Apache-2.0
/* signet init where it fails: nothing of it stays, and nothing of others goes.
 * That it works is shown end to end, with a token. */
#include "tests/unit/cli/harness.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/setup.h"

#define SIGNET PROGRAMS "/signet"

static int init(const char *dir, const char *const *more, char **errors)
{
	const char *argv[16] = {SIGNET, "init", "--dir", dir};
	size_t count = 4;
	OWNED_STR(out) = NULL;

	for (; *more != NULL; more++)
		argv[count++] = *more;
	int code = run_program(argv, &out, errors);
	assert_string_equal(out, "");
	return code;
}
#define init_with(dir, errors, ...)                                            \
	init((dir), (const char *const[]){__VA_ARGS__, NULL}, (errors))

static void failed_init_removes_the_folder_that_it_made(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");
	OWNED_STR(errors) = NULL;

	assert_int_not_equal(init_with(dir, &errors, "--dev"), 0);
	assert_has(errors, "/nonexistent/worker");
	assert_false(fs_exists(dir));
}

static void failed_init_empties_the_folder_that_was_there(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "empty");
	struct stat status;

	assert_int_equal(mkdir(dir, 0750), 0);
	assert_int_not_equal(init_with(dir, NULL, "--dev"), 0);
	assert_int_equal(stat(dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0750);
	assert_int_equal(count_names(dir, ""), 0);
}

static void folder_that_is_not_empty_is_refused_and_left(void **state)
{
	const char *dir = *state;
	OWNED_STR(errors) = NULL;

	spill(dir, "mine", 0600, "kept");
	assert_int_equal(init_with(dir, &errors, "--dev"), 1);
	assert_has(errors, "is not an empty folder");
	OWNED_STR(kept) = slurp(dir, "mine");
	assert_string_equal(kept, "kept");
	assert_int_equal(count_names(dir, ""), 1);
	/* A file is no folder. */
	OWNED_STR(file) = fs_join(dir, "mine");
	assert_int_equal(init_with(file, NULL, "--dev"), 1);
	assert_true(fs_exists(file));
}

static void token_is_named_whole_or_made_by_dev(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");

	assert_int_equal(init_with(dir, NULL, "--token", "t"), 2);
	assert_int_equal(init_with(dir, NULL, "--pin-file", "p"), 2);
	assert_int_equal(init_with(dir, NULL, "--dev", "--token", "t"), 2);
	assert_int_equal(init_with(dir, NULL, "--dev", "--pin-file", "p"), 2);
	assert_int_equal(init_with(dir, NULL, "--dev", "--root-token", "p"), 2);
	assert_false(fs_exists(dir));
}

static void value_that_the_configuration_refuses_leaves_nothing(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");
	OWNED_STR(errors) = NULL;

	assert_int_not_equal(
	    init_with(dir, &errors, "--dev", "--listen", "nowhere"), 0);
	assert_has(errors, "listen.api");
	assert_int_not_equal(init_with(dir, NULL, "--dev", "--public-url",
				 "https://x\"\nhsm: {}"),
	    0);
	assert_false(fs_exists(dir));
}

static void name_of_the_api_stands_once_in_the_configuration(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");
	struct setup setup = {.dir = dir, .module = "/m", .token = "t",
	    .pin_file = "/p", .api = "192.0.2.7:1", .public = "127.0.0.1:2",
	    .ops = "127.0.0.1:3",
	    .names = {"signet.example.net", "localhost", "signet.example.net"},
	    .names_count = 3};
	struct err err = {0};
	OWNED_FD(lock) = -1;

	assert_ok(setup_lock(dir, &lock, &err), &err);
	assert_ok(setup_folder(&setup, &err), &err);
	OWNED_STR(draft) = slurp(dir, SETUP_DRAFT);
	assert_has(draft, "    - \"192.0.2.7\"\n");
	const char *name = strstr(draft, "signet.example.net");
	const char *local = strstr(draft, "localhost");
	assert_non_null(name);
	assert_non_null(local);
	assert_lacks(name + 1, "signet.example.net");
	assert_lacks(local + 1, "localhost");
}

static void more_names_of_the_api_than_are_kept_are_refused(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");
	OWNED_STR(errors) = NULL;
	const char *argv[6 + 2 * SETUP_NAMES_MAX + 2] = {
	    SIGNET, "init", "--dir", dir, "--dev"};
	size_t count = 5;

	for (int i = 0; i <= SETUP_NAMES_MAX; i++) {
		argv[count++] = "--name";
		argv[count++] = "signet.example.net";
	}
	assert_int_equal(run_program(argv, NULL, &errors), 2);
	assert_has(errors, "--name is given more than");
	assert_false(fs_exists(dir));
}

static void policies_that_are_missing_are_told(void **state)
{
	OWNED_STR(dir) = fs_join(*state, "new");
	OWNED_STR(errors) = NULL;

	setenv("SIGNET_DATADIR", "/nonexistent", 1);
	int code = init_with(dir, &errors, "--dev");
	setenv("SIGNET_DATADIR", SOURCES, 1);
	assert_int_equal(code, 1);
	assert_has(errors, "set SIGNET_DATADIR");
	assert_false(fs_exists(dir));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(failed_init_removes_the_folder_that_it_made),
	    TEST(failed_init_empties_the_folder_that_was_there),
	    TEST(folder_that_is_not_empty_is_refused_and_left),
	    TEST(token_is_named_whole_or_made_by_dev),
	    TEST(value_that_the_configuration_refuses_leaves_nothing),
	    TEST(name_of_the_api_stands_once_in_the_configuration),
	    TEST(more_names_of_the_api_than_are_kept_are_refused),
	    TEST(policies_that_are_missing_are_told),
	};

	setenv("SIGNET_DATADIR", SOURCES, 1);
	setenv("SIGNET_HSM_WORKER", "/nonexistent/worker", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
