// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/secret.h"

static int open_heap(void **state)
{
	struct err err;

	(void)state;
	return secret_heap_open(1 << 16, &err) == ERR_OK ? 0 : -1;
}

static int heap_is_empty(void **state)
{
	harness_dir_teardown(state);
	return secret_heap_used() == 0 ? 0 : -1;
}

static void secret_heap_disables_core_dumps(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 0);
	assert_int_equal(limit.rlim_max, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

static void secret_heap_is_opened_once(void **state)
{
	struct err err;

	(void)state;
	assert_failed(secret_heap_open(1 << 16, &err), ERR_IO, "before");
}

static void secret_lives_on_the_locked_heap_and_leaves_it(void **state)
{
	struct secret *secret = secret_new(32);

	(void)state;
	assert_true(CRYPTO_secure_allocated(secret_data(secret)));
	assert_int_equal(secret_len(secret), 32);
	assert_int_equal(secret_data(secret)[31], 0);
	assert_true(secret_heap_used() >= 32);
	secret_free(secret);
	secret_free(NULL);
	assert_int_equal(secret_heap_used(), 0);
}

static void secret_equals_the_same_octets_alone(void **state)
{
	OWNED(secret) secret = secret_copy("1234", 4);

	(void)state;
	assert_true(secret_equal(secret, BYTES("1234", 4)));
	assert_false(secret_equal(secret, BYTES("1235", 4)));
	assert_false(secret_equal(secret, BYTES("123", 3)));
	assert_false(secret_equal(secret, BYTES("12345", 5)));
	assert_true(bytes_equal(secret_bytes(secret), BYTES_STR("1234")));
}

static void secret_beyond_the_heap_aborts(void **state)
{
	(void)state;
	assert_true(aborts((void)secret_new(1 << 20)));
	assert_true(aborts((void)secret_new(SIZE_MAX)));
	assert_true(aborts((void)secret_new(0)));
}

static void secret_is_read_without_its_newline(void **state)
{
	const char *const files[][2] = {{"1234", "1234"}, {"1234\n", "1234"},
	    {"1234\n\n", "1234\n"}, {"12345678\n", "12345678"},
	    {"12345678", "12345678"}, {" 1", " 1"}};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED(secret) secret = NULL;
		OWNED_STR(path) = harness_file(*state, "pin", files[i][0]);

		assert_int_equal(chmod(path, 0640), 0);
		assert_ok(secret_from_file(path, 8, &secret, &err));
		assert_true(secret_equal(secret, BYTES_STR(files[i][1])));
		assert_true(CRYPTO_secure_allocated(secret_data(secret)));
	}
}

static void secret_empty_or_too_long_is_refused(void **state)
{
	const char *const files[][2] = {{"", "empty"}, {"\n", "empty"},
	    {"123456789", "longer"}, {"12345678\n\n", "longer"},
	    {"123456789\n", "longer"}, {"12345678901234567890", "longer"}};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		OWNED(secret) secret = NULL;
		OWNED_STR(path) = harness_file(*state, "pin", files[i][0]);

		assert_int_equal(chmod(path, 0600), 0);
		assert_refused(secret_from_file(path, 8, &secret, &err),
		    ERR_CONFIG, files[i][1]);
		assert_null(secret);
		assert_null(strstr(err.detail, "12345"));
	}
}

static void secret_file_that_others_reach_is_refused(void **state)
{
	const mode_t modes[] = {0604, 0602, 0620, 0644, 0666};
	OWNED_STR(path) = harness_file(*state, "pin", "1234\n");
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		OWNED(secret) secret = NULL;

		assert_int_equal(chmod(path, modes[i]), 0);
		assert_refused(secret_from_file(path, 8, &secret, &err),
		    ERR_CONFIG, "chmod 600");
	}
}

static void secret_from_what_is_no_file_fails(void **state)
{
	OWNED_STR(fifo) = fs_join(*state, "fifo");
	OWNED_STR(absent) = fs_join(*state, "absent");
	OWNED(secret) secret = NULL;
	struct err err;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_failed(
	    secret_from_file(fifo, 8, &secret, &err), ERR_IO, "regular");
	assert_failed(
	    secret_from_file(absent, 8, &secret, &err), ERR_IO, "absent");
}

/* In processes of their own, where no heap is open. */
static void secret_before_the_heap_aborts(void **state)
{
	(void)state;
	assert_true(aborts((void)secret_new(1)));
}

static void secret_heap_that_cannot_be_locked_is_refused(void **state)
{
	const struct rlimit none = {0, 0};
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct err err;

		/* Root may lock in spite of the limit; 65534 is nobody. */
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
		    (geteuid() == 0 && setuid(65534) != 0))
			_exit(2);
		_exit(secret_heap_open(1 << 16, &err) == ERR_IO ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest without_heap[] = {
	    cmocka_unit_test(secret_before_the_heap_aborts),
	    cmocka_unit_test(secret_heap_that_cannot_be_locked_is_refused),
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secret_heap_disables_core_dumps),
	    cmocka_unit_test(secret_heap_is_opened_once),
	    cmocka_unit_test(secret_lives_on_the_locked_heap_and_leaves_it),
	    cmocka_unit_test(secret_equals_the_same_octets_alone),
	    cmocka_unit_test(secret_beyond_the_heap_aborts),
	    cmocka_unit_test_setup_teardown(secret_is_read_without_its_newline,
		harness_dir_setup, heap_is_empty),
	    cmocka_unit_test_setup_teardown(
		secret_empty_or_too_long_is_refused, harness_dir_setup,
		heap_is_empty),
	    cmocka_unit_test_setup_teardown(
		secret_file_that_others_reach_is_refused, harness_dir_setup,
		heap_is_empty),
	    cmocka_unit_test_setup_teardown(secret_from_what_is_no_file_fails,
		harness_dir_setup, heap_is_empty),
	};

	return cmocka_run_group_tests(without_heap, NULL, NULL) +
	    cmocka_run_group_tests(tests, open_heap, NULL) +
	    (secret_heap_used() == 0 ? 0 : 1);
}
