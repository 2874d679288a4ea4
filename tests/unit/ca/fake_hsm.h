// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for the whole of hsm/hsm.h at link time: software keys, and the
 * faults that a test orders.  EC keys follow from their label, so that two
 * runs make the same certificates but for the signatures.
 */
#ifndef TESTS_UNIT_CA_FAKE_HSM_H
#define TESTS_UNIT_CA_FAKE_HSM_H

#include <openssl/evp.h>
#include "hsm/hsm.h"

struct hsm *fake_hsm_new(void);
void fake_hsm_free(struct hsm *hsm);

/* While away, everything is answered ERR_HSM_UNAVAILABLE. */
void fake_hsm_set_away(struct hsm *hsm, bool away);

enum fake_lie {
	FAKE_HONEST,
	FAKE_FLIPPED,	/* a bit of each signature is flipped */
	FAKE_OTHER_KEY,	/* a good signature, by another key */
	FAKE_SHORT,	/* one octet is missing */
	FAKE_EMPTY,	/* no octets and no error */
};
void fake_hsm_set_lie(struct hsm *hsm, enum fake_lie lie);

/* The NTH signature from now (1: the next) answers CODE instead; other than
 * ERR_HSM_REFUSED and ERR_HSM_UNAVAILABLE it may have been made. */
void fake_hsm_fail_sign(struct hsm *hsm, unsigned nth, enum err_code code);
/* As above for making a key. */
void fake_hsm_fail_generate(
    struct hsm *hsm, unsigned nth, enum err_code code);

/* Called inside each signature, before it is made, on the signing thread: to
 * wait there, or to do what a test wants to happen meanwhile. */
void fake_hsm_on_sign(
    struct hsm *hsm, void (*hook)(const char *uri, void *arg), void *arg);

unsigned fake_hsm_signatures(struct hsm *hsm);
/* The key pair itself; borrowed, NULL when there is none. */
EVP_PKEY *fake_hsm_key(struct hsm *hsm, const char *uri);

#endif
