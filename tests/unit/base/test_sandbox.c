// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: what a program gave up is refused to it, and what it needs
 * is not.  Each try is made in a process of its own, for there is no way back. */
#include "tests/unit/base/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/thread.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1	/* they trace, are dumped, and make threads, otherwise */
#else
#define SANITIZED 0
#endif

static bool executes(void)
{
	char name[] = "true", *argv[] = {name, NULL};

	return execv("/bin/true", argv) == 0;
}

static bool executes_a_descriptor(void)
{
	char *const none[] = {NULL};
	int fd = open("/bin/true", O_RDONLY);

	return syscall(SYS_execveat, fd, "", none, none, 0x1000) == 0;
}

static bool forks(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool reads_another_process(void)
{
	return syscall(SYS_process_vm_writev, getpid(), NULL, 0L, NULL, 0L, 0L)
	    == 0;
}

static bool becomes_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

/* The kernel looks at the lower half of the argument. */
static bool becomes_dumpable_by_a_wide_number(void)
{
	return syscall(SYS_prctl, (1L << 32) | PR_SET_DUMPABLE, 1L, 0L, 0L,
	    0L) == 0;
}

static bool shares_memory_to_be_executed(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *page = shmat(id, NULL, SHM_EXEC);
	int error = errno;

	(void)shmctl(id, IPC_RMID, NULL);
	errno = error;
	return id >= 0 && page != (void *)-1;
}

static bool maps_what_it_writes_to_be_executed(void)
{
	return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool makes_memory_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool mounts(void)
{
	return syscall(SYS_unshare, 0x00020000) == 0;
}

static bool has_network(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
	    socket(AF_INET6, SOCK_STREAM, 0) >= 0;
}

static bool has_raw_packets(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool has_local_sockets(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static bool starts_threads(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) == 0 &&
	    pthread_join(thread, NULL) == 0;
}

static void *execute(void *refused)
{
	*(bool *)refused = !executes() && errno == EPERM;
	return NULL;
}

static bool goes_on_after_a_refusal_in_a_thread_of_its_own(void)
{
	bool refused = false;
	struct err err = {0};
	pthread_t thread;

	return thread_start(&thread, "test", execute, &refused, &err) ==
	    ERR_OK && pthread_join(thread, NULL) == 0 && refused;
}

/* As by somebody's kill -SYS: no call of ours was refused. */
static bool is_not_misled_by_a_signal(void)
{
	return kill(getpid(), SIGSYS) == 0;
}

static bool shares_memory(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *page = shmat(id, NULL, 0);

	return shmctl(id, IPC_RMID, NULL) == 0 && page != (void *)-1;
}

static bool names_itself(void)
{
	return prctl(PR_SET_NAME, "test", 0, 0, 0) == 0 &&
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) >= 0;
}

static bool uses_files(void)
{
	char path[] = "/tmp/signet-sandbox-XXXXXX";
	int fd = mkstemp(path);
	bool used = fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 &&
	    fchmod(fd, 0600) == 0;

	return unlink(path) == 0 && used;
}

static bool maps_a_library(void)
{
	int fd = open("/bin/true", O_RDONLY);

	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) !=
	    MAP_FAILED;
}

/* What a call that goes wrong gave: 0 done, 1 refused by EPERM, 2 otherwise. */
static int try_fenced_in(enum sandbox_net net, bool (*call)(void))
{
	struct err err = {0};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		log_open(open("/dev/null", O_WRONLY), "test", LOG_INFO);
		if (sandbox_enter(net, &err) != ERR_OK)
			_exit(3);
		errno = 0;
		_exit(call() ? 0 : errno == EPERM ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_sandbox_refuses_what_no_program_of_ours_does(void **state)
{
	static const struct {
		bool (*call)(void);
		bool when_sanitized;
	} calls[] = {{executes, true}, {executes_a_descriptor, true},
	    {forks, false}, {traces, false}, {reads_another_process, true},
	    {becomes_dumpable, false},
	    {becomes_dumpable_by_a_wide_number, false},
	    {shares_memory_to_be_executed, true},
	    {maps_what_it_writes_to_be_executed, true},
	    {makes_memory_executable, true}, {mounts, true},
	    {has_raw_packets, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (SANITIZED && !calls[i].when_sanitized)
			continue;
		assert_int_equal(
		    try_fenced_in(SANDBOX_LOCAL, calls[i].call), 1);
		assert_int_equal(try_fenced_in(SANDBOX_INET, calls[i].call), 1);
	}
}

static void the_sandbox_leaves_threads_files_and_local_sockets(void **state)
{
	bool (*const calls[])(void) = {starts_threads, uses_files,
	    has_local_sockets, maps_a_library, shares_memory, names_itself,
	    goes_on_after_a_refusal_in_a_thread_of_its_own,
	    is_not_misled_by_a_signal};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(try_fenced_in(SANDBOX_LOCAL, calls[i]), 0);
}

static void the_network_is_there_only_where_asked_for(void **state)
{
	(void)state;
	assert_int_equal(try_fenced_in(SANDBOX_LOCAL, has_network), 1);
	assert_int_equal(try_fenced_in(SANDBOX_INET, has_network), 0);
}

static void a_refusal_is_logged_with_the_number_of_the_call(void **state)
{
	OWNED_STR(want) =
	    mem_printf("\"number\":%d", (int)SYS_execve);
	char text[512] = "";
	struct err err = {0};
	int ends[2], status = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		log_open(ends[1], "test", LOG_INFO);
		if (sandbox_enter(SANDBOX_LOCAL, &err) == ERR_OK)
			(void)executes();
		_exit(0);
	}
	close(ends[1]);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(strstr(text, "system call refused"));
	assert_non_null(strstr(text, want));
}

static void a_thread_that_takes_no_signals_ends_the_process(void **state)
{
	struct err err = {0};
	sigset_t all;
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
		if (sandbox_enter(SANDBOX_LOCAL, &err) == ERR_OK)
			(void)executes();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- Landlock ---- */

static long landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1UL);
}

static uint16_t listen_somewhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(
	    getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

static bool connects_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

struct scene {
	char *seen, *hidden;	/* files */
	char *dir;		/* of the one that is seen */
	uint16_t ports[3];	/* the first may be reached */
};

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool refused(bool done)
{
	return !done && (errno == EACCES || errno == EPERM);
}

/* 0: all as promised. */
static int look_around(const struct scene *scene, long version)
{
	const char *const paths[] = {"/nonexistent", scene->dir, NULL};
	const uint16_t ports[] = {scene->ports[0], 0};
	const struct sandbox_view view = {paths, ports};
	OWNED_STR(made) = mem_printf("%s/new", scene->dir);
	struct err err = {0};

	if (sandbox_drop(NULL, &err) != ERR_OK ||
	    sandbox_see(&view, &err) != ERR_OK ||
	    sandbox_enter(SANDBOX_INET, &err) != ERR_OK)
		return 1;
	if (!opens(scene->seen, O_RDONLY))
		return 2;
	if (!refused(opens(scene->hidden, O_RDONLY)))
		return 3;
	if (!refused(opens(scene->seen, O_WRONLY)) ||
	    !refused(opens(made, O_WRONLY | O_CREAT)) ||
	    !refused(unlink(scene->seen) == 0) ||
	    !refused(mkdir(made, 0700) == 0))
		return 4;
	if (!connects_to(scene->ports[0]) ||
	    (version >= 4 && !refused(connects_to(scene->ports[1]))))
		return 5;
	return version >= 6 && !refused(kill(getppid(), 0) == 0) ? 6 : 0;
}

static void with_landlock_only_files_ports_and_processes_named_are_left(
    void **state)
{
	char dir[] = "/tmp/signet-see-XXXXXX";
	struct err err = {0};
	int status = 0;

	(void)state;
	if (landlock_version() < 1)
		skip();
	assert_non_null(mkdtemp(dir));
	OWNED_STR(below) = mem_printf("%s/below", dir);
	OWNED_STR(seen) = mem_printf("%s/seen", below);
	OWNED_STR(hidden) = mem_printf("%s/hidden", dir);
	const struct scene scene = {seen, hidden, below,
	    {listen_somewhere(), listen_somewhere()}};
	assert_int_equal(mkdir(below, 0700), 0);
	assert_int_equal(fs_write(seen, 0600, BYTES_STR("x"), &err), ERR_OK);
	assert_int_equal(fs_write(hidden, 0600, BYTES_STR("x"), &err), ERR_OK);
	pid_t pid = fork();
	if (pid == 0)
		_exit(look_around(&scene, landlock_version()));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(unlink(seen) + unlink(hidden), 0);
	assert_int_equal(rmdir(below) + rmdir(dir), 0);
	assert_int_equal(status, 0);
}

/* ---- Privileges ---- */

/* The value behind NAME in /proc/self/status, as a hexadecimal number. */
static unsigned long long status_of(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long value = 99;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name) + 1, NULL, 16);
	if (file != NULL)
		fclose(file);
	return value;
}

static bool has_no_privilege(void)
{
	return status_of("CapPrm:") == 0 && status_of("CapEff:") == 0 &&
	    status_of("CapAmb:") == 0 && status_of("NoNewPrivs:") == 1;
}

/* USER NULL: who it is.  0: all as promised. */
static int try_drop(const char *user, bool root)
{
	struct err err = {0};

	if (sandbox_drop(user, &err) != ERR_OK)
		return 1;
	if (!has_no_privilege())
		return 2;
	if (root && status_of("CapBnd:") != 0)
		return 3;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 5;
	if (user == NULL)
		return 0;
	if (geteuid() == 0 || getegid() == 0 || setuid(0) == 0 ||
	    setgid(0) == 0 || getgroups(0, NULL) > 1)
		return 4;
	return 0;
}

static int in_a_process(const char *user, bool root)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(try_drop(user, root));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void every_capability_is_given_up_for_good(void **state)
{
	(void)state;
	assert_int_equal(in_a_process(NULL, geteuid() == 0), 0);
}

static void as_root_a_program_becomes_the_user_and_cannot_return(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_a_process("nobody", true), 0);
}

