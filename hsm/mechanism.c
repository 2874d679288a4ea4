// SPDX-License-Identifier: Apache-2.0
#include "hsm/mechanism.h"

#include <unistd.h>

#include "base/buf.h"
#include "hsm/quirks.h"

static const struct {
	CK_MECHANISM_TYPE type; /* 0: the key wrap of the token's row */
	CK_FLAGS flags;
	const char *name;
	const char *use;
} needed[] = {
    {CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, "CKM_EC_KEY_PAIR_GEN",
	"making signing keys"},
    {CKM_ECDSA, CKF_SIGN, "CKM_ECDSA", "signing"},
    {CKM_AES_KEY_GEN, CKF_GENERATE, "CKM_AES_KEY_GEN", "making KEKs"},
    {0, CKF_WRAP | CKF_UNWRAP, "CKM_AES_KEY_WRAP", "wrapping KEKs"},
    {CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT, "CKM_AES_GCM", "data keys"},
    {CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE, "CKM_GENERIC_SECRET_KEY_GEN",
	"making the MAC key"},
    {CKM_SHA256_HMAC, CKF_SIGN, "CKM_SHA256_HMAC", "MACs of key records"},
};

enum wire_status mechanism_check(
    struct module *module, const char *uri, int fd, struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = module_functions(module);
	struct module_slot slot;
	OWNED_BUF(text);
	enum wire_status status = module_find_token(module, uri, &slot, fault);

	if (status != WIRE_OK)
		return status;
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		CK_MECHANISM_TYPE type = needed[i].type != 0
					     ? needed[i].type
					     : quirks_of(&slot.info)->key_wrap;
		CK_MECHANISM_INFO info = {0};

		if (p11->C_GetMechanismInfo(slot.id, type, &info) != CKR_OK ||
		    (info.flags & needed[i].flags) != needed[i].flags)
			buf_printf(&text, "missing\t%s\t%s\n", needed[i].name,
			    needed[i].use);
	}
	buf_printf(&text, "checked\t%zu\n", ARRAY_LEN(needed));
	if (write(fd, text.data, text.len) != (ssize_t)text.len)
		return fault_set(
		    fault, WIRE_DEVICE_GONE, "nobody reads the answer");
	return WIRE_OK;
}
