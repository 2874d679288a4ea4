// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/csr.h"
#include "cli/outdir.h"

static const char *const names[] = {
    "key.pem", "cert.pem", "chain.pem", "fullchain.pem", "ca.pem"};

/*
 * The steps by which the world changes, wrapped at link time (--wrap): the
 * process ends, or the call fails, at the step that a test says.
 */
static int steps, stop_at, fail_at;

static bool step_fails(void)
{
	steps++;
	if (steps == stop_at)
		_exit(77);
	if (steps != fail_at)
		return false;
	errno = ENOSPC;
	return true;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	return step_fails() ? -1 : __real_rename(from, to);
}

int __real_symlink(const char *target, const char *path);
int __wrap_symlink(const char *target, const char *path);
int __wrap_symlink(const char *target, const char *path)
{
	return step_fails() ? -1 : __real_symlink(target, path);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return step_fails() ? -1 : __real_fsync(fd);
}

/* A set in which every file tells its number. */
static enum err_code switch_to(const char *dir, int number, struct err *err)
{
	OWNED_STR(text) = mem_printf("set %d\n", number);
	OWNED(secret) key = secret_copy(text, strlen(text));
	struct bundle set = {.key_pem = key,
	    .cert = bytes_str(text),
	    .chain = bytes_str(text),
	    .ca = bytes_str(text)};

	return outdir_switch(dir, &set, err);
}

/* The number that all five files tell; 0 when none can be read.  Fails when
 * they differ. */
static int shown(const char *dir)
{
	int number = -1;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		OWNED_STR(text) = slurp(dir, names[i]);
		int now = text == NULL ? 0 : (int)strtol(text + 4, NULL, 10);
		if (number == -1)
			number = now;
		assert_int_equal(now, number);
	}
	return number;
}

static void set_is_whole_and_private_where_it_must_be(void **state)
{
	const char *dir = *state;
	struct err err = {0};
	struct stat status;

	assert_ok(switch_to(dir, 1, &err), &err);
	assert_int_equal(shown(dir), 1);
	OWNED_STR(full) = slurp(dir, "fullchain.pem");
	assert_string_equal(full, "set 1\nset 1\n");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		OWNED_STR(path) = fs_join(dir, names[i]);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(
		    status.st_mode & 07777, i == 0 ? 0600 : 0644);
	}
}

static void five_names_lead_to_one_generation(void **state)
{
	const char *dir = *state;
	struct err err = {0};

	assert_ok(switch_to(dir, 1, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		OWNED_STR(path) = fs_join(dir, names[i]);
		OWNED_STR(want) = fs_join(".current", names[i]);
		char target[256] = "";
		assert_true(readlink(path, target, sizeof(target) - 1) > 0);
		assert_string_equal(target, want);
	}
}

static void generations_but_the_last_two_are_removed(void **state)
{
	const char *dir = *state;
	struct err err = {0};

	for (int i = 1; i <= 5; i++) {
		assert_ok(switch_to(dir, i, &err), &err);
		assert_int_equal(shown(dir), i);
		assert_int_equal(count_names(dir, "gen-"), i == 1 ? 1 : 2);
	}
}

static void draft_of_a_key_that_was_left_behind_is_removed(void **state)
{
	const char *dir = *state;
	OWNED_STR(left) = fs_join(dir, "gen-left");
	struct err err = {0};

	assert_int_equal(mkdir(left, 0755), 0);
	spill(left, "key.pem.tmp-abcdef", 0600, "secret");
	assert_ok(switch_to(dir, 1, &err), &err);
	assert_false(fs_exists(left));
}

static void file_of_somebody_else_is_refused_and_kept(void **state)
{
	const char *dir = *state;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		OWNED_STR(path) = fs_join(dir, names[i]);
		spill(dir, names[i], 0600, "mine");
		assert_error(switch_to(dir, 1, &err), ERR_EXISTS, &err,
		    "is not the agent's");
		assert_error(outdir_make(dir, &err), ERR_EXISTS, &err,
		    names[i]);
		OWNED_STR(kept) = slurp(dir, names[i]);
		assert_string_equal(kept, "mine");
		unlink(path);
		/* A link to elsewhere is no more the agent's. */
		assert_int_equal(symlink("/etc/hostname", path), 0);
		assert_error(switch_to(dir, 1, &err), ERR_EXISTS, &err,
		    names[i]);
		unlink(path);
	}
	assert_int_equal(count_names(dir, ""), 0);
	assert_ok(switch_to(dir, 1, &err), &err);
}

static void folder_that_others_can_change_is_refused(void **state)
{
	const char *dir = *state;
	struct err err = {0};

	assert_int_equal(chmod(dir, 0777), 0);
	assert_error(
	    outdir_make(dir, &err), ERR_CONFIG, &err, "chmod o-w");
	assert_error(
	    switch_to(dir, 1, &err), ERR_CONFIG, &err, "chmod o-w");
	assert_int_equal(chmod(dir, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(dir, 65534, 65534), 0);
		assert_error(switch_to(dir, 1, &err), ERR_CONFIG, &err,
		    "belongs to another user (65534)");
		assert_int_equal(chown(dir, 0, 0), 0);
	}
	assert_int_equal(count_names(dir, ""), 0);
	assert_ok(switch_to(dir, 1, &err), &err);
}

/* Runs one switch in a child that ends at the step AT; false when there are
 * fewer steps. */
