// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for hsm/token.c at link time: a token that gives any answer, within
 * the room it is given.  Each of its functions takes from a tape of octets first
 * how it ends (below ANY_TOKEN_FAILS: well), then what it says; behind the end
 * of the tape stand zeros.
 */
#ifndef TESTS_FUZZ_ANY_TOKEN_H
#define TESTS_FUZZ_ANY_TOKEN_H

#include "base/buf.h"
#include "hsm/token.h"

#define ANY_TOKEN_FAILS 0xe0

/* The one token of the process, at the start of TAPE, which is borrowed. */
struct token *any_token(struct bytes tape);

#endif
