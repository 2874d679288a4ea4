// SPDX-License-Identifier: Apache-2.0
#include "hsm/item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/rule.h"

static const struct {
	CK_ATTRIBUTE_TYPE type;
	uint32_t bit;
} flags[] = {
    {CKA_TOKEN, HSM_ATTR_TOKEN},
    {CKA_PRIVATE, HSM_ATTR_PRIVATE},
    {CKA_SENSITIVE, HSM_ATTR_SENSITIVE},
    {CKA_ALWAYS_SENSITIVE, HSM_ATTR_ALWAYS_SENSITIVE},
    {CKA_EXTRACTABLE, HSM_ATTR_EXTRACTABLE},
    {CKA_NEVER_EXTRACTABLE, HSM_ATTR_NEVER_EXTRACTABLE},
    {CKA_MODIFIABLE, HSM_ATTR_MODIFIABLE},
    {CKA_LOCAL, HSM_ATTR_LOCAL},
    {CKA_SIGN, HSM_ATTR_SIGN},
    {CKA_VERIFY, HSM_ATTR_VERIFY},
    {CKA_ENCRYPT, HSM_ATTR_ENCRYPT},
    {CKA_DECRYPT, HSM_ATTR_DECRYPT},
    {CKA_WRAP, HSM_ATTR_WRAP},
    {CKA_UNWRAP, HSM_ATTR_UNWRAP},
    {CKA_DERIVE, HSM_ATTR_DERIVE},
};

static enum wire_status find_begun(struct token *token,
    CK_OBJECT_HANDLE *handles, size_t max, size_t *count_out,
    struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(token);
	CK_ULONG got = 0;
	size_t count = 0;

	do {
		CK_RV rv = p11->C_FindObjects(
		    token_session(token), handles + count, max - count, &got);
		if (rv != CKR_OK)
			return fault_ckr(fault, "C_FindObjects", rv);
		if (got > max - count)
			return fault_set(fault, WIRE_REFUSED,
			    "C_FindObjects gives more than was asked");
		count += got;
	} while (got > 0 && count < max);
	*count_out = count;
	return WIRE_OK;
}

enum wire_status item_find(struct token *token, struct template *wanted,
    CK_OBJECT_HANDLE *handles, size_t max, size_t *count_out,
    struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(token);
	enum wire_status status;
	CK_RV rv = p11->C_FindObjectsInit(
	    token_session(token), wanted->attributes, wanted->count);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_FindObjectsInit", rv);
	status = find_begun(token, handles, max, count_out, fault);
	if (status != WIRE_OK)
		return status;
	rv = p11->C_FindObjectsFinal(token_session(token));
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_FindObjectsFinal", rv);
	return WIRE_OK;
}

enum wire_status item_attribute(struct token *token, CK_OBJECT_HANDLE handle,
    CK_ATTRIBUTE *attribute, struct fault *fault)
{
	CK_ULONG room = attribute->ulValueLen;
	CK_RV rv = token_functions(token)->C_GetAttributeValue(
	    token_session(token), handle, attribute, 1);

	if (rv == CKR_OK && attribute->ulValueLen <= room)
		return WIRE_OK;
	attribute->ulValueLen = 0;
	/* A token's way of saying "not that one"; SoftHSM says GENERAL_ERROR
	 * for private objects when the login is lost. */
	if (rv == CKR_OK || ckr_trouble(rv) == TROUBLE_CALLER)
		return WIRE_OK;
	return fault_ckr(fault, "C_GetAttributeValue", rv);
}

static enum wire_status read_number(struct token *token,
    CK_OBJECT_HANDLE handle, CK_ATTRIBUTE_TYPE type, CK_ULONG *number_out,
    struct fault *fault)
{
	CK_ULONG value = 0;
	CK_ATTRIBUTE attribute = {type, &value, sizeof(value)};
	enum wire_status status =
	    item_attribute(token, handle, &attribute, fault);

	*number_out = attribute.ulValueLen == sizeof(value)
			  ? value
			  : CK_UNAVAILABLE_INFORMATION;
	return status;
}

static enum wire_status read_flags(
    struct token *token, struct item *item, struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		CK_BBOOL value = 0;
		CK_ATTRIBUTE attribute = {flags[i].type, &value, sizeof(value)};
		enum wire_status status =
		    item_attribute(token, item->handle, &attribute, fault);

		if (status != WIRE_OK)
			return status;
		if (attribute.ulValueLen != sizeof(value))
			item->unknown |= flags[i].bit;
		else if (value != 0)
			item->attributes |= flags[i].bit;
	}
	return WIRE_OK;
}

static enum wire_status read_name(
    struct token *token, struct item *item, struct fault *fault)
{
	CK_ATTRIBUTE id = {CKA_ID, item->id, sizeof(item->id)};
	CK_ATTRIBUTE label = {CKA_LABEL, item->label, ITEM_LABEL_MAX};
	enum wire_status status =
	    item_attribute(token, item->handle, &id, fault);

	if (status == WIRE_OK)
		status = item_attribute(token, item->handle, &label, fault);
	if (status != WIRE_OK)
		return status;
	item->id_len = id.ulValueLen;
	item->label[label.ulValueLen] = '\0';
	return WIRE_OK;
}

static enum wire_status read_ec_type(
    struct token *token, struct item *item, struct fault *fault)
{
	static const struct {
		enum hsm_key_type type;
		unsigned bits;
	} curves[] = {{HSM_EC_P256, 256}, {HSM_EC_P384, 384}};
	uint8_t params[256];
	CK_ATTRIBUTE attribute = {CKA_EC_PARAMS, params, sizeof(params)};
	enum wire_status status =
	    item_attribute(token, item->handle, &attribute, fault);

