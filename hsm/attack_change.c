// SPDX-License-Identifier: Apache-2.0
/* Attacks by attributes: told, read, set, copied, forged. */
#include <string.h>

#include "hsm/attack.h"

static const struct {
	CK_ATTRIBUTE_TYPE type;
	bool value;
	const char *name;
} loosenings[] = {
    {CKA_SENSITIVE, false, "CKA_SENSITIVE=false"},
    {CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE=true"},
    {CKA_MODIFIABLE, true, "CKA_MODIFIABLE=true"},
    {CKA_DECRYPT, true, "CKA_DECRYPT=true"},
    {CKA_WRAP, true, "CKA_WRAP=true"},
    {CKA_DERIVE, true, "CKA_DERIVE=true"},
};
/* Those before take the protection off, those behind only add uses. */
#define LOOSENINGS_OF_SECRECY 2
#define LOOSENINGS_ALL ARRAY_LEN(loosenings)

static const struct lab_key protected_key = {.uses = HSM_ATTR_WRAP};

/* A key of one's own to wrap with; 0 when the token makes none. */
static CK_OBJECT_HANDLE make_wrapper(struct lab *lab)
{
	const struct lab_key wrapper = {.uses = HSM_ATTR_WRAP};
	CK_OBJECT_HANDLE key;

	return lab_make(lab, &wrapper, &key) ? key : 0;
}

/* By trying, not by asking: tokens lie. */
static bool comes_out(struct lab *lab, CK_OBJECT_HANDLE key)
{
	CK_OBJECT_HANDLE by = make_wrapper(lab);

	return lab_reads(lab, key) ||
	       (by != 0 && lab_wraps(lab, by, key, NULL, NULL));
}

static enum outcome told_otherwise(
    struct trial *trial, const char *name, const char *what)
{
	trial_note(trial, "%s %s", name, what);
	return OUTCOME_BROKE;
}

enum outcome attack_told_plain(struct trial *trial)
{
	struct lab *lab = trial->lab;
	CK_OBJECT_HANDLE key;

	if (!lab_make(lab, &protected_key, &key))
		return OUTCOME_NONE;
	if (!lab_told(lab, key, CKA_SENSITIVE))
		return told_otherwise(trial, "a key made sensitive", "is not");
	if (lab_told(lab, key, CKA_EXTRACTABLE))
		return told_otherwise(
		    trial, "a key made not extractable", "is");
	return OUTCOME_HELD;
}

/* A KEK has been unwrapped, so that its origin proves nothing. */
static const char *kek_unsafe(const struct item *item)
{
	struct item made_here = *item;

	made_here.unknown &=
	    ~(HSM_ATTR_NEVER_EXTRACTABLE | HSM_ATTR_ALWAYS_SENSITIVE);
	made_here.attributes |=
	    HSM_ATTR_NEVER_EXTRACTABLE | HSM_ATTR_ALWAYS_SENSITIVE;
	return item_unsafe(&made_here);
}

static enum outcome told(struct trial *trial, const struct subject *subject)
{
	struct fault fault;
	struct item item;
	const char *unsafe;

	if (item_read(trial->lab->token, subject->key, &item, &fault) !=
	    WIRE_OK) {
		trial_note(trial, "%s: %s", subject->name, fault.text);
		return OUTCOME_UNKNOWN;
	}
	unsafe =
	    subject->twin == TWIN_KEK ? kek_unsafe(&item) : item_unsafe(&item);
	return unsafe == NULL ? OUTCOME_HELD
			      : told_otherwise(trial, subject->name, unsafe);
}

enum outcome attack_told_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(SIGN_RSA) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK),
	    true, told);
}

enum outcome attack_read_plain(struct trial *trial)
{
	CK_OBJECT_HANDLE key;

	if (!lab_make(trial->lab, &protected_key, &key))
		return OUTCOME_NONE;
	return lab_reads(trial->lab, key) ? OUTCOME_BROKE : OUTCOME_HELD;
}

static enum outcome read_subject(
    struct trial *trial, const struct subject *subject)
{
	if (!lab_reads(trial->lab, subject->key))
		return OUTCOME_HELD;
	return told_otherwise(trial, subject->name, "can be read");
}

enum outcome attack_read_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK_NEW) | TWIN(KEK),
	    true, read_subject);
}

/* Sets one attribute; true when the token says that it is so now, or the key
 * comes out. */
static bool set(struct lab *lab, CK_OBJECT_HANDLE key, size_t i)
{
	struct template change = {.count = 0};
	bool before = lab_told(lab, key, loosenings[i].type);

	template_bool(&change, loosenings[i].type, loosenings[i].value);
	if (lab->p11->C_SetAttributeValue(
		lab->home, key, change.attributes, change.count) != CKR_OK)
		return false;
	if (before != loosenings[i].value &&
	    lab_told(lab, key, loosenings[i].type) == loosenings[i].value)
		return true;
	return i < LOOSENINGS_OF_SECRECY && comes_out(lab, key);
}

static enum outcome set_each(struct trial *trial, CK_OBJECT_HANDLE key,
    const char *name, size_t from, size_t to)
{
	enum outcome worst = OUTCOME_HELD;

	for (size_t i = from; i < to; i++) {
		if (!set(trial->lab, key, i))
			continue;
		trial_note(trial, "%s takes %s", name, loosenings[i].name);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

enum outcome attack_set_plain(struct trial *trial)
{
	CK_OBJECT_HANDLE key;

	if (!lab_make(trial->lab, &protected_key, &key))
		return OUTCOME_NONE;
	return set_each(trial, key, "a key", 0, LOOSENINGS_OF_SECRECY);
}

static enum outcome set_secrecy(
    struct trial *trial, const struct subject *subject)
{
	return set_each(
	    trial, subject->key, subject->name, 0, LOOSENINGS_OF_SECRECY);
}

/* Never on the token's own keys: where it worked, it would stay. */
enum outcome attack_set_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), false,
	    set_secrecy);
}

