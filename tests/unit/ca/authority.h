// SPDX-License-Identifier: Apache-2.0
/*
 * A small CA for tests: a store in a folder of its own, a fake token, the root
 * "root" (P-384, its key away), and under it "issuing-1" and "issuing-2" (P-256);
 * the wall clock is frozen at AUTHORITY_NOW.  Each function asserts that it
 * succeeds.
 */
#ifndef TESTS_UNIT_CA_AUTHORITY_H
#define TESTS_UNIT_CA_AUTHORITY_H

#include <openssl/x509.h>

#include "ca/ca.h"
#include "tests/unit/ca/fake_hsm.h"

#define AUTHORITY_NOW INT64_C(1800000000)	/* 2027-01-15T08:00:00Z */
#define AUTHORITY_YEAR (INT64_C(365) * 86400)

struct authority {
	char *dir;
	struct config config;
	struct store *store;
	struct hsm *hsm;
	struct ca *ca;
};

/* cmocka's setup and teardown; *STATE is the struct authority. */
int authority_setup(void **state);
int authority_teardown(void **state);

/* Closes store and CA, as a stop would, and opens them again. */
void authority_close(struct authority *authority);
void authority_open(struct authority *authority);

/* A serial of 18 octets made from N. */
struct serial authority_serial(uint32_t n);
/* Records N as issued by ISSUER, valid for a year from now. */
void authority_record(
    struct authority *authority, const char *issuer, uint32_t n);
void authority_record_until(struct authority *authority, const char *issuer,
    uint32_t n, int64_t not_after);
/* The same, added to BATCH, for those who need many. */
void authority_add_record(struct authority *authority, struct batch *batch,
    const char *issuer, uint32_t n, int64_t not_after);
/* Commits the revocation of N and tells the CA. */
void authority_revoke(
    struct authority *authority, uint32_t n, uint8_t reason);
/* The same without telling: as if the process ended in between. */
void authority_revoke_silently(
    struct authority *authority, uint32_t n, uint8_t reason);
/* The issuer's certificate as OpenSSL reads it; freed by the caller. */
X509 *authority_x509(struct authority *authority, const char *issuer);

#endif
