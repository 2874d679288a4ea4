// SPDX-License-Identifier: Apache-2.0
/* What the handlers of identities share. */
#ifndef API_IDENTITIES_H
#define API_IDENTITIES_H

#include "api/exchange.h"
#include "policies/identity.h"

/* The one in the path.  Errors: ERR_NOT_FOUND, those of the store. */
MUST_CHECK enum err_code identities_get(
    const struct exchange *x, struct identity **identity_out, struct err *err);
/* Nobody ends or changes themselves: so one admin is always left.
 * Errors: ERR_POLICY. */
MUST_CHECK enum err_code identities_check_other(const struct exchange *x,
    const struct identity *identity, const char *verb, struct err *err);
/* Answers 200 with it and its certificates.  Errors: those of the store. */
MUST_CHECK enum err_code identities_reply(
    struct exchange *x, const struct identity *identity, struct err *err);

/* "identity:…" and "admin,auditor", malloc'd: for the audit log. */
char *identities_object(const struct identity *identity);
char *identities_roles(const struct identity *identity);

#endif
