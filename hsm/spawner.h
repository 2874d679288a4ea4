// SPDX-License-Identifier: Apache-2.0
/*
 * A process that starts workers for another, so that the other can give up the
 * starting of programs for good (base/sandbox.h).  It is told "one more" of which
 * and two descriptors, never what to start: that was fixed when it was made.
 */
#ifndef HSM_SPAWNER_H
#define HSM_SPAWNER_H

#include "hsm/spawn.h"

struct spawner;

/*
 * Makes the process.  The caller must have one thread only, and the main one:
 * workers become its own children and end with it.
 */
MUST_CHECK enum err_code spawner_open(const struct hsm_options *options,
    struct spawner **spawner_out, struct err *err);
#define SPAWNER_OTHERS_MAX 8

/* It starts the COUNT programs of OTHERS, too. */
MUST_CHECK enum err_code spawner_open_with(const struct hsm_options *options,
    struct spawn *const *others, unsigned count, struct spawner **spawner_out,
    struct err *err);
/* Ends it; workers stay. */
void spawner_close(struct spawner *spawner);
DEFINE_CLEANUP(spawner, spawner_close)

/* As spawn_start(); waits for ten seconds at most, after those who asked before.
 * Errors: also ERR_HSM_UNAVAILABLE when the process is gone, or does not answer.
 * Safe from any thread. */
MUST_CHECK enum err_code spawner_start(struct spawner *spawner,
    int socket_fd, int log_fd, pid_t *pid_out, struct err *err);

/* As spawner_start(), of the other program at INDEX. */
MUST_CHECK enum err_code spawner_start_other(struct spawner *spawner,
    unsigned index, const int fds[2], pid_t *pid_out, struct err *err);

/* How long spawner_start() waits, and how long the process lets a program start;
 * for tests. */
void spawner_set_patience(struct spawner *spawner, int patience_ms);
void spawner_set_start_patience(struct spawner *spawner, int patience_ms);

/* False when the process has ended: no worker can be started any more. */
bool spawner_alive(struct spawner *spawner);

#endif
