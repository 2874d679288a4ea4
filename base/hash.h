// SPDX-License-Identifier: Apache-2.0
/* uthash with a function that every compiler takes without a warning: its own
 * falls through between case labels, said so only in comments. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#define HASH_FUNCTION(key, len, hash) HASH_OAT(key, len, hash)
#include <uthash.h>

#endif
