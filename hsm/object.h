// SPDX-License-Identifier: Apache-2.0
/* The objects of a token as they cross the wire. */
#ifndef HSM_OBJECT_H
#define HSM_OBJECT_H

#include "hsm/hsm.h"

/* Reads over one object. */
void object_skip(struct reader *reader);
/* Fills OBJECT from the reader; false when malformed.  What it holds is freed
 * with object_clear in either case. */
MUST_CHECK bool object_parse(struct reader *reader, struct hsm_object *object);
void object_clear(struct hsm_object *object);

#endif
