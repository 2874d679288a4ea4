// SPDX-License-Identifier: Apache-2.0
/* Real workers on a SoftHSM token in a directory of its own. */
#ifndef TEST_REAL_H
#define TEST_REAL_H

#include <sys/types.h>
#include "hsm/hsm.h"

struct real {
	char dir[64];
	char *pin_file;
	char *environment[2];
	struct hsm_options options;
	struct hsm *hsm;
};

/* Makes the token; aborts the program when that fails. */
void real_begin(struct real *real);
void real_open(struct real *real, unsigned workers);
void real_close(struct real *real);
void real_end(struct real *real);
void real_write(const struct real *real, const char *name, const char *text);

/* The processes whose parent is this one; returns how many. */
size_t real_children(pid_t *pids, size_t max);
/* CPU time of a process so far, in microseconds. */
int64_t real_cpu_us(pid_t pid);

#endif
