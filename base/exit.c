// SPDX-License-Identifier: Apache-2.0
#include "base/exit.h"

enum exit_code exit_for(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return EXIT_DONE;
	case ERR_USAGE:
	case ERR_BAD_FIELD:	/* a value that the server does not take */
		return EXIT_WRONG_USE;
	case ERR_OVERLOADED:
	case ERR_DEADLINE:
	case ERR_STOPPING:
	case ERR_HSM_UNAVAILABLE:
	case ERR_UNREACHABLE:
	case ERR_RATE_LIMITED:
		return EXIT_TEMPORARY;
	case ERR_POLICY:
	case ERR_QUARANTINED:
	case ERR_FORBIDDEN:
	case ERR_UNAUTHENTICATED:
		return EXIT_REFUSED;
	case ERR_AWAITING:
		return EXIT_AWAITING;
	case ERR_CONFIG:
		return EXIT_NOT_SET_UP;
	case ERR_BAD_REQUEST:
	case ERR_TOO_LARGE:
	case ERR_BAD_CSR:
	case ERR_BAD_KEY:
	case ERR_NOT_FOUND:
	case ERR_BAD_METHOD:
	case ERR_BAD_MEDIA:
	case ERR_CONFLICT:
	case ERR_EXISTS:
	case ERR_KEY_DISABLED:
	case ERR_UNWRAP:
	case ERR_HSM_REFUSED:
	case ERR_HSM_KEY_UNSAFE:
	case ERR_STORE:
	case ERR_STORE_FULL:
	case ERR_CORRUPT:
	case ERR_CRYPTO:
	case ERR_COMMAND:
	case ERR_IO:
	case ERR_INTERNAL:
		return EXIT_FAILED;
	}
	return EXIT_FAILED;
}
