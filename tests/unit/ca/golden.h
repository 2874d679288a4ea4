// SPDX-License-Identifier: Apache-2.0
/* Texts that are committed, so that a change of what is signed shows as a
 * difference that a person has looked at. */
#ifndef TESTS_UNIT_CA_GOLDEN_H
#define TESTS_UNIT_CA_GOLDEN_H

#include "base/buf.h"

/* Asserts that TEXT is the content of golden/NAME.  With GOLDEN_WRITE set in the
 * environment it is written there instead. */
void golden_check(const char *name, const struct buf *text);
/* Appends OCTETS as lines of 32 in hex. */
void golden_put_hex(struct buf *text, struct bytes octets);

#endif
