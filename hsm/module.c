// SPDX-License-Identifier: Apache-2.0
/* libp11.h names types that OpenSSL 3 declares only with its old interface. */
#undef OPENSSL_NO_DEPRECATED
#include "hsm/module.h"

#include <dlfcn.h>
#include <libp11.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"

#define PIN_MAX 255
#define LABEL_SIZE sizeof(((CK_TOKEN_INFO *)0)->label)

/* functions is initialised as long as the struct exists; slots are libp11's. */
struct module {
	CK_FUNCTION_LIST *functions;
	PKCS11_CTX *context;
	PKCS11_SLOT *slots;
	unsigned slot_count;
};

static enum wire_status load(
    struct module *module, const char *path, struct fault *fault)
{
	/* Never closed, see module_close. */
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get_functions)(CK_FUNCTION_LIST **) = NULL;
	CK_RV rv;

	if (library == NULL)
		return fault_set(fault, WIRE_CONFIG,
		    "PKCS#11 module cannot be loaded: %s", dlerror());
	*(void **)&get_functions = dlsym(library, "C_GetFunctionList");
	if (get_functions == NULL)
		return fault_set(fault, WIRE_CONFIG,
		    "%s is not a PKCS#11 module: no C_GetFunctionList", path);
	rv = get_functions(&module->functions);
	if (rv != CKR_OK)
		return fault_set(fault, WIRE_CONFIG,
		    "%s: C_GetFunctionList: %s", path, ckr_name(rv));
	return WIRE_OK;
}

/* Before libp11 does, which would leave OS locking out; whoever initialised the
 * module before us would also finalise it under us. */
static enum wire_status initialise(struct module *module, struct fault *fault)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	CK_RV rv = module->functions->C_Initialize(&args);

	if (rv == CKR_OK)
		return WIRE_OK;
	return fault_set(fault, WIRE_CONFIG,
	    "the PKCS#11 module does not start: C_Initialize: %s%s",
	    ckr_name(rv),
	    rv == CKR_GENERAL_ERROR
		? " (SoftHSM: does SOFTHSM2_CONF name a file whose "
		  "directories.tokendir exists?)"
		: "");
}

enum wire_status module_open(
    const char *path, struct module **module_out, struct fault *fault)
{
	struct module *module;
	enum wire_status status;

	if (path[0] != '/')
		return fault_set(fault, WIRE_CONFIG,
		    "the PKCS#11 module must be an absolute path, not %s",
		    err_quote_str(path));
	module = mem_zalloc(sizeof(*module));
	status = load(module, path, fault);
	if (status == WIRE_OK)
		status = initialise(module, fault);
	if (status != WIRE_OK) {
		free(module);
		return status;
	}
	module->context = PKCS11_CTX_new();
	if (module->context == NULL ||
	    PKCS11_CTX_load(module->context, path) != 0) {
		module_close(module);
		return fault_set(fault, WIRE_CONFIG,
		    "libp11 does not take the module %s", path);
	}
	*module_out = module;
	return WIRE_OK;
}

static void release_slots(struct module *module)
{
	if (module->slots != NULL)
		PKCS11_release_all_slots(
		    module->context, module->slots, module->slot_count);
	module->slots = NULL;
	module->slot_count = 0;
}

void module_close(struct module *module)
{
	if (module == NULL)
		return;
	release_slots(module);
	if (module->context != NULL)
		PKCS11_CTX_free(module->context);
	(void)module->functions->C_Finalize(NULL);
	free(module);
}

CK_FUNCTION_LIST *module_functions(struct module *module)
{
	return module->functions;
}

/* What a token URI may not hold, each for its reason. */
static const char *uri_excess(P11KitUri *uri)
{
	CK_ULONG count = 0;

	if (p11_kit_uri_get_pin_value(uri) != NULL ||
	    p11_kit_uri_get_pin_source(uri) != NULL)
		return "it holds a PIN; the PIN comes from the PIN file alone";
	if (p11_kit_uri_get_slot_id(uri) != (CK_SLOT_ID)-1)
		return "slot numbers change; name the token by label or serial";
	if (p11_kit_uri_get_module_path(uri) != NULL ||
	    p11_kit_uri_get_module_name(uri) != NULL)
		return "the module is given apart from it";
	(void)p11_kit_uri_get_attributes(uri, &count);
	if (count > 0)
		return "it names an object, not only a token";
	if (p11_kit_uri_any_unrecognized(uri))
		return "it has an attribute that is not known";
	return NULL;
}

