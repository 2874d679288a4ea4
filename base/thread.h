// SPDX-License-Identifier: Apache-2.0
/* Threads of a program: named, as ps and debuggers show them, and left alone by
 * signals, which are for the thread that knows what to do; but not by those that
 * its own faults and refused system calls raise. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include "base/err.h"

/* NAME has at most 15 octets.  Errors: ERR_IO. */
MUST_CHECK enum err_code thread_start(pthread_t *thread, const char *name,
    void *(*run)(void *arg), void *arg, struct err *err);

#endif
