// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <arpa/inet.h>
#include "base/net.h"

static void net_address_is_parsed_and_written(void **state)
{
	const char *const good[] = {
	    "10.0.0.1", "255.255.255.255", "::", "2001:db8::1", "fe80::1"};
	const char *const bad[] = {"", "10.0.0", "10.0.0.256", "010.0.0.1",
	    "10.0.0.1 ", "1", "0x7f.0.0.1", "::g", "fe80::1%eth0", "[::1]",
	    "10.0.0.1/8", "localhost"};
	char text[IP_TEXT_SIZE];
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(ip_parse(good[i], &ip));
		assert_string_equal(ip_format(&ip, text), good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(ip_parse(bad[i], &ip));
	assert_false(ip_parse(NULL, &ip));
}

static void net_addresses_of_two_families_differ(void **state)
{
	struct ip four, six, again;

	(void)state;
	assert_true(ip_parse("0.0.0.0", &four));
	assert_true(ip_parse("::", &six));
	assert_true(ip_parse("::", &again));
	assert_false(ip_equal(&four, &six));
	assert_true(ip_equal(&six, &again));
}

static void net_mapped_socket_address_becomes_ipv4(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct ip ip, want;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &want));
	inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr);
	assert_true(ip_from_sockaddr((struct sockaddr *)&in6, &ip));
	assert_true(ip_equal(&ip, &want));
	inet_pton(AF_INET, "192.0.2.7", &in.sin_addr);
	assert_true(ip_from_sockaddr((struct sockaddr *)&in, &ip));
	assert_true(ip_equal(&ip, &want));
	inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr);
	assert_true(ip_from_sockaddr((struct sockaddr *)&in6, &ip));
	assert_int_equal(ip.len, 16);
	assert_false(ip_from_sockaddr(&other, &ip));
	assert_false(ip_from_sockaddr(NULL, &ip));
}

