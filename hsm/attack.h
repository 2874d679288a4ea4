// SPDX-License-Identifier: Apache-2.0
/* The known attacks on the PKCS#11 interface, each tried on a key as any
 * program would make it, and on keys made exactly as Signet makes its own. */
#ifndef HSM_ATTACK_H
#define HSM_ATTACK_H

#include "hsm/lab.h"
#include "hsm/selftest.h"

/* From the best to the worst: of several subjects the worst counts. */
enum outcome {
	OUTCOME_NONE, /* the token offers nothing to try it with */
	OUTCOME_HELD,
	OUTCOME_UNKNOWN, /* could not be tried to its end */
	OUTCOME_BROKE,
};
enum outcome outcome_worse(enum outcome a, enum outcome b);

#define ATTACK_DETAIL 240

/* One attack under way; what broke is noted. */
struct trial {
	struct lab *lab;
	char detail[ATTACK_DETAIL];
};
/* Appends to what is told of the trial; cut where it is full. */
void trial_note(struct trial *trial, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A key with Signet's attributes: a twin, or one of the token's own keys, which
 * nothing may be tried on that would change it. */
struct subject {
	CK_OBJECT_HANDLE key;
	enum twin twin; /* TWIN_COUNT: a key of the token */
	const struct item *item; /* of the token's key */
	const char *name;
};
typedef enum outcome subject_try(
    struct trial *trial, const struct subject *subject);
#define TWIN(name) (1U << TWIN_##name)
/* Tries TRY on each twin of the set TWINS in sessions of its own, and with REAL
 * on each key of the token that keeps the rule. */
enum outcome trial_subjects(
    struct trial *trial, unsigned twins, bool real, subject_try *try);

/* What is tried on Signet's keys may be absent where Signet does not rely on
 * what the attack breaks. */
typedef enum outcome attack_try(struct trial *trial);
struct attack {
	attack_try *plain;
	attack_try *ours;
};
extern const struct attack attacks[ATTACK_COUNT];

/* By file: hsm/attack_change.c, hsm/attack_wrap.c, hsm/attack_use.c. */
attack_try attack_told_plain, attack_told_ours;
attack_try attack_read_plain, attack_read_ours;
attack_try attack_set_plain, attack_set_ours;
attack_try attack_uses_plain, attack_uses_ours;
attack_try attack_copy_plain, attack_copy_ours;
attack_try attack_trusted_plain;
attack_try attack_origin_plain;
attack_try attack_wrap_plain, attack_wrap_ours;
attack_try attack_clulow_plain, attack_clulow_ours;
attack_try attack_unwrap_plain, attack_unwrap_ours;
attack_try attack_import_plain, attack_import_ours;
attack_try attack_with_trusted_plain;
attack_try attack_list_plain, attack_list_ours;
attack_try attack_weak_plain, attack_weak_ours;
attack_try attack_pkcs1_plain, attack_pkcs1_ours;
attack_try attack_derive_plain, attack_derive_ours;

/* True when KEY is let to decrypt with some mechanism. */
bool attack_decrypts(struct lab *lab, CK_OBJECT_HANDLE key);

#endif
