// SPDX-License-Identifier: Apache-2.0
/* Starting the worker program, or another: what it is given, and nothing else. */
#ifndef HSM_SPAWN_H
#define HSM_SPAWN_H

#include <sys/types.h>
#include "hsm/hsm.h"

/* Copies of what OPTIONS say; made once, used for every start. */
struct spawn {
	char *path;
	char **argv;		/* NULL at the end, as the environment */
	char **environment;
	struct spawner *spawner; /* borrowed; NULL: started by this process */
	int patience_ms;	/* for the start: 5000 */
};

/* ARGUMENTS follow the ones that every command line has: how it is fenced in. */
struct spawn *spawn_new(
    const struct hsm_options *options, const char *const *arguments);
/* A worker that serves the token of OPTIONS. */
struct spawn *spawn_for_serving(const struct hsm_options *options);
/* The program at PATH with ARGUMENTS, after its own name, up to a NULL; its
 * environment is empty. */
struct spawn *spawn_for_program(
    const char *path, const char *const *arguments);
void spawn_free(struct spawn *spawn);
DEFINE_CLEANUP(spawn, spawn_free)

/*
 * Starts a worker: standard input is empty, standard output and standard error
 * are LOG_FD, SOCKET_FD (-1: none) becomes WIRE_FD; every other descriptor is
 * closed, every signal is as by default, and it is a process group of its own, so
 * that an interrupt at the terminal lets the server drain first.
 * Errors: ERR_CONFIG when the program cannot be executed, or has not been within
 * spawn->patience_ms, as on a file system that hangs.
 */
MUST_CHECK enum err_code spawn_start(const struct spawn *spawn, int socket_fd,
    int log_fd, pid_t *pid_out, struct err *err);

/*
 * The same without spawn->spawner, for it: FDS are the socket, which may be -1, and
 * the log.  With BESIDE the new process is a child of the caller's parent, who
 * reaps it also after a failure that left *PID_OUT above 0.  Gives an errno; 0:
 * started.
 */
int spawn_process(
    const struct spawn *spawn, const int fds[2], bool beside, pid_t *pid_out);

/* The refusal that PATH cannot be executed, ERROR being the errno of it. */
MUST_CHECK enum err_code spawn_refuse(
    const char *path, int error, struct err *err);

/* Waits until the child PID ends, kills it after PATIENCE_MS, reaps it.  Returns
 * its status as of waitpid(2). */
int spawn_reap(pid_t pid, int64_t patience_ms);
/* "exit status 3" or "signal 9"; TEXT as given. */
const char *spawn_status_text(int status, char text[static 32]);

#endif
