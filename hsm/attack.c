// SPDX-License-Identifier: Apache-2.0
#include "hsm/attack.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct attack attacks[ATTACK_COUNT] = {
    [ATTACK_TOLD] = {attack_told_plain, attack_told_ours},
    [ATTACK_READ] = {attack_read_plain, attack_read_ours},
    [ATTACK_WRAP] = {attack_wrap_plain, attack_wrap_ours},
    [ATTACK_CLULOW] = {attack_clulow_plain, attack_clulow_ours},
    [ATTACK_UNWRAP] = {attack_unwrap_plain, attack_unwrap_ours},
    [ATTACK_SET] = {attack_set_plain, attack_set_ours},
    [ATTACK_USES] = {attack_uses_plain, attack_uses_ours},
    [ATTACK_COPY] = {attack_copy_plain, attack_copy_ours},
    [ATTACK_IMPORT] = {attack_import_plain, attack_import_ours},
    [ATTACK_TRUSTED] = {attack_trusted_plain, NULL},
    [ATTACK_WITH_TRUSTED] = {attack_with_trusted_plain, NULL},
    [ATTACK_ORIGIN] = {attack_origin_plain, NULL},
    [ATTACK_LIST] = {attack_list_plain, attack_list_ours},
    [ATTACK_WEAK] = {attack_weak_plain, attack_weak_ours},
    [ATTACK_PKCS1] = {attack_pkcs1_plain, attack_pkcs1_ours},
    [ATTACK_DERIVE] = {attack_derive_plain, attack_derive_ours},
};

enum outcome outcome_worse(enum outcome a, enum outcome b)
{
	return a > b ? a : b;
}

void trial_note(struct trial *trial, const char *fmt, ...)
{
	size_t len = strlen(trial->detail);
	va_list args;

	if (len > 0 && len + 3 < sizeof(trial->detail)) {
		memcpy(trial->detail + len, "; ", 3);
		len += 2;
	}
	va_start(args, fmt);
	(void)vsnprintf(
	    trial->detail + len, sizeof(trial->detail) - len, fmt, args);
	va_end(args);
}

static bool can_be_made(const struct lab *lab, enum twin twin)
{
	return twin != TWIN_SIGN_RSA ||
	       lab_offers(lab, CKM_RSA_PKCS_KEY_PAIR_GEN, 0);
}

static enum outcome try_twin(
    struct trial *trial, enum twin twin, subject_try *try)
{
	struct subject subject = {.twin = twin, .name = lab_twin_name(twin)};

	if (!can_be_made(trial->lab, twin))
		return OUTCOME_NONE;
	if (!lab_renew(trial->lab) ||
	    !lab_twin(trial->lab, twin, &subject.key)) {
		trial_note(
		    trial, "the token makes no %s in a session", subject.name);
		return OUTCOME_UNKNOWN;
	}
	return try(trial, &subject);
}

static enum outcome try_real(
    struct trial *trial, const struct item *item, subject_try *try)
{
	const struct subject subject = {
	    .key = item->handle,
	    .twin = TWIN_COUNT,
	    .item = item,
	    .name = item->label,
	};

	if (!lab_renew(trial->lab)) {
		trial_note(trial, "the token gives no session");
		return OUTCOME_UNKNOWN;
	}
	return try(trial, &subject);
}

enum outcome trial_subjects(
    struct trial *trial, unsigned twins, bool real, subject_try *try)
{
	enum outcome worst = OUTCOME_NONE;

	for (enum twin twin = 0; twin < TWIN_COUNT; twin++)
		if ((twins & (1U << twin)) != 0)
			worst =
			    outcome_worse(worst, try_twin(trial, twin, try));
	for (size_t i = 0; real && i < trial->lab->key_count; i++)
		worst = outcome_worse(
		    worst, try_real(trial, &trial->lab->keys[i], try));
	return worst;
}
