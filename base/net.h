// SPDX-License-Identifier: Apache-2.0
/* IP addresses, ranges (CIDR) and host:port pairs. */
#ifndef BASE_NET_H
#define BASE_NET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include "base/buf.h"
#include "base/err.h"

struct ip {
	uint8_t len;		/* 4 or 16 octets */
	uint8_t octets[16];
};

struct cidr {
	struct ip base;		/* host bits are zero */
	uint8_t prefix;		/* bits */
};

#define IP_TEXT_SIZE 64
MUST_CHECK bool ip_parse(const char *text, struct ip *ip_out);
const char *ip_format(const struct ip *ip, char text[static IP_TEXT_SIZE]);
bool ip_equal(const struct ip *a, const struct ip *b);
/* From a socket address; an IPv4-mapped IPv6 address becomes IPv4. */
MUST_CHECK bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip_out);

/* "10.0.0.0/8", or a bare address as a range of one.  Refused when host bits
 * are set, and then *why_out (static text) says so. */
MUST_CHECK bool cidr_parse(
    const char *text, struct cidr *cidr_out, const char **why_out);
const char *cidr_format(
    const struct cidr *cidr, char text[static IP_TEXT_SIZE]);
bool cidr_contains(const struct cidr *cidr, const struct ip *ip);
/* Is IP in one of RANGES?  Where there are none, every address is. */
bool cidrs_admit(const struct cidr *ranges, size_t count, const struct ip *ip);

/* Whom an address stands for when sources are counted: an IPv4 address for
 * itself, an IPv6 address for its /64, which one host can have all of.  Returns
 * IP without the other bits. */
struct ip ip_source(const struct ip *ip);

/* "127.0.0.1:8443", "[::1]:0", "0.0.0.0:80".  Numeric only, no resolver. */
MUST_CHECK bool net_endpoint_parse(
    const char *text, struct sockaddr_storage *sa_out, socklen_t *len_out);

#endif
