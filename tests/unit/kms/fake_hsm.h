// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for what kms/ asks of hsm/hsm.h at link time.  The fake of ca/
 * signs and knows no KEK; this one wraps (RFC 3394), seals and MACs under keys
 * that are the same in every run, so that octets made by one are read by the
 * next.  It counts calls and fails on order.
 */
#ifndef TESTS_UNIT_KMS_FAKE_HSM_H
#define TESTS_UNIT_KMS_FAKE_HSM_H

#include "hsm/hsm.h"

#define FAKE_ROOT "pkcs11:token=fake;object=root"
#define FAKE_MAC "pkcs11:token=fake;object=mac"

enum fake_call {
	FAKE_KEK_NEW,
	FAKE_HMAC,
	FAKE_DATA_KEY,
	FAKE_OPEN,
	FAKE_CALLS
};

struct hsm *fake_hsm_new(void);
void fake_hsm_free(struct hsm *hsm);
unsigned fake_hsm_count(const struct hsm *hsm, enum fake_call call);
/* Every such call answers CODE until it is set to ERR_OK. */
void fake_hsm_fail(struct hsm *hsm, enum fake_call call, enum err_code code);
/* New KEKs come wrapped in this many octets, if not 0. */
void fake_hsm_set_blob_len(struct hsm *hsm, size_t len);

#endif