static void net_range_contains_its_addresses_alone(void **state)
{
	const struct {
		const char *range, *inside, *outside;
	} ranges[] = {
	    {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
	    {"10.1.2.128/25", "10.1.2.128", "10.1.2.127"},
	    {"10.1.2.3", "10.1.2.3", "10.1.2.2"},
	    {"0.0.0.0/0", "255.1.2.3", "::1"},
	    {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
	    {"::/0", "ffff::1", "1.2.3.4"},
	    {"2001:db8::1/128", "2001:db8::1", "2001:db8::"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct cidr cidr;
		struct ip in, out;

		assert_true(cidr_parse(ranges[i].range, &cidr, NULL));
		assert_true(ip_parse(ranges[i].inside, &in));
		assert_true(ip_parse(ranges[i].outside, &out));
		assert_true(cidr_contains(&cidr, &in));
		assert_false(cidr_contains(&cidr, &out));
	}
}

static void net_range_is_written_with_its_prefix(void **state)
{
	struct cidr cidr;
	char text[IP_TEXT_SIZE];

	(void)state;
	assert_true(cidr_parse("10.0.0.0/8", &cidr, NULL));
	assert_string_equal(cidr_format(&cidr, text), "10.0.0.0/8");
	assert_true(cidr_parse("::1", &cidr, NULL));
	assert_string_equal(cidr_format(&cidr, text), "::1/128");
}

static void net_range_that_is_none_is_refused_with_the_reason(void **state)
{
	const char *const bad[][2] = {
	    {"10.0.0.1/8", "bits beyond"},
	    {"2001:db8::1/64", "bits beyond"},
	    {"10.0.0.0/33", "0 to 32"},
	    {"10.0.0.0/", "0 to 32"},
	    {"10.0.0.0/08", "0 to 32"},
	    {"10.0.0.0/-1", "0 to 32"},
	    {"10.0.0.0/8/8", "0 to 32"},
	    {"::/129", "0 to 128"},
	    {"::/9999999999", "0 to 128"},
	    {"", "not an IP"},
	    {"/8", "not an IP"},
	    {"example.net/8", "not an IP"},
	    {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
		"not an IP"},
	};
	struct cidr cidr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = "";

		assert_false(cidr_parse(bad[i][0], &cidr, &why));
		assert_non_null(strstr(why, bad[i][1]));
	}
	assert_false(cidr_parse(NULL, &cidr, NULL));
}

static void net_endpoint_is_address_and_port(void **state)
{
	struct sockaddr_storage sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t len = 0;

	(void)state;
	assert_true(net_endpoint_parse("127.0.0.1:8443", &sa, &len));
	assert_int_equal(len, sizeof(in));
	memcpy(&in, &sa, sizeof(in));
	assert_int_equal(in.sin_family, AF_INET);
	assert_int_equal(ntohs(in.sin_port), 8443);
	assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_true(net_endpoint_parse("[::1]:0", &sa, &len));
	assert_int_equal(len, sizeof(in6));
	memcpy(&in6, &sa, sizeof(in6));
	assert_int_equal(in6.sin6_family, AF_INET6);
	assert_int_equal(in6.sin6_port, 0);
	assert_true(net_endpoint_parse("0.0.0.0:65535", &sa, &len));
}

static void net_endpoint_that_is_none_is_refused(void **state)
{
	const char *const bad[] = {"", ":80", "127.0.0.1", "127.0.0.1:",
	    "127.0.0.1:65536", "127.0.0.1:080", "127.0.0.1:+1", "127.0.0.1: 1",
	    "::1:80", "[::1]", "[::1]80", "[127.0.0.1]:80", "localhost:80",
	    "[]:80", "127.0.0.1:123456", "[::1:80"};
	struct sockaddr_storage sa;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(net_endpoint_parse(bad[i], &sa, &len));
	assert_false(net_endpoint_parse(NULL, &sa, &len));
}

static void net_no_range_admits_everybody_and_ranges_their_own(void **state)
{
	struct cidr ranges[2];
	struct ip ip;

	(void)state;
	assert_true(cidr_parse("10.0.0.0/8", &ranges[0], NULL));
	assert_true(cidr_parse("2001:db8::/32", &ranges[1], NULL));
	assert_true(ip_parse("192.0.2.1", &ip));
	assert_true(cidrs_admit(NULL, 0, &ip));
	assert_false(cidrs_admit(ranges, 2, &ip));
	assert_true(ip_parse("2001:db8:1::1", &ip));
	assert_true(cidrs_admit(ranges, 2, &ip));
	assert_false(cidrs_admit(ranges, 1, &ip));
}

static void net_a_source_is_an_ipv4_address_or_an_ipv6_64(void **state)
{
	static const char *const cases[][2] = {
	    {"10.1.2.3", "10.1.2.3"},
	    {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
	    {"2001:db8:1:2::9", "2001:db8:1:2::"},
	    {"2001:db8:1:3::9", "2001:db8:1:3::"}};
	char text[IP_TEXT_SIZE];
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(ip_parse(cases[i][0], &ip));
		ip = ip_source(&ip);
		assert_string_equal(ip_format(&ip, text), cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(net_address_is_parsed_and_written),
	    cmocka_unit_test(net_addresses_of_two_families_differ),
	    cmocka_unit_test(net_mapped_socket_address_becomes_ipv4),
	    cmocka_unit_test(net_range_contains_its_addresses_alone),
	    cmocka_unit_test(net_range_is_written_with_its_prefix),
	    cmocka_unit_test(
		net_range_that_is_none_is_refused_with_the_reason),
	    cmocka_unit_test(
		net_no_range_admits_everybody_and_ranges_their_own),
	    cmocka_unit_test(net_a_source_is_an_ipv4_address_or_an_ipv6_64),
	    cmocka_unit_test(net_endpoint_is_address_and_port),
	    cmocka_unit_test(net_endpoint_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
