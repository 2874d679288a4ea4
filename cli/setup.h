// SPDX-License-Identifier: Apache-2.0
/* The folder of a new instance: what signet init writes before and after the
 * ceremony.  doc/config.md describes signet.yaml. */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include <stdbool.h>
#include "base/err.h"

#define SETUP_NAMES_MAX 32

/* All text is borrowed; NULL takes what stands in brackets. */
struct setup {
	const char *dir; /* made when absent, else empty */
	bool dev; /* an own SoftHSM token below DIR */
	const char *module; /* [Debian's SoftHSM] */
	const char *token; /* PKCS#11 URI or label */
	const char *root_token; /* [token] */
	const char *pin_file;
	const char *api, *public,
	    *ops; /* listeners [127.0.0.1, 8443 8080 9090] */
	const char *public_url; /* [http://PUBLIC] */
	/* What else clients call the API than this machine's names. */
	const char *names[SETUP_NAMES_MAX];
	size_t names_count;
};

/* Paths below the folder. */
#define SETUP_CONFIG "signet.yaml"
#define SETUP_DRAFT "signet.yaml.new" /* until everything else is done */
#define SETUP_ROOT "ca.pem"

/*
 * Makes DIR where it is absent and takes it for this process, until *lock_out is
 * closed: nobody else makes an instance in it meanwhile.
 * Errors: ERR_EXISTS when another does, or the folder is not empty; ERR_IO.
 */
MUST_CHECK enum err_code setup_lock(
    const char *dir, int *lock_out, struct err *err);
/*
 * Fills the folder that setup_lock() took: the policies, the draft of the
 * configuration, and with DEV the PINs and the folder of the token.  The draft
 * becomes the configuration last of all, so that a folder with signet.yaml is a
 * whole instance.
 * Errors: ERR_USAGE; ERR_IO.
 */
MUST_CHECK enum err_code setup_folder(const struct setup *setup, struct err *err);
MUST_CHECK enum err_code setup_finish(const char *dir, struct err *err);
/* Removes what is in DIR, and DIR itself: after a failure in a fresh folder. */
void setup_remove(const char *dir, bool folder_too);

#endif
