// SPDX-License-Identifier: Apache-2.0
/* Issuing by an order, the last audit entry, and tokens whose uses are counted:
 * for the tests of what leads to a certificate. */
#ifndef TESTS_UNIT_CA_ISSUING_H
#define TESTS_UNIT_CA_ISSUING_H
#include "tests/unit/ca/fixture.h"

/* What of an audit entry the tests look at. */
struct issuing_entry {
	char action[64], result[16], object[80];
};

/* Issues by ORDER, with nothing but the intent in its first commit. */
enum err_code issuing_try(struct fixture *fixture,
    const struct fixture_order *order, struct certificate **out);

/* The entry that was written last. */
struct issuing_entry issuing_last(struct fixture *fixture);

/* A token on record, good for so many USES; the caller frees it. */
void issuing_token(
    struct fixture *fixture, struct token **token_out, uint32_t uses);

/* How many uses of TOKEN are gone now. */
uint32_t issuing_token_spent(
    struct fixture *fixture, const struct token *token);

#endif
