// SPDX-License-Identifier: Apache-2.0
/* In what tokens differ.  Nothing else in the worker asks who made a token;
 * doc/hsm.md tells how to add a row. */
#ifndef HSM_QUIRKS_H
#define HSM_QUIRKS_H

#include <stdbool.h>
#include <p11-kit/pkcs11.h>

struct quirks {
	const char *manufacturer; /* of CK_TOKEN_INFO; NULL: any */
	const char *model; /* begins with; NULL: any */
	CK_MECHANISM_TYPE key_wrap; /* RFC 3394 without padding */
	bool allowed_mechanisms; /* knows CKA_ALLOWED_MECHANISMS */
	bool unwrap_template; /* knows CKA_UNWRAP_TEMPLATE */
	bool copyable; /* knows CKA_COPYABLE */
	bool copies; /* worth trying C_CopyObject */
	bool gcm_iv_by_token; /* writes the IV into the parameters */
	bool gcm_short_params; /* parameters without ulIvBits */
	bool general_error_is_bad_tag; /* CKR_GENERAL_ERROR for a tag that does
					* not fit */
	/* Makes what was generated survive a power cut; NULL where the token
	 * does so itself. */
	bool (*make_durable)(void);
};

const struct quirks *quirks_of(const CK_TOKEN_INFO *info);

#endif
