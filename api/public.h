// SPDX-License-Identifier: Apache-2.0
/* The public listener: CA certificates, CRLs and OCSP over plain HTTP, as relying
 * parties fetch them (RFC 5280 4.2.1.13, 4.2.2.1; RFC 6960 A; RFC 5019). */
#ifndef API_PUBLIC_H
#define API_PUBLIC_H

#include "api/exchange.h"

extern const struct service public_service;

/* Frees the responses that are kept between requests; no exchange may be left. */
void public_close(void);

#endif
