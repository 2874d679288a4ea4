// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: a process that can start no program has workers all the
 * same, as good as those that it started itself. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/sandbox.h"
#include "fake.h"
#include "hsm/spawner.h"

static int begin(void **state)
{
	struct fake *fake = mem_zalloc(sizeof(*fake));

	fake_begin(fake);
	*state = fake;
	return 0;
}

static int end(void **state)
{
	struct fake *fake = *state;
	struct spawner *spawner = fake->options.spawner;

	fake_end(fake);
	spawner_close(spawner);
	free(fake);
	return 0;
}

static void open_spawner(struct fake *fake)
{
	struct err err = {0};

	assert_int_equal(
	    spawner_open(&fake->options, &fake->options.spawner, &err),
	    ERR_OK);
	assert_true(spawner_alive(fake->options.spawner));
}

static char *reported(struct fake *fake)
{
	struct err err = {0};
	OWNED_BUF(out);

	fake_open(fake, NULL);
	assert_int_equal(fake_sign(fake, "report", "", &out, &err), ERR_OK);
	hsm_close(GIVE(fake->hsm));
	return buf_to_str(&out);
}

static void a_worker_gets_the_same_as_one_started_directly(void **state)
{
	struct fake *fake = *state;

	signal(SIGPIPE, SIG_IGN);
	OWNED_STR(direct) = reported(fake);
	open_spawner(fake);
	OWNED_STR(spawned) = reported(fake);
	assert_string_equal(spawned, direct);
	assert_non_null(strstr(spawned, "fd 3\ngroup own\n"));
}

