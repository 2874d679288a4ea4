// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/any_token.h"

#include <string.h>

struct token {
	CK_FUNCTION_LIST functions;
	CK_TOKEN_INFO info;
	struct reader tape;
	uint64_t epoch;
};

static struct token the;

static CK_RV outcome(void)
{
	static const CK_RV failures[] = {CKR_GENERAL_ERROR,
	    CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED,
	    CKR_ENCRYPTED_DATA_INVALID, CKR_BUFFER_TOO_SMALL,
	    CKR_PIN_INCORRECT, CKR_FUNCTION_FAILED, CKR_KEY_HANDLE_INVALID};
	uint8_t said = reader_u8(&the.tape);

	return said < ANY_TOKEN_FAILS ? CKR_OK
				      : failures[said % ARRAY_LEN(failures)];
}

static void say(void *out, size_t len)
{
	size_t known = the.tape.left < len ? the.tape.left : len;

	memset(out, 0, len);
	reader_copy(&the.tape, out, known);
}

/* Octets of a length that the tape says. */
static CK_RV say_octets(void *out, CK_ULONG *len)
{
	CK_ULONG said = reader_u16(&the.tape);
	bool fits = said <= *len;

	if (fits)
		say(out, said);
	*len = said;
	return fits ? CKR_OK : CKR_BUFFER_TOO_SMALL;
}

static CK_RV say_attribute(CK_ATTRIBUTE *attribute)
{
	CK_ULONG number;

	/* Flags and numbers as one octet, to be met by chance. */
	if (attribute->ulValueLen != sizeof(CK_BBOOL) &&
	    attribute->ulValueLen != sizeof(CK_ULONG))
		return say_octets(attribute->pValue, &attribute->ulValueLen);
	number = reader_u8(&the.tape);
	if (number == 0xff) {
		attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_TYPE_INVALID;
	}
	if (attribute->ulValueLen == sizeof(number))
		memcpy(attribute->pValue, &number, sizeof(number));
	else
		*(CK_BBOOL *)attribute->pValue = (CK_BBOOL)number;
	return CKR_OK;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session UNUSED,
    CK_OBJECT_HANDLE object UNUSED, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	CK_RV rv = outcome();

	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++)
		rv = say_attribute(&attributes[i]);
	return rv;
}

static CK_RV find_begin(CK_SESSION_HANDLE session UNUSED,
    CK_ATTRIBUTE_PTR wanted UNUSED, CK_ULONG count UNUSED)
{
	return outcome();
}

static CK_RV find(CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE_PTR out,
    CK_ULONG max, CK_ULONG_PTR count_out)
{
	CK_RV rv = outcome();
	CK_ULONG count = reader_u8(&the.tape);

	for (CK_ULONG i = 0; i < count && i < max; i++)
		out[i] = i + 1;
	*count_out = count;	/* more than MAX is a lie that may be told */
	return rv;
}

static CK_RV plain(CK_SESSION_HANDLE session UNUSED)
{
	return outcome();
}

static CK_RV on_object(
    CK_SESSION_HANDLE session UNUSED, CK_OBJECT_HANDLE object UNUSED)
{
	return outcome();
}

static CK_RV copy(CK_SESSION_HANDLE session UNUSED,
    CK_OBJECT_HANDLE object UNUSED, CK_ATTRIBUTE_PTR attributes UNUSED,
    CK_ULONG count UNUSED, CK_OBJECT_HANDLE_PTR out)
{
	*out = 7;
	return outcome();
}

static CK_RV begin(CK_SESSION_HANDLE session UNUSED,
    CK_MECHANISM_PTR mechanism UNUSED, CK_OBJECT_HANDLE key UNUSED)
{
	return outcome();
}

/* C_Sign, C_Encrypt and C_Decrypt. */
static CK_RV transform(CK_SESSION_HANDLE session UNUSED, CK_BYTE_PTR in UNUSED,
    CK_ULONG in_len UNUSED, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	CK_RV rv = outcome();

	return rv == CKR_OK ? say_octets(out, len) : rv;
}

static CK_RV generate(CK_SESSION_HANDLE session UNUSED,
    CK_MECHANISM_PTR mechanism UNUSED, CK_ATTRIBUTE_PTR attributes UNUSED,
    CK_ULONG count UNUSED, CK_OBJECT_HANDLE_PTR out)
{
	*out = 8;
	return outcome();
}

static CK_RV generate_pair(CK_SESSION_HANDLE session,
    CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG public_count,
    CK_ATTRIBUTE_PTR private UNUSED, CK_ULONG private_count UNUSED,
    CK_OBJECT_HANDLE_PTR public_out, CK_OBJECT_HANDLE_PTR private_out)
{
	*private_out = 9;
	return generate(session, mechanism, public, public_count, public_out);
}

static CK_RV wrap(CK_SESSION_HANDLE session UNUSED,
    CK_MECHANISM_PTR mechanism UNUSED, CK_OBJECT_HANDLE wrapping UNUSED,
    CK_OBJECT_HANDLE key UNUSED, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	return transform(session, NULL, 0, out, len);
}

static CK_RV unwrap(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism,
    CK_OBJECT_HANDLE wrapping UNUSED, CK_BYTE_PTR wrapped UNUSED,
    CK_ULONG len UNUSED, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
    CK_OBJECT_HANDLE_PTR out)
{
	return generate(session, mechanism, attributes, count, out);
}

static CK_RV draw(
    CK_SESSION_HANDLE session UNUSED, CK_BYTE_PTR out, CK_ULONG len)
{
	memset(out, 0x5a, len);	/* too much to be read from the tape */
	return outcome();
}

struct token *any_token(struct bytes tape)
{
	the = (struct token){.tape = reader_over(tape)};
	the.functions.C_GetAttributeValue = get_attributes;
	the.functions.C_FindObjectsInit = find_begin;
	the.functions.C_FindObjects = find;
	the.functions.C_FindObjectsFinal = plain;
	the.functions.C_DestroyObject = on_object;
	the.functions.C_CopyObject = copy;
	the.functions.C_SignInit = begin;
	the.functions.C_Sign = transform;
	the.functions.C_EncryptInit = begin;
	the.functions.C_Encrypt = transform;
	the.functions.C_DecryptInit = begin;
	the.functions.C_Decrypt = transform;
	the.functions.C_GenerateKey = generate;
	the.functions.C_GenerateKeyPair = generate_pair;
	the.functions.C_WrapKey = wrap;
	the.functions.C_UnwrapKey = unwrap;
	the.functions.C_GenerateRandom = draw;
	memset(&the.info, ' ', sizeof(the.info));
	memcpy(the.info.label, "test", 4);
	return &the;
}

CK_FUNCTION_LIST *token_functions(struct token *token)
{
	return &token->functions;
}

CK_SESSION_HANDLE token_owner(struct token *token UNUSED)
{
	return 1;
}

CK_SESSION_HANDLE token_session(struct token *token UNUSED)
{
	return 2;
}

const struct quirks *token_quirks(const struct token *token)
{
	return quirks_of(&token->info);
}

const CK_TOKEN_INFO *token_info(const struct token *token)
{
	return &token->info;
}

uint64_t token_epoch(const struct token *token)
{
	return token->epoch;
}

bool token_renew(struct token *token UNUSED)
{
	return outcome() == CKR_OK;
}

bool token_healthy(struct token *token UNUSED)
{
	return outcome() == CKR_OK;
}

enum wire_status token_recover(struct token *token, struct fault *fault)
{
	CK_RV rv = outcome();

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_OpenSession", rv);
	token->epoch++;
	return WIRE_OK;
}