static bool stopped_at(const char *dir, int number, int at)
{
	struct err err = {0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		steps = 0;
		stop_at = at;
		_exit(switch_to(dir, number, &err) == ERR_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 1);
	return WEXITSTATUS(status) == 77;
}

static void stop_at_any_step_shows_one_set_whole(void **state)
{
	const char *dir = *state;
	struct err err = {0};
	int number = 1, at = 1;

	for (; stopped_at(dir, 1, at); at++)
		assert_in_range(shown(dir), 0, 1);
	assert_true(at > 10);
	assert_ok(switch_to(dir, number, &err), &err);
	for (at = 1; stopped_at(dir, number + 1, at); at++) {
		int now = shown(dir);
		assert_in_range(now, number, number + 1);
		number = now;
	}
	assert_ok(switch_to(dir, 1000, &err), &err);
	assert_int_equal(shown(dir), 1000);
	assert_int_equal(count_names(dir, "gen-"), 2);
}

static void failure_at_any_step_keeps_the_old_set(void **state)
{
	const char *dir = *state;
	struct err err = {0};
	enum err_code code;
	int failures = 0;

	assert_ok(switch_to(dir, 1, &err), &err);
	do {
		steps = 0;
		fail_at = ++failures;
		code = switch_to(dir, 2, &err);
		int used = steps;
		fail_at = 0;
		if (code == ERR_OK)
			break;
		assert_int_equal(code, ERR_IO);
		/* Only the last step, the sync of the folder, comes after. */
		if (shown(dir) != 1)
			assert_int_equal(used, failures);
		err_clear(&err);
		assert_true(count_names(dir, "gen-") <= 2);
	} while (failures < 100 && shown(dir) == 1);
	assert_true(failures > 8);
	assert_int_equal(shown(dir), 2);
}

static void state_that_is_absent_or_damaged_says_enrol(void **state)
{
	const char *dir = *state;
	struct err err = {0};
	json_t *json = NULL;

	assert_error(outdir_read_state(dir, &json, &err), ERR_CONFIG, &err,
	    "signet-agent enroll");
	spill(dir, "agent.json", 0644, "{\"a\":");
	assert_error(outdir_read_state(dir, &json, &err), ERR_CONFIG, &err,
	    "damaged");
	spill(dir, "agent.json", 0644, "[]");
	assert_error(outdir_read_state(dir, &json, &err), ERR_CONFIG, &err,
	    "damaged");
	assert_null(json);
}

static void state_is_read_as_it_was_written(void **state)
{
	const char *dir = *state;
	OWNED_JSON(written) = json_pack("{s:s, s:[s]}", "url", "u", "sans", "x");
	OWNED_JSON(read) = NULL;
	struct err err = {0};

	assert_ok(outdir_write_state(dir, written, &err), &err);
	assert_ok(outdir_read_state(dir, &read, &err), &err);
	assert_true(json_equal(read, written));
}

static void pending_key_is_the_same_until_dropped(void **state)
{
	const char *dir = *state;
	OWNED(secret) one = NULL;
	OWNED(secret) two = NULL;
	OWNED(secret) three = NULL;
	struct err err = {0};

	assert_ok(outdir_pending_key(dir, "ec-p256", &one, &err), &err);
	assert_ok(outdir_pending_key(dir, "ec-p256", &two, &err), &err);
	assert_true(secret_equal(one, secret_bytes(two)));
	outdir_drop_pending(dir);
	assert_ok(outdir_pending_key(dir, "ec-p256", &three, &err), &err);
	assert_false(secret_equal(one, secret_bytes(three)));
}

static void pending_key_of_another_type_is_replaced(void **state)
{
	const char *dir = *state;
	OWNED(secret) one = NULL;
	OWNED(secret) two = NULL;
	OWNED(secret) three = NULL;
	struct err err = {0};

	assert_ok(outdir_pending_key(dir, "ec-p256", &one, &err), &err);
	assert_ok(outdir_pending_key(dir, "ec-p384", &two, &err), &err);
	assert_string_equal(csr_key_type(two), "ec-p384");
	spill(dir, "pending-key.pem", 0600, "no key");
	assert_ok(outdir_pending_key(dir, "ec-p256", &three, &err), &err);
	assert_string_equal(csr_key_type(three), "ec-p256");
}

static void pending_key_that_others_can_read_is_refused(void **state)
{
	const char *dir = *state;
	OWNED(secret) key = NULL;
	struct err err = {0};

	spill(dir, "pending-key.pem", 0644, "x");
	assert_error(outdir_pending_key(dir, "ec-p256", &key, &err), ERR_CONFIG,
	    &err, "pending-key.pem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(set_is_whole_and_private_where_it_must_be),
	    TEST(five_names_lead_to_one_generation),
	    TEST(generations_but_the_last_two_are_removed),
	    TEST(draft_of_a_key_that_was_left_behind_is_removed),
	    TEST(file_of_somebody_else_is_refused_and_kept),
	    TEST(folder_that_others_can_change_is_refused),
	    TEST(stop_at_any_step_shows_one_set_whole),
	    TEST(failure_at_any_step_keeps_the_old_set),
	    TEST(state_that_is_absent_or_damaged_says_enrol),
	    TEST(state_is_read_as_it_was_written),
	    TEST(pending_key_is_the_same_until_dropped),
	    TEST(pending_key_of_another_type_is_replaced),
	    TEST(pending_key_that_others_can_read_is_refused),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 18, &err) != ERR_OK)
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
