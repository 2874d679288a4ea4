// SPDX-License-Identifier: Apache-2.0
/* The return values of PKCS#11: their names, and what each asks of us. */
#ifndef HSM_CKR_H
#define HSM_CKR_H

#include <p11-kit/pkcs11.h>

/* What a return value that is not CKR_OK means for the worker. */
enum trouble {
	TROUBLE_NONE,
	TROUBLE_CALLER, /* the request: answer, go on */
	TROUBLE_SESSION, /* sessions, login or handles are gone: open again */
	TROUBLE_UNSURE, /* "something failed": look at the session's health */
	TROUBLE_DEVICE, /* the token is out of reach: end */
	TROUBLE_PIN, /* PIN wrong or locked: never try again */
};

enum trouble ckr_trouble(CK_RV rv);
/* "CKR_PIN_INCORRECT"; for a value without a name its number, in a buffer that
 * the next call reuses (the worker has one thread). */
const char *ckr_name(CK_RV rv);

#endif