enum outcome attack_uses_plain(struct trial *trial)
{
	CK_OBJECT_HANDLE key;

	if (!lab_make(trial->lab, &protected_key, &key))
		return OUTCOME_NONE;
	return set_each(trial, key, "a modifiable key",
	    LOOSENINGS_OF_SECRECY + 1, LOOSENINGS_ALL);
}

static enum outcome set_uses(struct trial *trial, const struct subject *subject)
{
	return set_each(trial, subject->key, subject->name,
	    LOOSENINGS_OF_SECRECY, LOOSENINGS_ALL);
}

enum outcome attack_uses_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), false,
	    set_uses);
}

/* The copy bears the label of the self-test, so that it could never be taken
 * for the original, and is destroyed at once. */
static bool copy(struct lab *lab, CK_OBJECT_HANDLE key, size_t i)
{
	struct template change = {.count = 0};
	bool before = lab_told(lab, key, loosenings[i].type);
	CK_OBJECT_HANDLE made = 0;
	bool loosened;

	template_bool(&change, CKA_TOKEN, false);
	template_bytes(&change, CKA_LABEL, BYTES_STR(LAB_LABEL));
	template_bool(&change, loosenings[i].type, loosenings[i].value);
	if (lab->p11->C_CopyObject(lab->home, key, change.attributes,
		change.count, &made) != CKR_OK)
		return false;
	loosened = (before != loosenings[i].value &&
		       lab_told(lab, made, loosenings[i].type) ==
			   loosenings[i].value) ||
		   (i < LOOSENINGS_OF_SECRECY && comes_out(lab, made));
	(void)lab->p11->C_DestroyObject(lab->home, made);
	return loosened;
}

static enum outcome copy_each(
    struct trial *trial, CK_OBJECT_HANDLE key, const char *name, size_t to)
{
	enum outcome worst = OUTCOME_HELD;

	for (size_t i = 0; i < to; i++) {
		if (!copy(trial->lab, key, i))
			continue;
		trial_note(
		    trial, "a copy of %s takes %s", name, loosenings[i].name);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

enum outcome attack_copy_plain(struct trial *trial)
{
	CK_OBJECT_HANDLE key;

	if (!lab_make(trial->lab, &protected_key, &key))
		return OUTCOME_NONE;
	return copy_each(trial, key, "a key", LOOSENINGS_OF_SECRECY);
}

static enum outcome copy_subject(
    struct trial *trial, const struct subject *subject)
{
	return copy_each(trial, subject->key, subject->name, LOOSENINGS_ALL);
}

enum outcome attack_copy_ours(struct trial *trial)
{
	return trial_subjects(trial,
	    TWIN(SIGN_EC) | TWIN(WRAP) | TWIN(MAC) | TWIN(KEK), true,
	    copy_subject);
}

enum outcome attack_trusted_plain(struct trial *trial)
{
	struct lab *lab = trial->lab;
	CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
	struct template made = {.count = 0};
	struct template change = {.count = 0};
	CK_OBJECT_HANDLE key;

	lab_template(&made, &protected_key);
	template_number(&made, CKA_VALUE_LEN, 32);
	template_bool(&made, CKA_TRUSTED, true);
	template_bool(&change, CKA_TRUSTED, true);
	if (lab->p11->C_GenerateKey(lab->home, &mechanism, made.attributes,
		made.count, &key) == CKR_OK &&
	    lab_told(lab, key, CKA_TRUSTED)) {
		trial_note(trial, "at its making");
		return OUTCOME_BROKE;
	}
	key = make_wrapper(lab);
	if (key == 0)
		return OUTCOME_NONE;
	if (lab->p11->C_SetAttributeValue(
		lab->home, key, change.attributes, change.count) == CKR_OK &&
	    lab_told(lab, key, CKA_TRUSTED)) {
		trial_note(trial, "by setting the attribute");
		return OUTCOME_BROKE;
	}
	return OUTCOME_HELD;
}

static enum outcome check_origin(struct trial *trial, CK_OBJECT_HANDLE key)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		const char *name;
	} claims[] = {{CKA_LOCAL, "CKA_LOCAL"},
	    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE"},
	    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE"}};
	enum outcome worst = OUTCOME_HELD;

	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		if (!lab_told(trial->lab, key, claims[i].type))
			continue;
		trial_note(trial, "a known key has %s", claims[i].name);
		worst = OUTCOME_BROKE;
	}
	return worst;
}

enum outcome attack_origin_plain(struct trial *trial)
{
	static const CK_ATTRIBUTE_TYPE claims[] = {
	    0, CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE};
	static const uint8_t known[32] = "known to whoever brings it in..";
	enum outcome worst = OUTCOME_NONE;

	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		struct template brought = {.count = 0};
		CK_OBJECT_HANDLE key;

		lab_template(&brought, &protected_key);
		if (claims[i] != 0)
			template_bool(&brought, claims[i], true);
		if (!lab_import(trial->lab, &brought, known, &key))
			continue;
		worst = outcome_worse(worst, check_origin(trial, key));
		if (worst == OUTCOME_BROKE)
			break;
	}
	return worst;
}
