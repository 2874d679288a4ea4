// SPDX-License-Identifier: Apache-2.0
/* PEM (RFC 7468): strict when read. */
#ifndef CA_PEM_H
#define CA_PEM_H

#include "base/buf.h"

/*
 * Takes apart TEXT that is exactly one block under LABEL, nothing but white
 * space before and behind it, no headers inside; DER receives its content.
 * *why_out (static text) tells what is wrong when false is returned.
 */
MUST_CHECK bool pem_parse(struct bytes text, const char *label,
    struct buf *der, const char **why_out);

/* Appends one PEM block of DER under LABEL, "CERTIFICATE" or "X509 CRL". */
void pem_put(struct buf *out, const char *label, struct bytes der);

#endif
