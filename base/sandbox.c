// SPDX-License-Identifier: Apache-2.0
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "base/log.h"

/* The sanitizers' own threads look at the program from outside. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- Privileges ---- */

static enum err_code become(const char *name, struct err *err)
{
	errno = 0;
	const struct passwd *user = getpwnam(name);

	if (user == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "server.user: there is no user \"%s\"",
		    err_quote_str(name));
	if (geteuid() != 0) {
		if (user->pw_uid == geteuid())
			return ERR_OK;
		return err_refuse(err, ERR_CONFIG,
		    "server.user is %s, and only root can become that: start "
		    "as root or as %s", name, name);
	}
	if (initgroups(name, user->pw_gid) != 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
		return err_fail(err, ERR_IO, "become %s: %m", name);
	return ERR_OK;
}

/* The bounding set, or root's next program would have all of them again. */
static bool bound_capabilities(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
			continue;
		/* Who may not drop it has no capability to lose. */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
		    errno != EPERM)
			return false;
	}
	return true;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
	    _LINUX_CAPABILITY_VERSION_3, 0};
	const struct __user_cap_data_struct none[2] = {{0, 0, 0}};

	/* Becoming somebody else has set again whether a core may be made to
	 * what the system says (fs.suid_dumpable). */
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
	    syscall(SYS_capset, &header, none) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

enum err_code sandbox_drop(const char *user, struct err *err)
{
	enum err_code code = ERR_OK;

	if (!bound_capabilities())
		return err_fail(err, ERR_IO, "bound capabilities: %m");
	if (user != NULL)
		code = become(user, err);
	if (code != ERR_OK)
		return code;
	return drop_capabilities()
	    ? ERR_OK
	    : err_fail(err, ERR_IO, "drop capabilities: %m");
}

/* ---- The filter ---- */

