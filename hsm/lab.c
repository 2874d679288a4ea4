// SPDX-License-Identifier: Apache-2.0
#include "hsm/lab.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

const struct lab_mechanism lab_wrappings[] = {
    {CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP", false, 0},
    {CKM_AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD", false, 0},
    {CKM_AES_CBC_PAD, "CKM_AES_CBC_PAD", true, 16},
    {CKM_AES_CBC, "CKM_AES_CBC", true, 16},
    {CKM_AES_ECB, "CKM_AES_ECB", true, 0},
};
const size_t lab_wrapping_count = ARRAY_LEN(lab_wrappings);

CK_MECHANISM lab_mechanism(const struct lab_mechanism *row)
{
	static uint8_t iv[16];

	return (CK_MECHANISM){row->type, row->iv > 0 ? iv : NULL, row->iv};
}

static bool open_session(struct lab *lab, CK_SESSION_HANDLE *session_out)
{
	return lab->p11->C_OpenSession(token_slot(lab->token),
		   CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
		   session_out) == CKR_OK;
}

static void close_session(struct lab *lab, CK_SESSION_HANDLE *session)
{
	if (*session != 0)
		(void)lab->p11->C_CloseSession(*session);
	*session = 0;
}

bool lab_renew(struct lab *lab)
{
	close_session(lab, &lab->work);
	close_session(lab, &lab->home);
	return open_session(lab, &lab->home) && open_session(lab, &lab->work);
}

void lab_end_operation(struct lab *lab)
{
	close_session(lab, &lab->work);
	(void)open_session(lab, &lab->work);
}

static void list_mechanisms(struct lab *lab)
{
	CK_SLOT_ID slot = token_slot(lab->token);
	CK_ULONG count = 0;

	if (lab->p11->C_GetMechanismList(slot, NULL, &count) != CKR_OK ||
	    count == 0 || count > 4096)
		return;
	lab->mechanisms = mem_zalloc_array(count, sizeof(*lab->mechanisms));
	if (lab->p11->C_GetMechanismList(slot, lab->mechanisms, &count) ==
	    CKR_OK)
		lab->mechanism_count = count;
}

static enum wire_status list_class(
    struct lab *lab, CK_OBJECT_CLASS class, struct fault *fault)
{
	CK_OBJECT_HANDLE handles[LAB_KEYS_MAX];
	struct template wanted = {.count = 0};
	size_t count = 0;
	enum wire_status status;

	template_bool(&wanted, CKA_TOKEN, true);
	template_number(&wanted, CKA_CLASS, class);
	status = item_find(lab->token, &wanted, handles,
	    LAB_KEYS_MAX - lab->key_count, &count, fault);
	for (size_t i = 0; status == WIRE_OK && i < count; i++) {
		struct item *item = &lab->keys[lab->key_count];

		status = item_read(lab->token, handles[i], item, fault);
		if (status == WIRE_OK && item_unsafe(item) == NULL)
			lab->key_count++;
	}
	return status;
}

size_t lab_sweep(struct lab *lab)
{
	CK_OBJECT_HANDLE handles[LAB_KEYS_MAX];
	struct template wanted = {.count = 0};
	struct fault fault;
	size_t count = 0;

	template_bool(&wanted, CKA_TOKEN, true);
	template_bytes(&wanted, CKA_LABEL, BYTES_STR(LAB_LABEL));
	if (!token_renew(lab->token) ||
	    item_find(lab->token, &wanted, handles, ARRAY_LEN(handles), &count,
		&fault) != WIRE_OK)
		return 0;
	for (size_t i = 0; i < count; i++)
		(void)lab->p11->C_DestroyObject(
		    token_session(lab->token), handles[i]);
	return count;
}

enum wire_status lab_open(
    struct token *token, struct lab **lab_out, struct fault *fault)
{
	OWNED(lab) lab = mem_zalloc(sizeof(*lab));
	enum wire_status status;

	lab->token = token;
	lab->p11 = token_functions(token);
	lab->quirks = token_quirks(token);
	lab->keys = mem_zalloc_array(LAB_KEYS_MAX, sizeof(*lab->keys));
	list_mechanisms(lab);
	status = list_class(lab, CKO_PRIVATE_KEY, fault);
	if (status == WIRE_OK)
		status = list_class(lab, CKO_SECRET_KEY, fault);
	if (status != WIRE_OK)
		return status;
	if (!lab_renew(lab) || !open_session(lab, &lab->keep))
		return fault_set(fault, WIRE_DEVICE_GONE,
		    "the token gives no session for the self-test");
	*lab_out = GIVE(lab);
	return WIRE_OK;
}

void lab_close(struct lab *lab)
{
	if (lab == NULL)
		return;
	close_session(lab, &lab->work);
	close_session(lab, &lab->home);
	close_session(lab, &lab->keep);
	(void)lab_sweep(lab);
	free(lab->mechanisms);
	free(lab->keys);
	free(lab);
}

bool lab_offers(
    const struct lab *lab, CK_MECHANISM_TYPE mechanism, CK_FLAGS flags)
{
	CK_MECHANISM_INFO info = {0};

	for (CK_ULONG i = 0; i < lab->mechanism_count; i++)
		if (lab->mechanisms[i] == mechanism)
			return lab->p11->C_GetMechanismInfo(
				   token_slot(lab->token), mechanism, &info) ==
				   CKR_OK &&
			       (info.flags & flags) == flags;
	return false;
}

void lab_template(struct template *template, const struct lab_key *key)
{
	template_bool(template, CKA_TOKEN, false);
	template_bool(template, CKA_PRIVATE, true);
	template_bool(template, CKA_SENSITIVE, true);
	template_bool(template, CKA_EXTRACTABLE, key->extractable);
	template_bool(template, CKA_WRAP, (key->uses & HSM_ATTR_WRAP) != 0);
	template_bool(template, CKA_UNWRAP, (key->uses & HSM_ATTR_UNWRAP) != 0);
	template_bool(
	    template, CKA_ENCRYPT, (key->uses & HSM_ATTR_ENCRYPT) != 0);
	template_bool(
	    template, CKA_DECRYPT, (key->uses & HSM_ATTR_DECRYPT) != 0);
	template_bool(template, CKA_DERIVE, (key->uses & HSM_ATTR_DERIVE) != 0);
	template_bool(template, CKA_SIGN, false);
	template_bool(template, CKA_VERIFY, false);
	template_bytes(template, CKA_LABEL, BYTES_STR(LAB_LABEL));
	if (key->with_trusted)
		template_bool(template, CKA_WRAP_WITH_TRUSTED, true);
	if (key->allowed != 0)
		template_mechanism(template, key->allowed);
}

bool lab_make(
    struct lab *lab, const struct lab_key *key, CK_OBJECT_HANDLE *key_out)
{
	CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
	struct template template = {.count = 0};

	lab_template(&template, key);
	template_number(&template, CKA_VALUE_LEN, 32);
	return lab->p11->C_GenerateKey(lab->home, &mechanism,
		   template.attributes, template.count, key_out) == CKR_OK;
}

bool lab_import(struct lab *lab, struct template *template,
    const uint8_t value[static 32], CK_OBJECT_HANDLE *key_out)
{
	template_number(template, CKA_CLASS, CKO_SECRET_KEY);
	template_number(template, CKA_KEY_TYPE, CKK_AES);
	template_bytes(template, CKA_VALUE, BYTES(value, 32));
	return lab->p11->C_CreateObject(lab->home, template->attributes,
		   template->count, key_out) == CKR_OK;
}

const char *lab_twin_name(enum twin twin)
{
	static const char *const names[TWIN_COUNT] = {
	    [TWIN_SIGN_EC] = "EC signing key",
	    [TWIN_SIGN_RSA] = "RSA signing key",
	    [TWIN_WRAP] = "wrapping key",
	    [TWIN_MAC] = "MAC key",
	    [TWIN_KEK_NEW] = "KEK before its wrapping",
	    [TWIN_KEK] = "KEK",
	};

	return names[twin];
}

static bool twin_pair(struct lab *lab, CK_SESSION_HANDLE session,
    enum hsm_key_type type, CK_OBJECT_HANDLE *key_out)
{
	static const uint8_t id[16] = "selftest-of-keys";
	const struct template_name name = {
	    BYTES(id, sizeof(id)), BYTES_STR(LAB_LABEL)};
	CK_MECHANISM mechanism = {type == HSM_EC_P256
				      ? CKM_EC_KEY_PAIR_GEN
				      : CKM_RSA_PKCS_KEY_PAIR_GEN,
	    NULL, 0};
	struct template private = {.count = 0};
	struct template public = {.count = 0};
	CK_OBJECT_HANDLE half;

	template_private(&private, type, &name, lab->quirks);
	template_public(&public, type, &name, lab->quirks);
	template_for_session(&private);
	template_for_session(&public);
	return lab->p11->C_GenerateKeyPair(session, &mechanism,
		   public.attributes, public.count, private.attributes,
		   private.count, &half, key_out) == CKR_OK;
}

/* Made once: nothing is tried on it that would change it. */
static bool twin_rsa(struct lab *lab, CK_OBJECT_HANDLE *key_out)
{
	if (lab->rsa == 0 &&
	    !twin_pair(lab, lab->keep, HSM_RSA_2048, &lab->rsa))
		return false;
	*key_out = lab->rsa;
	return true;
}

static bool twin_secret(
    struct lab *lab, enum twin twin, CK_OBJECT_HANDLE *key_out)
{
	static const uint8_t id[16] = "selftest-of-keys";
	const struct template_name name = {
	    BYTES(id, sizeof(id)), BYTES_STR(LAB_LABEL)};
	CK_MECHANISM mechanism = {
	    twin == TWIN_MAC ? CKM_GENERIC_SECRET_KEY_GEN : CKM_AES_KEY_GEN,
	    NULL, 0};
	struct template template = {.count = 0};

	if (twin == TWIN_KEK_NEW) {
		template_bytes(&template, CKA_LABEL, BYTES_STR(LAB_LABEL));
		template_kek_new(&template, lab->quirks);
	} else {
		template_secret(&template,
		    twin == TWIN_MAC ? HSM_USE_MAC : HSM_USE_WRAP, &name,
		    lab->quirks);
	}
	template_for_session(&template);
	return lab->p11->C_GenerateKey(lab->home, &mechanism,
		   template.attributes, template.count, key_out) == CKR_OK;
}

/* The whole way of a KEK: made, wrapped, unwrapped. */
static bool twin_kek(struct lab *lab, CK_OBJECT_HANDLE *key_out)
{
	CK_MECHANISM mechanism = {lab->quirks->key_wrap, NULL, 0};
	struct template template = {.count = 0};
	uint8_t blob[64];
	CK_ULONG len = sizeof(blob);
	CK_OBJECT_HANDLE root, made;

	if (!twin_secret(lab, TWIN_WRAP, &root) ||
	    !twin_secret(lab, TWIN_KEK_NEW, &made) ||
	    lab->p11->C_WrapKey(
		lab->work, &mechanism, root, made, blob, &len) != CKR_OK)
		return false;
	template_bytes(&template, CKA_LABEL, BYTES_STR(LAB_LABEL));
	template_kek_loaded(&template, lab->quirks);
	return lab->p11->C_UnwrapKey(lab->home, &mechanism, root, blob, len,
		   template.attributes, template.count, key_out) == CKR_OK;
}

bool lab_twin(struct lab *lab, enum twin twin, CK_OBJECT_HANDLE *key_out)
{
	switch (twin) {
	case TWIN_SIGN_EC:
		return twin_pair(lab, lab->home, HSM_EC_P256, key_out);
	case TWIN_SIGN_RSA:
		return twin_rsa(lab, key_out);
	case TWIN_WRAP:
	case TWIN_MAC:
	case TWIN_KEK_NEW:
		return twin_secret(lab, twin, key_out);
	case TWIN_KEK:
		return twin_kek(lab, key_out);
	case TWIN_COUNT:
		break;
	}
	abort();
}

/* Sensitive parts by class; a token that has none of that name says so. */
bool lab_reads(struct lab *lab, CK_OBJECT_HANDLE key)
{
	static const CK_ATTRIBUTE_TYPE parts[] = {
	    CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1};
	uint8_t value[1024];
	bool read = false;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CK_ATTRIBUTE part = {parts[i], value, sizeof(value)};
		CK_RV rv =
		    lab->p11->C_GetAttributeValue(lab->work, key, &part, 1);

		read = read || (rv == CKR_OK && part.ulValueLen > 0 &&
				   part.ulValueLen <= sizeof(value));
	}
	OPENSSL_cleanse(value, sizeof(value));
	return read;
}

bool lab_wraps(struct lab *lab, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key,
    struct buf *out, CK_MECHANISM_TYPE *mechanism_out)
{
	uint8_t wrapped[LAB_WRAPPED_MAX];

	for (size_t i = 0; i < lab_wrapping_count; i++) {
		CK_MECHANISM mechanism = lab_mechanism(&lab_wrappings[i]);
		CK_ULONG len = sizeof(wrapped);

		if (!lab_offers(lab, mechanism.mechanism, CKF_WRAP) ||
		    lab->p11->C_WrapKey(lab->work, &mechanism, by, key, wrapped,
			&len) != CKR_OK)
			continue;
		if (out != NULL)
			buf_put(out, wrapped, len);
		if (mechanism_out != NULL)
			*mechanism_out = mechanism.mechanism;
		OPENSSL_cleanse(wrapped, sizeof(wrapped));
		return true;
	}
	return false;
}

bool lab_told(struct lab *lab, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value = 0;
	CK_ATTRIBUTE attribute = {type, &value, sizeof(value)};

	return lab->p11->C_GetAttributeValue(lab->work, key, &attribute, 1) ==
		   CKR_OK &&
	       attribute.ulValueLen == sizeof(value) && value != 0;
}
