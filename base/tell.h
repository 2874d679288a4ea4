// SPDX-License-Identifier: Apache-2.0
/*
 * What crosses between signetd and signet-witness, the process that speaks HTTP for
 * it: a request of one octet, a length (u32) and that many octets, then one answer
 * of a fixed size.  One at a time.
 */
#ifndef BASE_TELL_H
#define BASE_TELL_H

#include <stdint.h>

#define TELL_FD 3		/* of signet-witness */
#define TELL_ASK '?'		/* what does the witness have?  No octets. */
#define TELL_LINES '+'		/* take these lines */
#define TELL_MAX (64u << 20)	/* octets of lines */
#define TELL_SECONDS 20		/* the whole of one HTTP request */
#define TELL_PATIENCE_MS 45000	/* for the answer of signet-witness */
#define TELL_FIRST_MS 6000	/* the same, when the server starts */

/* Both are the same program's: no octet order, no alignment to agree on. */
struct tell_answer {
	uint8_t taken;		/* it worked */
	uint8_t knows;		/* asked: the next two are told */
	uint8_t has_leaf;	/* and the hash of the last entry */
	uint8_t ends;		/* signet-witness ends now: to be started anew */
	uint8_t leaf[32];
	uint64_t entries, checkpoint;
	char why[160];		/* not taken: printable text, ends by NUL */
};

#endif