/* Some are not there on every processor; libseccomp skips those. */
#define NR(name) SCMP_SYS(name)
static const int allowed[] = {
    /* Descriptors. */
    NR(read), NR(write), NR(readv), NR(writev), NR(pread64), NR(pwrite64),
    NR(preadv), NR(pwritev), NR(preadv2), NR(pwritev2), NR(close),
    NR(close_range), NR(lseek), NR(_llseek), NR(dup), NR(dup2), NR(dup3),
    NR(fcntl), NR(fcntl64), NR(ioctl), NR(pipe), NR(pipe2), NR(eventfd),
    NR(eventfd2), NR(poll), NR(ppoll), NR(select), NR(_newselect),
    NR(pselect6), NR(epoll_create), NR(epoll_create1), NR(epoll_ctl),
    NR(epoll_wait), NR(epoll_pwait), NR(epoll_pwait2),
    /* Files. */
    NR(open), NR(openat), NR(creat), NR(stat), NR(lstat), NR(fstat),
    NR(stat64), NR(lstat64), NR(fstat64), NR(newfstatat), NR(fstatat64),
    NR(statx), NR(statfs), NR(fstatfs), NR(statfs64), NR(fstatfs64),
    NR(access), NR(faccessat), NR(faccessat2), NR(readlink), NR(readlinkat),
    NR(getcwd), NR(chdir), NR(fchdir), NR(getdents), NR(getdents64),
    NR(mkdir), NR(mkdirat), NR(rmdir), NR(unlink), NR(unlinkat), NR(rename),
    NR(renameat), NR(renameat2), NR(link), NR(linkat), NR(symlink),
    NR(symlinkat), NR(chmod), NR(fchmod), NR(fchmodat), NR(chown), NR(fchown),
    NR(lchown), NR(fchownat), NR(umask), NR(utime), NR(utimes),
    NR(utimensat), NR(futimesat), NR(truncate), NR(ftruncate),
    NR(truncate64), NR(ftruncate64), NR(fallocate), NR(fsync), NR(fdatasync),
    NR(sync_file_range), NR(syncfs), NR(flock), NR(fadvise64), NR(readahead),
    NR(copy_file_range), NR(sendfile), NR(sendfile64), NR(getxattr),
    NR(lgetxattr), NR(fgetxattr), NR(listxattr), NR(inotify_init1),
    NR(inotify_add_watch), NR(inotify_rm_watch),
    /* Memory; mmap, mprotect and shmat have rules of their own. */
    NR(brk), NR(munmap), NR(mremap), NR(madvise), NR(msync), NR(mlock),
    NR(mlock2), NR(munlock), NR(mincore), NR(membarrier), NR(shmget),
    NR(shmdt), NR(shmctl), NR(semget), NR(semop), NR(semctl),
    NR(semtimedop),
    /* This process and its threads. */
    NR(exit), NR(exit_group), NR(getpid), NR(gettid), NR(getppid),
    NR(getuid), NR(geteuid), NR(getgid), NR(getegid), NR(getgroups),
    NR(getresuid), NR(getresgid), NR(getpgrp), NR(getpgid), NR(getsid),
    NR(getrlimit), NR(ugetrlimit), NR(setrlimit), NR(prlimit64),
    NR(getrusage), NR(times), NR(sysinfo), NR(uname), NR(getcpu),
    NR(sched_yield), NR(sched_getaffinity), NR(sched_setaffinity),
    NR(sched_getparam), NR(sched_getscheduler), NR(sched_get_priority_max),
    NR(sched_get_priority_min), NR(getpriority), NR(setpriority),
    NR(set_tid_address), NR(set_robust_list), NR(get_robust_list), NR(rseq),
    NR(arch_prctl), NR(capget), NR(kill), NR(tgkill), NR(tkill), NR(wait4),
    NR(waitid), NR(waitpid), NR(pidfd_open), NR(pidfd_send_signal),
    NR(futex), NR(futex_waitv),
    NR(getrandom), NR(seccomp),
    /* Signals and time. */
    NR(rt_sigaction), NR(rt_sigprocmask), NR(rt_sigreturn), NR(sigreturn),
    NR(rt_sigpending), NR(rt_sigsuspend), NR(rt_sigtimedwait),
    NR(rt_sigqueueinfo), NR(sigaltstack), NR(signalfd), NR(signalfd4),
    NR(pause), NR(restart_syscall), NR(nanosleep), NR(clock_nanosleep),
    NR(clock_gettime), NR(clock_getres), NR(gettimeofday), NR(time),
    NR(timer_create), NR(timer_settime), NR(timer_gettime),
    NR(timer_getoverrun), NR(timer_delete), NR(timerfd_create),
    NR(timerfd_settime), NR(timerfd_gettime), NR(setitimer), NR(getitimer),
    NR(alarm),
    /* Sockets; making one has rules of its own. */
    NR(socketpair), NR(accept), NR(accept4), NR(bind), NR(listen),
    NR(connect), NR(getsockname), NR(getpeername), NR(getsockopt),
    NR(setsockopt), NR(sendto), NR(recvfrom), NR(sendmsg), NR(recvmsg),
    NR(sendmmsg), NR(recvmmsg), NR(shutdown),
};

/* Linux's own numbers; a thread is the only thing that may be made. */
#define THREAD_FLAG 0x00010000u	/* CLONE_THREAD */

static int allow(scmp_filter_ctx filter, int number)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int allow_if(
    scmp_filter_ctx filter, int number, struct scmp_arg_cmp condition)
{
	return seccomp_rule_add(
	    filter, SCMP_ACT_ALLOW, number, 1, condition);
}

