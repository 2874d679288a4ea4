// SPDX-License-Identifier: Apache-2.0
/* The attributes of every object that Signet makes, all stated: tokens differ
 * in their defaults, and SoftHSM's turn every use on.  doc/hsm.md has the
 * table. */
#ifndef HSM_TEMPLATE_H
#define HSM_TEMPLATE_H

#include <stdbool.h>
#include "base/buf.h"
#include "hsm/hsm.h"
#include "hsm/quirks.h"

#define TEMPLATE_MAX 32

/* Zero-initialised is empty.  Values stand inside or are borrowed, so that it
 * must not move while it is used. */
struct template
{
	CK_ATTRIBUTE attributes[TEMPLATE_MAX];
	CK_ULONG count;
	CK_ULONG numbers[TEMPLATE_MAX]; /* values of the attribute beside it */
	CK_MECHANISM_TYPE mechanisms[2];
	CK_ATTRIBUTE nested[2];
	CK_BBOOL yes, no;
};

void template_bool(struct template *template, CK_ATTRIBUTE_TYPE type, bool on);
void template_number(
    struct template *template, CK_ATTRIBUTE_TYPE type, CK_ULONG number);
/* BYTES is borrowed. */
void template_bytes(
    struct template *template, CK_ATTRIBUTE_TYPE type, struct bytes bytes);

/* CKA_ALLOWED_MECHANISMS of one. */
void template_mechanism(
    struct template *template, CK_MECHANISM_TYPE mechanism);
/* Makes what asks for an object of the token ask for one of the session. */
void template_for_session(struct template *template);

/* Who an object of the token is. */
struct template_name {
	struct bytes id;
	struct bytes label;
};

/* Signing pairs of TYPE. */
void template_private(struct template *template, enum hsm_key_type type,
    const struct template_name *name, const struct quirks *quirks);
void template_public(struct template *template, enum hsm_key_type type,
    const struct template_name *name, const struct quirks *quirks);
/* Wrapping and MAC keys in the token. */
void template_secret(struct template *template, enum hsm_secret_use use,
    const struct template_name *name, const struct quirks *quirks);
/* A KEK between its making and its wrapping: a session object without uses. */
void template_kek_new(struct template *template, const struct quirks *quirks);
/* A KEK unwrapped for use: encrypts and decrypts, nothing else. */
void template_kek_loaded(
    struct template *template, const struct quirks *quirks);

/* The curve's CKA_EC_PARAMS (a DER OID); empty for RSA. */
struct bytes template_curve(enum hsm_key_type type);

#endif
