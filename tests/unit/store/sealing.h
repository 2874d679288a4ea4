// SPDX-License-Identifier: Apache-2.0
/* Stores that are sealed under a key of one octet, repeated. */
#ifndef TESTS_STORE_SEALING_H
#define TESTS_STORE_SEALING_H

#include "fixture.h"

/* What must not be seen in the files. */
#define CANARY "canary-0123456789abcdef-of-a-cluster"
#define MAP_SIZE (1u << 30)

struct secret *make_key(uint8_t octet);
enum err_code seal_with(struct fixture *f, uint8_t octet);
enum err_code unseal_with(struct fixture *f, uint8_t octet);
/* Under key 1; asserts. */
void seal(struct fixture *f);

#endif
