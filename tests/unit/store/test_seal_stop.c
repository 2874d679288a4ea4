// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: a process that is killed at any moment while it seals a store
 * leaves the store as it was, or sealed; whole in either case.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sealing.h"

static void assert_rows(struct fixture *f, uint64_t want)
{
	uint64_t rows = 0;

	if (store_verify(f->store, &rows, &f->err) != ERR_OK)
		fail_msg("%s%s", f->err.detail, f->err.cause);
	assert_int_equal(rows, want);
}

/* Seals for ever, under key 1 first and then anew; ends by being killed. */
static void seal_for_ever(struct fixture *f)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fixture_open(f, MAP_SIZE) != ERR_OK)
		_exit(1);
	if (f->store != NULL && unseal_with(f, 1) != ERR_OK &&
	    f->err.code != ERR_CONFIG)
		_exit(2);
	while (seal_with(f, 1) == ERR_OK)
		;
	_exit(3);
}

/* After USEC microseconds of sealing.  Random moments need no sleep to be right:
 * whatever the moment, the store must be whole. */
static void kill_while_sealing(struct fixture *f, useconds_t usec)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		seal_for_ever(f);
	usleep(usec);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void a_stop_at_any_moment_of_sealing_leaves_a_whole_store(void **state)
{
	struct fixture *f = *state;
	unsigned seed = (unsigned)getpid();
	OWNED(batch) batch = batch_new();

	for (unsigned i = 0; i < 500; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key-%u", i);
		batch_put(
		    batch, TABLE_CLUSTERS, BYTES_STR(key), BYTES_STR(CANARY));
	}
	add_audit(batch, "x");
	assert_int_equal(store_commit(f->store, batch, &f->err), ERR_OK);
	fixture_close(f);
	for (unsigned round = 0; round < 20; round++) {
		enum err_code code;

		kill_while_sealing(f, (useconds_t)rand_r(&seed) % 60000);
		assert_int_equal(fixture_open(f, MAP_SIZE), ERR_OK);
		code = unseal_with(f, 1);
		/* Not sealed yet, or sealed whole; nothing between. */
		if (code != ERR_OK)
			assert_int_equal(code, ERR_CONFIG);
		else
			assert_rows(f, 500);
		assert_value(f->store, "key-0", CANARY);
		assert_value(f->store, "key-499", CANARY);
		assert_int_equal(assert_verifies(f->store), 1);
		fixture_close(f);
	}
	assert_int_equal(fixture_open(f, MAP_SIZE), ERR_OK);
	if (unseal_with(f, 1) == ERR_CONFIG)
		seal(f);
	assert_rows(f, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_stop_at_any_moment_of_sealing_leaves_a_whole_store),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 18, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