static bool names_something(P11KitUri *uri)
{
	const CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(uri);

	return info->label[0] != 0 || info->serialNumber[0] != 0 ||
	       info->manufacturerID[0] != 0 || info->model[0] != 0;
}

static enum wire_status parse_uri(
    const char *text, P11KitUri *uri, struct fault *fault)
{
	int result = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri);
	const char *excess;

	if (result != P11_KIT_URI_OK)
		return fault_set(fault, WIRE_CONFIG, "token URI %s: %s",
		    err_quote_str(text), p11_kit_uri_message(result));
	excess = uri_excess(uri);
	if (excess != NULL) /* not echoed: it may hold a PIN */
		return fault_set(
		    fault, WIRE_CONFIG, "token URI refused: %s", excess);
	if (!names_something(uri))
		return fault_set(fault, WIRE_CONFIG,
		    "token URI %s names no token: give token, serial, "
		    "manufacturer or model",
		    err_quote_str(text));
	return WIRE_OK;
}

static enum wire_status list_slots(struct module *module, struct fault *fault)
{
	release_slots(module);
	if (PKCS11_enumerate_slots(
		module->context, &module->slots, &module->slot_count) != 0)
		return fault_set(fault, WIRE_DEVICE_GONE,
		    "the module does not list its slots");
	return WIRE_OK;
}

/* False when the slot has no token that can be asked. */
static bool slot_read(
    struct module *module, unsigned i, struct module_slot *slot_out)
{
	PKCS11_SLOT *slot = &module->slots[i];

	if (slot->token == NULL)
		return false;
	slot_out->id = PKCS11_get_slotid_from_slot(slot);
	return module->functions->C_GetTokenInfo(
		   slot_out->id, &slot_out->info) == CKR_OK;
}

static bool initialised(const struct module_slot *slot)
{
	return (slot->info.flags & CKF_TOKEN_INITIALIZED) != 0;
}

/* "t1" (serial 0123), "t2" (serial 4567); as much as fits. */
static void note_token(struct buf *seen, const struct module_slot *slot)
{
	size_t label = LABEL_SIZE;
	size_t serial = sizeof(slot->info.serialNumber);

	while (label > 0 && slot->info.label[label - 1] == ' ')
		label--;
	while (serial > 0 && slot->info.serialNumber[serial - 1] == ' ')
		serial--;
	if (seen->len > 200)
		return;
	buf_printf(seen, "%s%s (serial %s)", seen->len > 0 ? ", " : "",
	    err_quote(slot->info.label, label),
	    err_quote(slot->info.serialNumber, serial));
}

static enum wire_status pick(struct module *module, P11KitUri *uri,
    struct module_slot *slot_out, struct fault *fault)
{
	OWNED_BUF(seen);
	OWNED_BUF(matching);
	struct module_slot slot;
	unsigned count = 0;

	for (unsigned i = 0; i < module->slot_count; i++) {
		if (!slot_read(module, i, &slot) || !initialised(&slot))
			continue;
		note_token(&seen, &slot);
		if (!p11_kit_uri_match_token_info(uri, &slot.info))
			continue;
		note_token(&matching, &slot);
		*slot_out = slot;
		count++;
	}
	if (count == 1)
		return WIRE_OK;
	if (count > 1)
		return fault_set(fault, WIRE_CONFIG,
		    "the token URI fits %u tokens, add the serial: %.*s", count,
		    (int)matching.len, (const char *)matching.data);
	if (seen.len == 0)
		return fault_set(
		    fault, WIRE_CONFIG, "the module has no initialised token");
	return fault_set(fault, WIRE_CONFIG,
	    "no token fits the token URI; the module has: %.*s", (int)seen.len,
	    (const char *)seen.data);
}

enum wire_status module_find_token(struct module *module, const char *text,
    struct module_slot *slot_out, struct fault *fault)
{
	P11KitUri *uri = p11_kit_uri_new();
	enum wire_status status = parse_uri(text, uri, fault);

	if (status == WIRE_OK)
		status = list_slots(module, fault);
	if (status == WIRE_OK)
		status = pick(module, uri, slot_out, fault);
	release_slots(module);
	p11_kit_uri_free(uri);
	return status;
}

/* The label as the token keeps it: 32 octets, padded by blanks. */
static enum wire_status pad_label(
    const char *label, uint8_t padded[static LABEL_SIZE], struct fault *fault)
{
	size_t len = strlen(label);

	if (len == 0 || len > LABEL_SIZE || label[len - 1] == ' ' ||
	    !text_is_utf8(BYTES(label, len)))
		return fault_set(fault, WIRE_CONFIG,
		    "a token's label is UTF-8 of 1 to %zu octets that does not "
		    "end with a blank",
		    LABEL_SIZE);
	memset(padded, ' ', LABEL_SIZE);
	memcpy(padded, label, len);
	return WIRE_OK;
}

