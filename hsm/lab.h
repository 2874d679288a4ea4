// SPDX-License-Identifier: Apache-2.0
/*
 * Where the self-test tries its attacks: keys that live in a session of their
 * own and are gone with it, the token's keys to be looked at, and what the
 * module offers.
 */
#ifndef HSM_LAB_H
#define HSM_LAB_H

#include "hsm/item.h"

/* Of every object made here: what is found under it in the token is swept. */
#define LAB_LABEL "signet-selftest"
#define LAB_WRAPPED_MAX 4096
#define LAB_KEYS_MAX 256

struct lab {
	struct token *token;
	CK_FUNCTION_LIST *p11;
	const struct quirks *quirks;
	CK_SESSION_HANDLE home; /* holds the objects */
	CK_SESSION_HANDLE work; /* operations; renewed after each */
	CK_SESSION_HANDLE keep; /* holds rsa, whose making takes long */
	CK_OBJECT_HANDLE rsa; /* TWIN_SIGN_RSA, or 0 */
	CK_MECHANISM_TYPE *mechanisms;
	CK_ULONG mechanism_count;
	/* Keys of the token that keep the rule: Signet's, or as good. */
	struct item *keys;
	size_t key_count;
};

/* TOKEN is borrowed.  Errors: those of the token. */
MUST_CHECK enum wire_status lab_open(
    struct token *token, struct lab **lab_out, struct fault *fault);
/* Sweeps, and closes the sessions. */
void lab_close(struct lab *lab);
DEFINE_CLEANUP(lab, lab_close)
/* A new home and a new session to work in: what was made before is gone.  False
 * when the token gives no session. */
MUST_CHECK bool lab_renew(struct lab *lab);
/* Ends an operation that may have been left open. */
void lab_end_operation(struct lab *lab);
/* Destroys what bears LAB_LABEL and was kept in the token; returns how many. */
size_t lab_sweep(struct lab *lab);

/* Whether the module offers MECHANISM for what FLAGS (CKF_*) say. */
bool lab_offers(
    const struct lab *lab, CK_MECHANISM_TYPE mechanism, CK_FLAGS flags);

/* An AES-256 key as any program would make it: sensitive, modifiable. */
struct lab_key {
	uint32_t uses; /* HSM_ATTR_WRAP, _UNWRAP, _ENCRYPT, _DECRYPT, _DERIVE */
	bool extractable;
	bool with_trusted; /* CKA_WRAP_WITH_TRUSTED */
	CK_MECHANISM_TYPE allowed; /* CKA_ALLOWED_MECHANISMS; 0: without */
};
MUST_CHECK bool lab_make(
    struct lab *lab, const struct lab_key *key, CK_OBJECT_HANDLE *key_out);
/* A template for it, to be added to. */
void lab_template(struct template *template, const struct lab_key *key);
/* Brings in an AES-256 key of VALUE (32 octets). */
MUST_CHECK bool lab_import(struct lab *lab, struct template *template,
    const uint8_t value[static 32], CK_OBJECT_HANDLE *key_out);

/* Keys with the very attributes of Signet's own, but in the session. */
enum twin {
	TWIN_SIGN_EC,
	TWIN_SIGN_RSA,
	TWIN_WRAP,
	TWIN_MAC,
	TWIN_KEK_NEW, /* extractable until it has been wrapped */
	TWIN_KEK, /* unwrapped for use */
	TWIN_COUNT,
};
const char *lab_twin_name(enum twin twin);
MUST_CHECK bool lab_twin(
    struct lab *lab, enum twin twin, CK_OBJECT_HANDLE *key_out);

/* True when the token gives the value of a secret or private key. */
bool lab_reads(struct lab *lab, CK_OBJECT_HANDLE key);
/* Wraps KEY under BY in any way that is offered; false when none is let.  OUT
 * may be NULL; MECHANISM_OUT too. */
bool lab_wraps(struct lab *lab, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key,
    struct buf *out, CK_MECHANISM_TYPE *mechanism_out);
/* One boolean attribute as the token tells it; false too when it does not. */
bool lab_told(struct lab *lab, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type);

/* A mechanism for AES keys with the parameter it needs. */
struct lab_mechanism {
	CK_MECHANISM_TYPE type;
	const char *name;
	bool
	    weak; /* shows equal blocks of what it wraps, or can be cut apart */
	CK_ULONG iv;
};
extern const struct lab_mechanism lab_wrappings[];
extern const size_t lab_wrapping_count;
/* Fills MECHANISM for ROW; its parameter is static. */
CK_MECHANISM lab_mechanism(const struct lab_mechanism *row);

#endif
