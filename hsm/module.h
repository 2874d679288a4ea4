// SPDX-License-Identifier: Apache-2.0
/* The PKCS#11 module: loaded and initialised once, never unloaded.  libp11
 * keeps the list of slots; every operation goes to the module's function list.
 */
#ifndef HSM_MODULE_H
#define HSM_MODULE_H

#include <p11-kit/uri.h>
#include "hsm/fault.h"

struct module;

/* PATH is absolute.  Errors: WIRE_CONFIG. */
MUST_CHECK enum wire_status module_open(
    const char *path, struct module **module_out, struct fault *fault);
/* C_Finalize.  The library stays mapped: drivers crash in their destructors. */
void module_close(struct module *module);
DEFINE_CLEANUP(module, module_close)

CK_FUNCTION_LIST *module_functions(struct module *module);

struct module_slot {
	CK_SLOT_ID id;
	CK_TOKEN_INFO info;
};
/*
 * Finds the one initialised token that URI (RFC 7512) names, by label, serial,
 * manufacturer or model, never by slot number: SoftHSM gives a token another
 * slot when it is initialised, and readers are moved.
 * Errors: WIRE_CONFIG when URI is malformed, names what is no token's, fits
 * none or several; DEVICE_GONE.
 */
MUST_CHECK enum wire_status module_find_token(struct module *module, const char *uri,
    struct module_slot *slot_out, struct fault *fault);

struct module_init {
	const char *label;
	const char *so_pin_file;
	const char *pin_file;
};
/* Makes a token in the first slot that has none, with both PINs.
 * Errors: WIRE_EXISTS when a token has the label; WIRE_CONFIG. */
MUST_CHECK enum wire_status module_init_token(
    struct module *module, const struct module_init *init, struct fault *fault);

#endif
