// SPDX-License-Identifier: Apache-2.0
/*
 * A witness of the audit log outside of the store, that keeps what it is told:
 * a file on another mount, the system's log, or an HTTP endpoint.  It gets entries
 * and checkpoints in their order, one JSON object a line.  One thread at a time.
 */
#ifndef API_WITNESS_H
#define API_WITNESS_H

#include "store/audit.h"

struct witness;

/* How far a witness is: entries it has, and the size that the last checkpoint
 * which it has tells. */
struct witness_position {
	uint64_t entries, checkpoint;
};

/* SPEC, borrowed: "file:PATH", "syslog", "syslog:SOCKET", or the URL of an
 * endpoint.  Opens nothing. */
struct witness *witness_new(const char *spec);
/* An endpoint is told by TELLER, borrowed; NULL: it cannot be told. */
struct teller;
void witness_tell_by(struct witness *witness, struct teller *teller);
void witness_free(struct witness *witness);
DEFINE_CLEANUP(witness, witness_free)
const char *witness_name(const struct witness *witness);	/* the spec */

/*
 * Compares STORE with what the witness can be read back from: a file, or what an
 * endpoint said when its teller first asked it.  A file that is not there, or is
 * empty, says nothing, nor does an endpoint that could not be reached.
 * Errors: ERR_CORRUPT when the store lacks what the witness has, or has it
 * otherwise, or when nothing in a file can be read, saying what to do; ERR_IO.
 */
MUST_CHECK enum err_code witness_compare(
    struct witness *witness, struct store *store, struct err *err);

/*
 * Opens it where it is not open.  *POSITION is replaced by what the witness itself
 * tells; left as it is where it cannot be asked.  What an endpoint tells is
 * compared with STORE.
 * Errors: ERR_IO; ERR_CORRUPT as of witness_compare.
 */
MUST_CHECK enum err_code witness_open(struct witness *witness,
    struct store *store, struct witness_position *position, struct err *err);
/* The last witness_open failed since STORE is not what an endpoint has that was
 * never compared with it before: nobody should be served out of it. */
bool witness_refutes(const struct witness *witness);
/* How many lines to give it at once: those that it took before one failed are
 * given again, so that of a log that takes each alone it is one. */
unsigned witness_batch(const struct witness *witness);
/* Gives it LINES, whole ones; on ERR_OK it has them durably, as far as it can
 * tell.  After an error it is closed.  Errors: ERR_IO. */
MUST_CHECK enum err_code witness_write(
    struct witness *witness, struct bytes lines, struct err *err);

#endif
