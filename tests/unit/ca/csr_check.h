// SPDX-License-Identifier: Apache-2.0
/* What becomes of a request that was built part by part. */
#ifndef TESTS_UNIT_CA_CSR_CHECK_H
#define TESTS_UNIT_CA_CSR_CHECK_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "ca/request.h"
#include "tests/unit/ca/csr.h"

DEFINE_CLEANUP(csr, csr_free)

#define TAG_SET 0x31
#define OCTETS(...)                                                            \
	BYTES(((const uint8_t[]){__VA_ARGS__}),                                \
	    sizeof((const uint8_t[]){__VA_ARGS__}))

#define TEST cmocka_unit_test

/* Of the last request. */
extern struct err err;

MUST_CHECK enum err_code csr_parse(
    const struct csr *csr, struct request **out);
void accepts(const struct csr *csr);
/* Refused with CODE and a detail in which WORDS occur. */
void refuses(const struct csr *csr, enum err_code code, const char *words);

#endif