static void workers_are_children_of_who_asked_and_end_with_the_pool(
    void **state)
{
	struct fake *fake = *state;
	siginfo_t info = {.si_pid = 0};
	int pid;

	open_spawner(fake);
	fake_open(fake, NULL);
	pid = fake_pid(fake);
	assert_int_equal(
	    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	hsm_close(GIVE(fake->hsm));
	assert_int_equal(kill(pid, 0), -1);
	assert_true(spawner_alive(fake->options.spawner));
}

/* In a process of its own, for it cannot be undone. */
static int run_fenced_in(struct fake *fake)
{
	struct err err = {0};
	char name[] = "true", *argv[] = {name, NULL};
	OWNED_BUF(out);

	if (spawner_open(&fake->options, &fake->options.spawner, &err) !=
		ERR_OK ||
	    sandbox_enter(SANDBOX_LOCAL, &err) != ERR_OK)
		return 1;
	if (execv("/bin/true", argv) != -1 || errno != EPERM)
		return 2;
	if (hsm_open(&fake->options, true, &fake->hsm, &err) != ERR_OK)
		return 3;
	for (int i = 0; i < 2; i++)
		if (fake_sign(fake, "die-once", "d", &out, &err) != ERR_OK ||
		    fake_sign(fake, "die", "d", &out, &err) !=
			ERR_HSM_UNAVAILABLE ||
		    fake_sign(fake, "key", "d", &out, &err) != ERR_OK)
			return 4;
	hsm_close(GIVE(fake->hsm));
	spawner_close(GIVE(fake->options.spawner));
	return 0;
}

static void workers_are_replaced_in_a_process_that_may_start_no_program(
    void **state)
{
	struct fake *fake = *state;
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(run_fenced_in(fake));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_program_that_is_not_there_is_told_by_its_path(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	fake->options.worker = "/nonexistent/signet-hsm";
	open_spawner(fake);
	assert_int_equal(hsm_open(&fake->options, true, &fake->hsm, &err),
	    ERR_CONFIG);
	assert_non_null(strstr(err.detail, "/nonexistent/signet-hsm"));
	assert_true(spawner_alive(fake->options.spawner));
}

static void kill_children(void)
{
	siginfo_t info;
	OWNED_STR(path) =
	    mem_printf("/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "r");
	int pid;

	assert_non_null(file);
	while (fscanf(file, "%d", &pid) == 1) {
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(
		    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	}
	fclose(file);
}

static void a_spawner_that_is_gone_is_noticed_and_starts_nothing(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	pid_t pid = 0;

	open_spawner(fake);
	kill_children();
	assert_false(spawner_alive(fake->options.spawner));
	assert_int_equal(spawner_start(fake->options.spawner, STDIN_FILENO,
	    STDERR_FILENO, &pid, &err), ERR_HSM_UNAVAILABLE);
	assert_int_equal(pid, 0);
}

static pid_t only_child(void)
{
	OWNED_STR(path) =
	    mem_printf("/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "r");
	int pid = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

/* And what it answers when it goes on is not taken for the answer to another. */
static void a_spawner_that_hangs_is_waited_for_only_so_long(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	siginfo_t info;
	pid_t stopped, pid = 0;
	int ends[2];

	open_spawner(fake);
	stopped = only_child();
	assert_int_equal(kill(stopped, SIGSTOP), 0);
	assert_int_equal(
	    waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT), 0);
	spawner_set_patience(fake->options.spawner, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(spawner_start(fake->options.spawner, ends[0],
	    STDERR_FILENO, &pid, &err), ERR_HSM_UNAVAILABLE);
	assert_non_null(strstr(err.cause, "not answered within 1 ms"));
	assert_int_equal(pid, 0);
	assert_int_equal(kill(stopped, SIGCONT), 0);
	spawner_set_patience(fake->options.spawner, 60000);
	assert_int_equal(spawner_start(fake->options.spawner, ends[0],
	    STDERR_FILENO, &pid, &err), ERR_OK);
	assert_true(pid > 0 && pid != stopped);
	close(ends[0]);
	close(ends[1]);
	(void)spawn_reap(pid, 0);
	/* The late one was reaped, or it would be a child still. */
	assert_int_equal(only_child(), stopped);
	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
	assert_int_equal(info.si_pid, 0);
}

/* Orders that nobody takes fill the socket; the next one must not wait. */
static void one_that_hangs_for_long_holds_up_nobody(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	siginfo_t info;
	pid_t stopped, pid = 0;
	int ends[2];
	bool full = false;

	open_spawner(fake);
	stopped = only_child();
	assert_int_equal(kill(stopped, SIGSTOP), 0);
	assert_int_equal(
	    waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT), 0);
	spawner_set_patience(fake->options.spawner, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	for (int i = 0; i < 10000 && !full; i++) {
		err_clear(&err);
		assert_int_equal(spawner_start(fake->options.spawner, ends[0],
		    STDERR_FILENO, &pid, &err), ERR_HSM_UNAVAILABLE);
		full = strstr(err.cause, "takes no orders") != NULL;
	}
	assert_true(full);
	assert_int_equal(pid, 0);
	close(ends[0]);
	close(ends[1]);
	/* Or it would carry them all out. */
	assert_int_equal(kill(stopped, SIGKILL), 0);
}

/* A copy of the worker that nobody can open until its lease is given back: a
 * program on a file system that hangs. */
static char *copy_that_hangs(struct fake *fake, int *fd_out)
{
	char *path = fake_path(fake, "slow");
	OWNED_BUF(program);
	struct err err = {0};

	signal(SIGIO, SIG_IGN);
	assert_int_equal(
	    fs_read(FAKE_WORKER, (size_t)64 << 20, &program, &err), ERR_OK);
	assert_int_equal(
	    fs_write(path, 0700, buf_bytes(&program), &err), ERR_OK);
	*fd_out = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*fd_out >= 0);
	if (fcntl(*fd_out, F_SETLEASE, F_WRLCK) != 0 && errno == EINVAL)
		skip();	/* a file system without leases */
	return path;
}

static void with_leases_a_program_that_does_not_start_in_time_is_ended(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	siginfo_t info;
	pid_t spawner, pid = 0;
	int lease;
	OWNED_STR(path) = copy_that_hangs(fake, &lease);

	fake->options.worker = path;
	open_spawner(fake);
	spawner = only_child();
	spawner_set_start_patience(fake->options.spawner, 1);
	assert_int_equal(spawner_start(fake->options.spawner, STDIN_FILENO,
	    STDERR_FILENO, &pid, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "timed out"));
	assert_int_equal(pid, 0);
	/* Ended and reaped. */
	assert_int_equal(only_child(), spawner);
	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
	assert_int_equal(info.si_pid, 0);
	close(lease);
	spawner_set_start_patience(fake->options.spawner, 60000);
	err_clear(&err);
	fake_open(fake, NULL);
}

static void with_leases_a_start_without_a_spawner_is_bounded_too(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	pid_t pid = 0;
	int lease, ends[2];
	OWNED_STR(path) = copy_that_hangs(fake, &lease);

	fake->options.worker = path;
	OWNED(spawn) spawn = spawn_for_serving(&fake->options);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	spawn->patience_ms = 1;
	assert_int_equal(
	    spawn_start(spawn, ends[0], STDERR_FILENO, &pid, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "timed out"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	close(lease);
	spawn->patience_ms = 60000;
	err_clear(&err);
	assert_int_equal(
	    spawn_start(spawn, ends[0], STDERR_FILENO, &pid, &err), ERR_OK);
	(void)spawn_reap(pid, 0);
	close(ends[0]);
	close(ends[1]);
}

static void another_program_is_started_by_its_number(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};
	char answer[16] = "";
	const char *const argv[] = {"-c", "echo \"$1$PATH\" >&3", "x", "told",
	    NULL};
	OWNED(spawn) first = spawn_for_program("/nonexistent/first", argv);
	OWNED(spawn) shell = spawn_for_program("/bin/sh", argv);
	struct spawn *const others[] = {first, shell};
	pid_t pid = 0;
	int ends[2];

	assert_int_equal(spawner_open_with(&fake->options, others, 2,
	    &fake->options.spawner, &err), ERR_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	const int fds[2] = {ends[1], STDERR_FILENO};
	assert_int_equal(spawner_start_other(fake->options.spawner, 0, fds,
	    &pid, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "/nonexistent/first"));
	assert_int_equal(pid, 0);
	err_clear(&err);
	assert_int_equal(spawner_start_other(fake->options.spawner, 1, fds,
	    &pid, &err), ERR_OK);
	close(ends[1]);
	assert_true(read(ends[0], answer, sizeof(answer) - 1) > 4);
	assert_memory_equal(answer, "told", 4);
	close(ends[0]);
	assert_int_equal(spawn_reap(pid, 60000), 0);
	/* And the worker as before. */
	fake_open(fake, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_worker_gets_the_same_as_one_started_directly),
	    TEST(workers_are_children_of_who_asked_and_end_with_the_pool),
	    TEST(workers_are_replaced_in_a_process_that_may_start_no_program),
	    TEST(a_program_that_is_not_there_is_told_by_its_path),
	    TEST(one_that_hangs_for_long_holds_up_nobody),
	    TEST(a_spawner_that_is_gone_is_noticed_and_starts_nothing),
	    TEST(a_spawner_that_hangs_is_waited_for_only_so_long),
	    TEST(with_leases_a_program_that_does_not_start_in_time_is_ended),
	    TEST(with_leases_a_start_without_a_spawner_is_bounded_too),
	    TEST(another_program_is_started_by_its_number),
	};
	struct err err = {0};

	if (secret_heap_open((size_t)256 * 1024, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