static void a_user_who_does_not_exist_is_refused_by_name(void **state)
{
	struct err err = {0};
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (pid == 0)
		_exit(sandbox_drop("no-such-user", &err) == ERR_CONFIG &&
			    strstr(err.detail, "\"no-such-user\"") != NULL
			? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void who_is_not_root_becomes_nobody_else(void **state)
{
	struct err err = {0};
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (pid == 0) {
		if (geteuid() == 0 && setuid(54321) != 0)
			_exit(2);
		_exit(sandbox_drop("nobody", &err) == ERR_CONFIG &&
			    strstr(err.detail, "only root") != NULL
			? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		the_sandbox_refuses_what_no_program_of_ours_does),
	    cmocka_unit_test(
		the_sandbox_leaves_threads_files_and_local_sockets),
	    cmocka_unit_test(the_network_is_there_only_where_asked_for),
	    cmocka_unit_test(a_refusal_is_logged_with_the_number_of_the_call),
	    cmocka_unit_test(a_thread_that_takes_no_signals_ends_the_process),
	    cmocka_unit_test(
		with_landlock_only_files_ports_and_processes_named_are_left),
	    cmocka_unit_test(every_capability_is_given_up_for_good),
	    cmocka_unit_test(as_root_a_program_becomes_the_user_and_cannot_return),
	    cmocka_unit_test(a_user_who_does_not_exist_is_refused_by_name),
	    cmocka_unit_test(who_is_not_root_becomes_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
