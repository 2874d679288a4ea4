// SPDX-License-Identifier: Apache-2.0
/* What a node takes for its own: key, certificate, its issuers, the roots. */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include "base/secret.h"

struct bundle {
	const struct secret *key_pem;
	struct bytes cert, chain, ca; /* PEM; chain nearest first, may be empty */
};

/*
 * A database that loads the bundle will not stumble: the certificate is one, is
 * the key's, and leads through the chain to one of the roots (RFC 5280 6.1).
 * Times are not looked at: the node's clock may be the thing that is wrong.
 * Errors: ERR_INTERNAL, saying which part does not fit.
 */
MUST_CHECK enum err_code bundle_check(const struct bundle *bundle, struct err *err);

#endif
