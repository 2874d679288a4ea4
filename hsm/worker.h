// SPDX-License-Identifier: Apache-2.0
/* The loop of a worker: one thread, one socket, no state but the token's. */
#ifndef HSM_WORKER_H
#define HSM_WORKER_H

#include "hsm/kek.h"

struct worker_options {
	const char *module;
	const char *token;
	const char *pin_file;
	unsigned kek_limit; /* loaded KEKs; 0: KEK_CACHE_DEFAULT */
};

/*
 * Logs in, says so on FD, and answers requests until the other side closes or
 * the token is gone.  Returns what it ended with: WIRE_OK after a close.
 */
MUST_CHECK enum wire_status worker_run(const struct worker_options *options, int fd);

#endif
