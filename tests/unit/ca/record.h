// SPDX-License-Identifier: Apache-2.0
/* Records of certificates for tests that make them up. */
#ifndef TESTS_UNIT_CA_RECORD_H
#define TESTS_UNIT_CA_RECORD_H
#include "tests/unit/ca/fixture.h"

/* When they were made, all but. */
#define RECORD_NOW INT64_C(1800000000)

/* A copy; NULL of NULL. */
char *record_text(const char *text);

/* Serial and times from N; with some made-up DER. */
struct certificate *record_new(uint8_t n);

/* Puts RECORD into the store. */
void record_commit(struct fixture *fixture, const struct certificate *record);

#endif
