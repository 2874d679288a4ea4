// SPDX-License-Identifier: Apache-2.0
/* Somebody with a key and a certificate of it, to whom tests encrypt. */
#ifndef TESTS_UNIT_CA_PERSON_H
#define TESTS_UNIT_CA_PERSON_H

#include "ca/recipient.h"

#define DAY 86400

struct person {
	EVP_PKEY *key;
	struct buf pem; /* of the certificate */
};
/* Owns KEY.  Of subject and issuer NAME and serial 0x1234; USAGE as OpenSSL writes
 * keyUsage, or NULL.  FROM, UNTIL: seconds from now. */
struct person person_new(EVP_PKEY *key, const char *name, const char *usage,
    long from, long until);
void person_end(struct person *person);

#define PERSON(name, key, usage)                                               \
	__attribute__((cleanup(person_end))) struct person name =              \
	    person_new(key, #name, usage, -DAY, 100 * DAY)

EVP_PKEY *person_ec(void);
MUST_CHECK enum err_code person_add(struct recipients *to,
    const struct person *person, struct err *err);

/* Fails the test where TEXT does not contain PART. */
void assert_has(const char *text, const char *part);

#endif
