// SPDX-License-Identifier: Apache-2.0
#include "hsm/generate.h"

#include <string.h>

#include "base/text.h"
#include "hsm/spki.h"

#define ID_SIZE 16

/* A public key is none for a secret key. */
struct made {
	CK_OBJECT_HANDLE key;
	CK_OBJECT_HANDLE public;
};

static enum wire_status count_label(const struct generate *generate,
    CK_OBJECT_CLASS class, size_t *count_out, struct fault *fault)
{
	CK_OBJECT_HANDLE handles[2];
	struct template wanted = {.count = 0};

	template_bool(&wanted, CKA_TOKEN, true);
	template_number(&wanted, CKA_CLASS, class);
	template_bytes(&wanted, CKA_LABEL, generate->label);
	return item_find(generate->token, &wanted, handles, ARRAY_LEN(handles),
	    count_out, fault);
}

static enum wire_status check_label(
    const struct generate *generate, struct fault *fault)
{
	static const CK_OBJECT_CLASS classes[] = {
	    CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY};
	struct bytes label = generate->label;

	if (label.len == 0 || label.len > GENERATE_LABEL_MAX ||
	    memchr(label.data, 0, label.len) != NULL || !text_is_utf8(label))
		return fault_set(fault, WIRE_BAD_REQUEST,
		    "a label is UTF-8 of 1 to %d octets", GENERATE_LABEL_MAX);
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		size_t count = 0;
		enum wire_status status =
		    count_label(generate, classes[i], &count, fault);

		if (status != WIRE_OK)
			return status;
		if (count > 0)
			return fault_set(fault, WIRE_EXISTS,
			    "label %s is in use in the token",
			    err_quote(label.data, label.len));
	}
	return WIRE_OK;
}

/* Two workers that make the same label at once both see it here. */
static enum wire_status check_alone(
    const struct generate *generate, CK_OBJECT_CLASS class, struct fault *fault)
{
	size_t count = 0;
	enum wire_status status = count_label(generate, class, &count, fault);

	if (status == WIRE_OK && count != 1)
		return fault_set(fault, WIRE_EXISTS,
		    "another key of this label was made meanwhile");
	return status;
}

static void destroy(const struct generate *generate, const struct made *made)
{
	CK_FUNCTION_LIST *p11 = token_functions(generate->token);
	CK_SESSION_HANDLE session;

	/* What failed may have left the session in the middle. */
	if (!token_renew(generate->token))
		return;
	session = token_session(generate->token);
	if (made->key != 0)
		(void)p11->C_DestroyObject(session, made->key);
	if (made->public != 0)
		(void)p11->C_DestroyObject(session, made->public);
}

/* Tokens have been seen to ignore what a template asks. */
static enum wire_status check_made(const struct item *object, struct bytes id,
    uint32_t uses, struct fault *fault)
{
	const char *unsafe = item_unsafe(object);

	if (unsafe != NULL)
		return fault_set(
		    fault, WIRE_UNSAFE, "the key just made %s", unsafe);
	if ((object->attributes & uses) != uses ||
	    (object->attributes & HSM_ATTR_TOKEN) == 0 ||
	    (object->attributes & HSM_ATTR_LOCAL) == 0)
		return fault_set(fault, WIRE_UNSAFE,
		    "the key just made lacks an attribute that was asked");
	if (!bytes_equal(BYTES(object->id, object->id_len), id))
		return fault_set(
		    fault, WIRE_UNSAFE, "the key just made has another CKA_ID");
	return WIRE_OK;
}

static enum wire_status read_spki(struct token *token, CK_OBJECT_HANDLE public,
    enum hsm_key_type type, struct buf *spki, struct fault *fault)
{
	uint8_t first[2048];
	uint8_t second[64];
	CK_ATTRIBUTE point = {CKA_EC_POINT, first, sizeof(first)};
	CK_ATTRIBUTE modulus = {CKA_MODULUS, first, sizeof(first)};
	CK_ATTRIBUTE exponent = {CKA_PUBLIC_EXPONENT, second, sizeof(second)};
	struct err err = {0};
	enum wire_status status;
	enum err_code code;

	if (template_curve(type).len > 0) {
		status = item_attribute(token, public, &point, fault);
		if (status != WIRE_OK)
			return status;
		code = spki_from_point(
		    type, BYTES(first, point.ulValueLen), spki, &err);
	} else {
		status = item_attribute(token, public, &modulus, fault);
		if (status == WIRE_OK)
			status =
			    item_attribute(token, public, &exponent, fault);
		if (status != WIRE_OK)
			return status;
		code = spki_from_modulus(type, BYTES(first, modulus.ulValueLen),
		    BYTES(second, exponent.ulValueLen), spki, &err);
	}
	if (code != ERR_OK)
		return fault_set(
		    fault, WIRE_UNSAFE, "the key just made: %s", err.cause);
	return WIRE_OK;
}