/* The last 0 of a comparison is a second value that it does not have. */
static int add_sockets(scmp_filter_ctx filter, enum sandbox_net net)
{
	static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
	int failed =
	    allow_if(filter, NR(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));

	for (size_t i = 0; net == SANDBOX_INET && i < ARRAY_LEN(families); i++)
		failed |= allow_if(filter, NR(socket),
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	return failed;
}

/* Memory is written or executed, never both; libraries are mapped to be executed
 * and not writable. */
static int add_memory(scmp_filter_ctx filter)
{
	const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
	const int maps[] = {NR(mmap), NR(mmap2)};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		failed |= allow_if(filter, maps[i],
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		failed |= allow_if(filter, maps[i],
		    SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_EXEC));
	}
	failed |= allow_if(filter, NR(mprotect),
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	failed |= allow_if(filter, NR(shmat),
	    SCMP_A2(SCMP_CMP_MASKED_EQ, SHM_EXEC, 0));
	return failed;
}

static int add_threads(scmp_filter_ctx filter)
{
	int failed = 0;

	if (SANITIZED) {
		failed |= allow(filter, NR(clone));
		failed |= allow(filter, NR(ptrace));
		failed |= allow(filter, NR(process_vm_readv));
	} else {
		failed |= allow_if(filter, NR(clone),
		    SCMP_A0(SCMP_CMP_MASKED_EQ, THREAD_FLAG, THREAD_FLAG));
	}
	/* Its flags stand in memory, where no filter sees them.  The C library
	 * falls back on clone. */
	failed |= seccomp_rule_add(
	    filter, SCMP_ACT_ERRNO(ENOSYS), NR(clone3), 0);
	return failed;
}

/*
 * All of prctl() but one.  The kernel looks at the lower half of the argument, the
 * filter's SCMP_CMP_NE at all of it: so each bit is compared, and one that differs
 * will do.
 */
static int add_prctl(scmp_filter_ctx filter)
{
	int failed = 0;

	/* The search for leaks makes its process dumpable meanwhile. */
	if (SANITIZED)
		return allow(filter, NR(prctl));
	for (unsigned bit = 0; bit < 32; bit++) {
		const scmp_datum_t mask = (scmp_datum_t)1 << bit;

		failed |= allow_if(filter, NR(prctl),
		    SCMP_A0(SCMP_CMP_MASKED_EQ, mask,
			mask & ~(scmp_datum_t)PR_SET_DUMPABLE));
	}
	return failed;
}

static int add_rules(scmp_filter_ctx filter, enum sandbox_net net)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		failed |= allow(filter, allowed[i]);
	failed |= add_sockets(filter, net);
	failed |= add_memory(filter);
	failed |= add_threads(filter);
	failed |= add_prctl(filter);
	return failed;
}

/* The result register of the call that was refused. */
static bool set_result(ucontext_t *context, long result)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = result;
	return true;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)result;
	return true;
#else
	(void)context, (void)result;
	return false;
#endif
}

/* The signal comes from the call itself, so nothing is interrupted that a line
 * in the log could disturb. */
static void on_refused(int signal, siginfo_t *info, void *context)
{
	int errno_before = errno;

	(void)signal;
	if (info->si_code <= 0)
		return;	/* a process sent it: there is no call to answer */
	LOG(ERROR, "system call refused", LOG_NUM("number", info->si_syscall));
	if (!set_result(context, -EPERM))
		_exit(126);
	errno = errno_before;
}

static enum err_code catch_refusals(struct err *err)
{
	struct sigaction action = {
	    .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGSYS, &action, NULL) == 0)
		return ERR_OK;
	return err_fail(err, ERR_IO, "catch SIGSYS: %m");
}

static void release(scmp_filter_ctx *filter)
{
	if (*filter != NULL)
		seccomp_release(*filter);
}

enum err_code sandbox_enter(enum sandbox_net net, struct err *err)
{
	__attribute__((cleanup(release))) scmp_filter_ctx filter =
	    seccomp_init(SCMP_ACT_TRAP);
	int failed;

	if (filter == NULL || add_rules(filter, net) != 0)
		return err_fail(err, ERR_IO, "make a system call filter");
	failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (failed == 0)	/* a search tree: cheap however many calls */
		failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (failed == 0 && catch_refusals(err) != ERR_OK)
		return err->code;
	if (failed == 0)
		failed = seccomp_load(filter);
	if (failed == 0)
		return ERR_OK;
	return err_fail(err, ERR_IO, "load the system call filter: %s",
	    strerrordesc_np(-failed));
}
