// SPDX-License-Identifier: Apache-2.0
#include "hsm/sign.h"

#include <string.h>

#define HMAC_SIZE 32

static enum wire_status run(struct token *token, CK_MECHANISM *mechanism,
    const struct key *key, struct bytes data, struct signature *out,
    struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = token_functions(token);
	CK_SESSION_HANDLE session = token_session(token);
	CK_ULONG len = sizeof(out->data);
	uint8_t nothing[1] = {0};
	union {
		const uint8_t *read;
		CK_BYTE_PTR write; /* PKCS#11 does not know const */
	} from = {.read = data.len > 0 ? data.data : nothing};
	CK_RV rv = p11->C_SignInit(session, mechanism, key->handle);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_SignInit", rv);
	rv = p11->C_Sign(session, from.write, data.len, out->data, &len);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_Sign", rv);
	out->len = len;
	return WIRE_OK;
}

static enum wire_status check_length(
    const struct signature *signature, size_t wanted, struct fault *fault)
{
	if (signature->len == wanted)
		return WIRE_OK;
	return fault_set(fault, WIRE_REFUSED, "C_Sign gave %zu octets, not %zu",
	    signature->len, wanted);
}

static enum wire_status refuse_length(struct bytes data, struct fault *fault)
{
	return fault_set(fault, WIRE_BAD_REQUEST,
	    "%zu octets are no digest for this mechanism", data.len);
}

static enum wire_status sign_ecdsa(struct token *token, const struct key *key,
    struct bytes data, struct signature *out, struct fault *fault)
{
	CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
	enum wire_status status;

	if (data.len != 32 && data.len != 48)
		return refuse_length(data, fault);
	status = run(token, &mechanism, key, data, out, fault);
	if (status != WIRE_OK)
		return status;
	return check_length(out, (size_t)key->bits / 8 * 2, fault);
}

/* DigestInfo of SHA-256, SHA-384 or SHA-512, as in the notes of RFC 8017 9.2:
 * only the algorithm's last octet and two lengths differ. */
static bool is_digest_info(struct bytes data)
{
	static const struct {
		uint8_t algorithm;
		uint8_t len;
	} digests[] = {{1, 32}, {2, 48}, {3, 64}};

	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		const uint8_t head[] = {0x30, (uint8_t)(digests[i].len + 17),
		    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
		    0x04, 0x02, digests[i].algorithm, 0x05, 0x00, 0x04,
		    digests[i].len};

		if (data.len == sizeof(head) + digests[i].len &&
		    memcmp(data.data, head, sizeof(head)) == 0)
			return true;
	}
	return false;
}

static enum wire_status sign_pkcs1(struct token *token, const struct key *key,
    struct bytes data, struct signature *out, struct fault *fault)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	enum wire_status status;

	if (!is_digest_info(data))
		return fault_set(fault, WIRE_BAD_REQUEST,
		    "data are no DigestInfo of SHA-256, SHA-384 or SHA-512");
	status = run(token, &mechanism, key, data, out, fault);
	if (status != WIRE_OK)
		return status;
	return check_length(out, key->bits / 8, fault);
}

static enum wire_status sign_pss(struct token *token, const struct key *key,
    CK_RSA_PKCS_PSS_PARAMS params, struct bytes data, struct signature *out,
    struct fault *fault)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS_PSS, &params, sizeof(params)};
	enum wire_status status;

	if (data.len != params.sLen)
		return refuse_length(data, fault);
	status = run(token, &mechanism, key, data, out, fault);
	if (status != WIRE_OK)
		return status;
	return check_length(out, key->bits / 8, fault);
}

enum wire_status sign_data(struct token *token, const struct key *key,
    uint8_t mechanism, struct bytes data, struct signature *signature_out,
    struct fault *fault)
{
	static const CK_RSA_PKCS_PSS_PARAMS pss256 = {
	    CKM_SHA256, CKG_MGF1_SHA256, 32};
	static const CK_RSA_PKCS_PSS_PARAMS pss384 = {
	    CKM_SHA384, CKG_MGF1_SHA384, 48};

	if (mechanism < HSM_ECDSA || mechanism > HSM_RSA_PSS_SHA384)
		return fault_set(fault, WIRE_BAD_REQUEST,
		    "mechanism %u is not known", mechanism);
	if ((mechanism == HSM_ECDSA) != (key->type == CKK_EC))
		return fault_set(fault, WIRE_REFUSED,
		    "the mechanism is not one of the key's type");
	if (key->bits == 0 || key->bits > 4096)
		return fault_set(
		    fault, WIRE_REFUSED, "keys of this size are not used");
	if (mechanism == HSM_ECDSA)
		return sign_ecdsa(token, key, data, signature_out, fault);
	if (mechanism == HSM_RSA_PKCS1)
		return sign_pkcs1(token, key, data, signature_out, fault);
	return sign_pss(token, key,
	    mechanism == HSM_RSA_PSS_SHA256 ? pss256 : pss384, data,
	    signature_out, fault);
}

enum wire_status sign_hmac(struct token *token, const struct key *key,
    struct bytes data, struct signature *mac_out, struct fault *fault)
{
	CK_MECHANISM mechanism = {CKM_SHA256_HMAC, NULL, 0};
	enum wire_status status =
	    run(token, &mechanism, key, data, mac_out, fault);

	if (status != WIRE_OK)
		return status;
	return check_length(mac_out, HMAC_SIZE, fault);
}