static enum wire_status make_durable(
    const struct generate *generate, struct fault *fault)
{
	const struct quirks *quirks = token_quirks(generate->token);

	if (quirks->make_durable == NULL || quirks->make_durable())
		return WIRE_OK;
	return fault_set(fault, WIRE_REFUSED,
	    "the token's directory does not sync, the key would not last");
}

static enum wire_status verify_pair(const struct generate *generate,
    const struct made *made, enum hsm_key_type type, struct bytes id,
    struct item *object_out, struct buf *spki, struct fault *fault)
{
	enum wire_status status =
	    item_read(generate->token, made->key, object_out, fault);

	if (status == WIRE_OK)
		status = check_made(object_out, id, HSM_ATTR_SIGN, fault);
	if (status == WIRE_OK)
		status = check_alone(generate, CKO_PRIVATE_KEY, fault);
	if (status == WIRE_OK)
		status =
		    read_spki(generate->token, made->public, type, spki, fault);
	if (status == WIRE_OK)
		status = make_durable(generate, fault);
	return status;
}

static enum wire_status begin(const struct generate *generate,
    uint8_t id[static ID_SIZE], struct fault *fault)
{
	enum wire_status status = check_label(generate, fault);

	if (status != WIRE_OK)
		return status;
	return entropy_draw(generate->entropy, id, ID_SIZE, fault);
}

/* The outcome of a generation that failed half way is not known. */
static enum wire_status unknown_outcome(
    struct fault *fault, const char *function, CK_RV rv)
{
	enum wire_status status = fault_ckr(fault, function, rv);

	if (fault->trouble == TROUBLE_SESSION ||
	    fault->trouble == TROUBLE_UNSURE)
		(void)strncat(fault->text,
		    "; not tried again, the key may have been made",
		    sizeof(fault->text) - strlen(fault->text) - 1);
	return status;
}

enum wire_status generate_pair(const struct generate *generate,
    enum hsm_key_type type, char **uri_out, struct buf *spki,
    struct fault *fault)
{
	const struct quirks *quirks = token_quirks(generate->token);
	const bool ec = template_curve(type).len > 0;
	CK_MECHANISM mechanism = {
	    ec ? CKM_EC_KEY_PAIR_GEN : CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
	struct template private = {.count = 0};
	struct template public = {.count = 0};
	struct made made = {0, 0};
	struct item object;
	uint8_t id[ID_SIZE];
	const struct template_name name = {BYTES_OF(id), generate->label};
	const size_t mark = spki->len;
	enum wire_status status = begin(generate, id, fault);
	CK_RV rv;

	if (status != WIRE_OK)
		return status;
	template_private(&private, type, &name, quirks);
	template_public(&public, type, &name, quirks);
	rv = token_functions(generate->token)
		 ->C_GenerateKeyPair(token_session(generate->token), &mechanism,
		     public.attributes, public.count, private.attributes,
		     private.count, &made.public, &made.key);
	if (rv != CKR_OK)
		return unknown_outcome(fault, "C_GenerateKeyPair", rv);
	status =
	    verify_pair(generate, &made, type, name.id, &object, spki, fault);
	if (status != WIRE_OK) {
		spki->len = mark;
		destroy(generate, &made);
		return status;
	}
	*uri_out = item_uri(generate->token, &object);
	return WIRE_OK;
}

enum wire_status generate_secret(const struct generate *generate,
    enum hsm_secret_use use, char **uri_out, struct fault *fault)
{
	const bool wraps = use == HSM_USE_WRAP;
	CK_MECHANISM mechanism = {
	    wraps ? CKM_AES_KEY_GEN : CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
	struct template template = {.count = 0};
	struct made made = {0, 0};
	struct item object;
	uint8_t id[ID_SIZE];
	const struct template_name name = {BYTES_OF(id), generate->label};
	enum wire_status status = begin(generate, id, fault);
	CK_RV rv;

	if (status != WIRE_OK)
		return status;
	template_secret(&template, use, &name, token_quirks(generate->token));
	rv = token_functions(generate->token)
		 ->C_GenerateKey(token_session(generate->token), &mechanism,
		     template.attributes, template.count, &made.key);
	if (rv != CKR_OK)
		return unknown_outcome(fault, "C_GenerateKey", rv);
	status = item_read(generate->token, made.key, &object, fault);
	if (status == WIRE_OK)
		status = check_made(&object, name.id,
		    wraps ? HSM_ATTR_WRAP | HSM_ATTR_UNWRAP : HSM_ATTR_SIGN,
		    fault);
	if (status == WIRE_OK)
		status = check_alone(generate, CKO_SECRET_KEY, fault);
	if (status == WIRE_OK)
		status = make_durable(generate, fault);
	if (status != WIRE_OK) {
		destroy(generate, &made);
		return status;
	}
	*uri_out = item_uri(generate->token, &object);
	return WIRE_OK;
}
