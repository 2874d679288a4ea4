// SPDX-License-Identifier: Apache-2.0
/* How far a long command has come: on standard error where that is a terminal, about
 * twice a second; nothing otherwise. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include "store/backup.h"

struct progress {
	struct store_progress hook;	/* to be told of octets */
	const char *what;
	uint64_t total;			/* octets, roughly; 0: not known */
	int64_t next_ms;		/* monotonic */
	bool terminal;
};

/* Says WHAT is begun.  PROGRESS stays where it is until the end. */
void progress_begin(
    struct progress *progress, const char *what, uint64_t total);
void progress_end(struct progress *progress);

/* The line for OCTETS of TOTAL, without its ends: "copying: 45 % of 10 MiB". */
void progress_line(struct buf *line, const char *what, uint64_t octets,
    uint64_t total);

#endif