	if (status != WIRE_OK)
		return status;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (bytes_equal(BYTES(params, attribute.ulValueLen),
			template_curve(curves[i].type)))
			item->bits = curves[i].bits;
	if (item->bits != 0)
		(void)snprintf(item->type_text, sizeof(item->type_text),
		    "ec-p%u", item->bits);
	else
		(void)snprintf(
		    item->type_text, sizeof(item->type_text), "ec-other");
	return WIRE_OK;
}

static enum wire_status read_rsa_type(
    struct token *token, struct item *item, struct fault *fault)
{
	uint8_t modulus[2048];
	CK_ATTRIBUTE attribute = {CKA_MODULUS, modulus, sizeof(modulus)};
	enum wire_status status =
	    item_attribute(token, item->handle, &attribute, fault);

	if (status != WIRE_OK)
		return status;
	item->bits = (unsigned)attribute.ulValueLen * 8;
	(void)snprintf(
	    item->type_text, sizeof(item->type_text), "rsa-%u", item->bits);
	return WIRE_OK;
}

static enum wire_status read_secret_type(struct token *token, struct item *item,
    const char *name, struct fault *fault)
{
	CK_ULONG len = 0;
	enum wire_status status =
	    read_number(token, item->handle, CKA_VALUE_LEN, &len, fault);

	if (status != WIRE_OK)
		return status;
	if (len != CK_UNAVAILABLE_INFORMATION && len <= 1024)
		item->bits = (unsigned)len * 8;
	(void)snprintf(item->type_text, sizeof(item->type_text), "%s-%u", name,
	    item->bits);
	return WIRE_OK;
}

static bool is_key(const struct item *item)
{
	return item->class == CKO_PRIVATE_KEY ||
	       item->class == CKO_PUBLIC_KEY || item->class == CKO_SECRET_KEY;
}

static enum wire_status read_type(
    struct token *token, struct item *item, struct fault *fault)
{
	enum wire_status status;

	if (!is_key(item))
		return WIRE_OK;
	status = read_number(
	    token, item->handle, CKA_KEY_TYPE, &item->key_type, fault);
	if (status != WIRE_OK)
		return status;
	if (item->key_type == CKK_EC)
		return read_ec_type(token, item, fault);
	if (item->key_type == CKK_RSA)
		return read_rsa_type(token, item, fault);
	if (item->key_type == CKK_AES)
		return read_secret_type(token, item, "aes", fault);
	if (item->key_type == CKK_GENERIC_SECRET)
		return read_secret_type(token, item, "generic", fault);
	(void)snprintf(item->type_text, sizeof(item->type_text), "other-0x%lx",
	    item->key_type);
	return WIRE_OK;
}

enum wire_status item_read(struct token *token, CK_OBJECT_HANDLE handle,
    struct item *item_out, struct fault *fault)
{
	enum wire_status status;

	*item_out = (struct item){.handle = handle};
	status = read_number(token, handle, CKA_CLASS, &item_out->class, fault);
	/* The rule for keys goes by the class. */
	if (status == WIRE_OK && item_out->class == CK_UNAVAILABLE_INFORMATION)
		return fault_set(fault, WIRE_REFUSED,
		    "the token does not tell an object's class");
	if (status == WIRE_OK)
		status = read_name(token, item_out, fault);
	if (status == WIRE_OK)
		status = read_type(token, item_out, fault);
	if (status == WIRE_OK)
		status = read_flags(token, item_out, fault);
	return status;
}

const char *item_kind(const struct item *item)
{
	switch (item->class) {
	case CKO_PRIVATE_KEY:
		return "private";
	case CKO_PUBLIC_KEY:
		return "public";
	case CKO_SECRET_KEY:
		return "secret-key";
	case CKO_CERTIFICATE:
		return "cert";
	case CKO_DATA:
		return "data";
	default:
		return "other";
	}
}

const char *item_unsafe(const struct item *item)
{
	return rule_broken(item_kind(item), item->attributes, item->unknown);
}

/* The token's label alone tells the token: it goes with a token that is cloned
 * onto another device for recovery, a serial does not. */
char *item_uri(const struct token *token, const struct item *item)
{
	P11KitUri *uri = p11_kit_uri_new();
	struct item copy = *item;
	CK_ATTRIBUTE class = {CKA_CLASS, &copy.class, sizeof(copy.class)};
	CK_ATTRIBUTE id = {CKA_ID, copy.id, copy.id_len};
	CK_ATTRIBUTE label = {CKA_LABEL, copy.label, strlen(copy.label)};
	CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(uri);
	char *text = NULL;

	memcpy(info->label, token_info(token)->label, sizeof(info->label));
	if (p11_kit_uri_set_attribute(uri, &class) != P11_KIT_URI_OK ||
	    (id.ulValueLen > 0 &&
		p11_kit_uri_set_attribute(uri, &id) != P11_KIT_URI_OK) ||
	    (label.ulValueLen > 0 &&
		p11_kit_uri_set_attribute(uri, &label) != P11_KIT_URI_OK) ||
	    p11_kit_uri_format(uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) !=
		P11_KIT_URI_OK)
		abort(); /* only for want of memory */
	p11_kit_uri_free(uri);
	return text;
}

void item_write(
    const struct token *token, const struct item *item, struct buf *out)
{
	OWNED_STR(uri) = item_uri(token, item);
	size_t id_len = item->id_len < 32 ? item->id_len : 32;

	buf_put_lv_str(out, uri);
	buf_put_lv_str(out, item->label);
	buf_put_lv_str(out, item_kind(item));
	buf_put_lv_str(out, item->type_text);
	buf_put_lv(out, BYTES(item->id, id_len));
	buf_put_u32(out, item->attributes);
	buf_put_u32(out, item->unknown);
}
