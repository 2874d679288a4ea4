// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <signal.h>
#include <string.h>

/* What a call or an instruction of the thread itself raises; blocked, these end the
 * process before a handler could tell what it was. */
static const int own_faults[] = {
    SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

enum err_code thread_start(pthread_t *thread, const char *name,
    void *(*run)(void *arg), void *arg, struct err *err)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_LEN(own_faults); i++)
		sigdelset(&all, own_faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return err_fail(
		    err, ERR_IO, "thread %s: %s", name, strerror(failed));
	/* A name is a help, no more: it fails only where it is too long. */
	(void)pthread_setname_np(*thread, name);
	return ERR_OK;
}
