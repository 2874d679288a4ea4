// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <signal.h>
#include <string.h>

enum err_code thread_start(pthread_t *thread, const char *name,
    void *(*run)(void *arg), void *arg, struct err *err)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
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
