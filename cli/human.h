// SPDX-License-Identifier: Apache-2.0
/* Amounts and moments as people read them.  JSON has them exact: nothing of this is
 * for a program. */
#ifndef CLI_HUMAN_H
#define CLI_HUMAN_H

#include "base/json.h"

/* "3 d 4 h", "2 min 5 s", "12 s": the two largest parts; below zero as zero. */
void human_seconds(int64_t seconds, struct buf *out);
/* "128 KiB", "1.5 GiB", "17 B": rounded down. */
void human_octets(uint64_t octets, struct buf *out);
/* "2026-11-24 19:50:43 UTC (in 3 d 4 h)", seen from NOW; "(12 s ago)" where it
 * is over.  TEXT as it is where it is no time of the API. */
void human_time(const char *text, int64_t now, struct buf *out);

/* Puts the like in the place of a member that OBJECT has; else does nothing. */
void human_put_time(json_t *object, const char *field, int64_t now);
/* Puts WORDS in the place of a member that is absent or an empty list. */
void human_put_absent(json_t *object, const char *field, const char *words);

#endif
