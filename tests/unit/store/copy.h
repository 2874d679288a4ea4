// SPDX-License-Identifier: Apache-2.0
/* Backups of the store of a fixture, beside it, and what comes back of them. */
#ifndef TESTS_UNIT_STORE_COPY_H
#define TESTS_UNIT_STORE_COPY_H
#include "fixture.h"

/* How many files stand in the folder PATH. */
unsigned copy_files(const char *path);

/* A backup of the store to NAME, beside it. */
enum err_code copy_take(struct fixture *f, const char *name);

/* Opens what is restored from NAME as the fixture's store. */
void copy_restore(struct fixture *f, const char *name);

#endif