static enum wire_status find_free(struct module *module,
    const uint8_t label[static LABEL_SIZE], CK_SLOT_ID *slot_out,
    struct fault *fault)
{
	struct module_slot slot;
	bool found = false;

	for (unsigned i = 0; i < module->slot_count; i++) {
		if (!slot_read(module, i, &slot))
			continue;
		if (initialised(&slot)) {
			if (memcmp(slot.info.label, label, LABEL_SIZE) == 0)
				return fault_set(fault, WIRE_EXISTS,
				    "a token with this label exists");
		} else if (!found) {
			*slot_out = slot.id;
			found = true;
		}
	}
	if (!found)
		return fault_set(fault, WIRE_CONFIG,
		    "the module has no slot with an uninitialised token");
	return WIRE_OK;
}

/* libp11's PKCS11_init_token reads past a short label, wants its PINs as C
 * strings, and its login keeps a copy of the SO PIN: so the functions direct.
 */
static enum wire_status set_user_pin(struct module *module, CK_SLOT_ID slot,
    struct secret *so_pin, struct secret *pin, struct fault *fault)
{
	CK_FUNCTION_LIST *p11 = module->functions;
	CK_SESSION_HANDLE session;
	CK_RV rv = p11->C_OpenSession(
	    slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);

	if (rv != CKR_OK)
		return fault_ckr(fault, "C_OpenSession", rv);
	rv = p11->C_Login(
	    session, CKU_SO, secret_data(so_pin), secret_len(so_pin));
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_Login of the SO", rv);
	rv = p11->C_InitPIN(session, secret_data(pin), secret_len(pin));
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_InitPIN", rv);
	(void)p11->C_Logout(session);
	(void)p11->C_CloseSession(session);
	return WIRE_OK;
}

static enum wire_status slot_of_label(struct module *module,
    const uint8_t label[static LABEL_SIZE], CK_SLOT_ID *slot_out,
    struct fault *fault)
{
	struct module_slot slot;
	enum wire_status status = list_slots(module, fault);

	if (status != WIRE_OK)
		return status;
	for (unsigned i = 0; i < module->slot_count; i++)
		if (slot_read(module, i, &slot) && initialised(&slot) &&
		    memcmp(slot.info.label, label, LABEL_SIZE) == 0) {
			*slot_out = slot.id;
			return WIRE_OK;
		}
	return fault_set(fault, WIRE_REFUSED, "the new token is not listed");
}

static enum wire_status read_pin(
    const char *path, struct secret **pin_out, struct fault *fault)
{
	struct err err = {0};

	if (secret_from_file(path, PIN_MAX, pin_out, &err) != ERR_OK)
		return fault_set(fault, WIRE_CONFIG, "PIN file: %s",
		    err.detail[0] != '\0' ? err.detail : err.cause);
	return WIRE_OK;
}

static enum wire_status init_with_pins(struct module *module,
    uint8_t label[static LABEL_SIZE], struct secret *so_pin, struct secret *pin,
    struct fault *fault)
{
	CK_SLOT_ID slot = 0;
	enum wire_status status = list_slots(module, fault);
	CK_RV rv;

	if (status == WIRE_OK)
		status = find_free(module, label, &slot, fault);
	if (status != WIRE_OK)
		return status;
	rv = module->functions->C_InitToken(
	    slot, secret_data(so_pin), secret_len(so_pin), label);
	if (rv != CKR_OK)
		return fault_ckr(fault, "C_InitToken", rv);
	/* SoftHSM has given the token another slot. */
	status = slot_of_label(module, label, &slot, fault);
	if (status != WIRE_OK)
		return status;
	return set_user_pin(module, slot, so_pin, pin, fault);
}

enum wire_status module_init_token(
    struct module *module, const struct module_init *init, struct fault *fault)
{
	OWNED(secret) so_pin = NULL;
	OWNED(secret) pin = NULL;
	uint8_t label[LABEL_SIZE];
	enum wire_status status = pad_label(init->label, label, fault);

	if (status == WIRE_OK)
		status = read_pin(init->so_pin_file, &so_pin, fault);
	if (status == WIRE_OK)
		status = read_pin(init->pin_file, &pin, fault);
	if (status == WIRE_OK)
		status = init_with_pins(module, label, so_pin, pin, fault);
	release_slots(module);
	return status;
}
