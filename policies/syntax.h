// SPDX-License-Identifier: Apache-2.0
/* The syntax of one name.  Each function says what is wrong, in words that
 * complete `DNS name "..." `, or returns NULL when nothing is. */
#ifndef POLICIES_SYNTAX_H
#define POLICIES_SYNTAX_H

#include "base/buf.h"

/*
 * LDH labels of 1 to 63 octets, 253 octets in all (RFC 1034 3.5, RFC 1035
 * 2.3.4), of either case; no trailing dot; nothing that resolvers take for an
 * address.  A first label "*" is accepted and needs one label behind it.
 */
const char *syntax_dns(struct bytes text);
/* As syntax_dns for what a cluster or a rule gives as a pattern: a "*" needs two
 * labels behind it, so that none covers a whole top-level domain. */
const char *syntax_dns_pattern(struct bytes text);
/* RFC 3986: a scheme, a colon and something behind it; ASCII. */
const char *syntax_uri(struct bytes text);
/* Printable UTF-8 of 1 to 64 characters: no control or direction characters,
 * no space at either end (X.520 matching would drop it). */
const char *syntax_cn(struct bytes text);
/* A role or user name: [a-z_][a-z0-9_]{0,62}. */
bool syntax_is_identifier(struct bytes text);

#endif
