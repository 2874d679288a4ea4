// SPDX-License-Identifier: Apache-2.0
#include "base/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ip_parse(const char *text, struct ip *ip_out)
{
	struct ip ip = {0};

	if (text == NULL)
		return false;
	if (inet_pton(AF_INET, text, ip.octets) == 1)
		ip.len = 4;
	else if (inet_pton(AF_INET6, text, ip.octets) == 1)
		ip.len = 16;
	else
		return false;
	*ip_out = ip;
	return true;
}

const char *ip_format(const struct ip *ip, char text[static IP_TEXT_SIZE])
{
	if (inet_ntop(ip->len == 4 ? AF_INET : AF_INET6, ip->octets, text,
		IP_TEXT_SIZE) == NULL)
		text[0] = '\0';
	return text;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return bytes_equal(BYTES(a->octets, a->len), BYTES(b->octets, b->len));
}

bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip_out)
{
	struct ip ip = {0};

	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		ip.len = 4;
		memcpy(ip.octets, &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		bool mapped;

		memcpy(&in6, sa, sizeof(in6));
		mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
		ip.len = mapped ? 4 : 16;
		memcpy(ip.octets, in6.sin6_addr.s6_addr + (mapped ? 12 : 0),
		    ip.len);
	} else {
		return false;
	}
	*ip_out = ip;
	return true;
}

/* One to MAX_DIGITS digits to the end of TEXT, without a leading zero. */
static bool parse_number(const char *text, size_t max_digits, unsigned *out)
{
	unsigned value = 0;
	size_t len = strnlen(text, max_digits + 1);

	if (len == 0 || len > max_digits || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*out = value;
	return true;
}

/* The bits of octet INDEX that belong to a prefix of PREFIX bits. */
static uint8_t prefix_mask(unsigned prefix, unsigned index)
{
	unsigned bits = prefix > index * 8 ? prefix - index * 8 : 0;

	return (uint8_t)(bits >= 8 ? 0xffU : 0xff00U >> bits & 0xffU);
}

static bool has_host_bits(const struct cidr *cidr)
{
	for (unsigned i = 0; i < cidr->base.len; i++) {
		uint8_t host = (uint8_t)~prefix_mask(cidr->prefix, i);

		if ((cidr->base.octets[i] & host) != 0)
			return true;
	}
	return false;
}

static bool refuse(const char **why_out, const char *why)
{
	if (why_out != NULL)
		*why_out = why;
	return false;
}

bool cidr_parse(
    const char *text, struct cidr *cidr_out, const char **why_out)
{
	const char *slash = text == NULL ? NULL : strchr(text, '/');
	char address[IP_TEXT_SIZE];
	struct cidr cidr = {0};
	unsigned prefix = 0;
	size_t len;

	if (text == NULL)
		return refuse(why_out, "not an IP address or range");
	len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	if (len >= sizeof(address))
		return refuse(why_out, "not an IP address or range");
	memcpy(address, text, len);
	address[len] = '\0';
	if (!ip_parse(address, &cidr.base))
		return refuse(why_out, "not an IP address or range");
	if (slash == NULL)
		prefix = cidr.base.len * 8U;
	else if (!parse_number(slash + 1, 3, &prefix) ||
	    prefix > cidr.base.len * 8U)
		return refuse(why_out, cidr.base.len == 4
			? "prefix is not a number from 0 to 32"
			: "prefix is not a number from 0 to 128");
	cidr.prefix = (uint8_t)prefix;
	if (has_host_bits(&cidr))
		return refuse(why_out, "bits beyond the prefix are set");
	*cidr_out = cidr;
	return true;
}

const char *cidr_format(
    const struct cidr *cidr, char text[static IP_TEXT_SIZE])
{
	size_t len;

	ip_format(&cidr->base, text);
	len = strlen(text);
	snprintf(text + len, IP_TEXT_SIZE - len, "/%u", cidr->prefix);
	return text;
}

bool cidr_contains(const struct cidr *cidr, const struct ip *ip)
{
	if (cidr->base.len != ip->len)
		return false;
	for (unsigned i = 0; i < ip->len; i++) {
		uint8_t mask = prefix_mask(cidr->prefix, i);

		if (((cidr->base.octets[i] ^ ip->octets[i]) & mask) != 0)
			return false;
	}
	return true;
}

bool cidrs_admit(const struct cidr *ranges, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count; i++) {
		if (cidr_contains(&ranges[i], ip))
			return true;
	}
	return count == 0;
}

struct ip ip_source(const struct ip *ip)
{
	struct ip source = *ip;

	if (source.len == 16)
		memset(source.octets + 8, 0, 8);
	return source;
}

/* Splits "HOST:PORT" or "[HOST]:PORT"; BRACKETS tells which it was. */
static bool split_endpoint(const char *text, char host[static IP_TEXT_SIZE],
    bool *brackets_out, unsigned *port_out)
{
	const char *colon = text == NULL ? NULL : strrchr(text, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (brackets) {
		text++;
		len -= 2;
	}
	if (colon == NULL || len == 0 || len >= IP_TEXT_SIZE)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*brackets_out = brackets;
	return parse_number(colon + 1, 5, port_out) && *port_out <= 65535;
}

bool net_endpoint_parse(
    const char *text, struct sockaddr_storage *sa_out, socklen_t *len_out)
{
	char host[IP_TEXT_SIZE];
	bool brackets = false;
	unsigned port = 0;
	struct ip ip;

	if (!split_endpoint(text, host, &brackets, &port) ||
	    !ip_parse(host, &ip) || brackets != (ip.len == 16))
		return false;
	memset(sa_out, 0, sizeof(*sa_out));
	if (ip.len == 4) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		in.sin_port = htons((uint16_t)port);
		memcpy(&in.sin_addr, ip.octets, 4);
		memcpy(sa_out, &in, sizeof(in));
		*len_out = sizeof(in);
	} else {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

		in6.sin6_port = htons((uint16_t)port);
		memcpy(&in6.sin6_addr, ip.octets, 16);
		memcpy(sa_out, &in6, sizeof(in6));
		*len_out = sizeof(in6);
	}
	return true;
}
