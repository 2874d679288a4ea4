// SPDX-License-Identifier: Apache-2.0
/*
 * Small texts that people and programs send: what is read is written and read
 * again to the same; where other code reads the same, it agrees.
 */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>

#include "api/httpdate.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/net.h"
#include "base/text.h"
#include "ca/certificate.h"
#include "ca/pem.h"
#include "kms/ciphertext.h"
#include "kms/context.h"
#include "policies/names.h"
#include "policies/rule.h"

static void run_ip(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	char written[IP_TEXT_SIZE];
	struct ip ip, again;

	if (!ip_parse(text, &ip))
		return;
	must(ip.len == 4 || ip.len == 16);
	must(ip_parse(ip_format(&ip, written), &again));
	must(ip_equal(&ip, &again));
}

static void run_cidr(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	char written[IP_TEXT_SIZE];
	struct cidr cidr, again;
	const char *why = NULL;

	if (!cidr_parse(text, &cidr, &why)) {
		must(why != NULL);
		return;
	}
	must(cidr.prefix <= cidr.base.len * 8);
	must(cidr_contains(&cidr, &cidr.base));
	must(cidr_parse(cidr_format(&cidr, written), &again, &why));
	must(ip_equal(&cidr.base, &again.base));
	must(cidr.prefix == again.prefix);
}

static void run_endpoint(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	struct sockaddr_storage sa;
	struct ip ip;
	socklen_t len;

	if (!net_endpoint_parse(text, &sa, &len))
		return;
	must(len == sizeof(struct sockaddr_in) ||
	    len == sizeof(struct sockaddr_in6));
	must(ip_from_sockaddr((const struct sockaddr *)&sa, &ip));
}

static void run_hex(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	OWNED_BUF(octets);
	OWNED_BUF(again);

	if (!hex_parse_any(text, 64, &octets))
		return;
	OWNED_STR(written) = hex_new(octets.data, octets.len);
	must(octets.len <= 64);
	must(hex_parse_any(written, 64, &again));
	must(bytes_equal(buf_bytes(&octets), buf_bytes(&again)));
}

static void run_base64(struct bytes input)
{
	OWNED_BUF(octets);
	OWNED_BUF(written);

	if (!base64_parse(input, &octets))
		return;
	base64_put(&written, buf_bytes(&octets));
	must(bytes_equal(input, buf_bytes(&written)));
}

static void run_base64url(struct bytes input)
{
	OWNED_BUF(octets);
	OWNED_BUF(written);

	if (!base64url_parse(input, &octets))
		return;
	base64url_put(&written, buf_bytes(&octets));
	must(bytes_equal(input, buf_bytes(&written)));
}

static void run_clock(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	char written[CLOCK_TEXT_SIZE];
	int64_t seconds;

	if (clock_parse(text, &seconds))
		must(strcmp(clock_format(seconds, written), text) == 0);
}

static void run_duration(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	char written[CLOCK_TEXT_SIZE];
	int64_t seconds, again;

	if (!duration_parse(text, &seconds))
		return;
	must(seconds >= 0);
	must(duration_parse(duration_format(seconds, written), &again));
	must(seconds == again);
}

static void run_http_date(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	char written[HTTP_DATE_SIZE];
	int64_t seconds, again;

	if (http_etag_in(text, "\"0123\""))
		must(strpbrk(text, "*\"") != NULL);
	if (!http_date_parse(text, &seconds))
		return;
	must(http_date_parse(http_date_format(seconds, written), &again));
	must(seconds == again);
}

static void run_serial(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);
	struct serial serial, again;

	if (!serial_parse(text, &serial))
		return;
	OWNED_STR(written) = serial_format(&serial);
	must(serial.len >= 1 && serial.len <= SERIAL_MAX);
	must(serial_parse(written, &again));
	must(bytes_equal(serial_bytes(&serial), serial_bytes(&again)));
}

/* jansson has a reader of UTF-8 of its own. */
static void run_utf8(struct bytes input)
{
	OWNED_JSON(theirs) = json_stringn((const char *)input.data, input.len);
	OWNED_STR(text) = fuzz_str(input);

	must(text_is_utf8(input) == (theirs != NULL));
	if (text_is_label(text))
		must(text_is_host_name(text));
}

static void run_ciphertext(struct bytes input)
{
	struct ciphertext parts;
	OWNED_BUF(raw);
	OWNED_BUF(written);

	if (!ciphertext_parse(input, &raw, &parts))
		return;
	ciphertext_write(&parts, &written);
	must(bytes_equal(input, buf_bytes(&written)));
}

static void run_pem(struct bytes input)
{
	OWNED_BUF(der);
	OWNED_BUF(again);
	OWNED_BUF(written);
	const char *why = NULL;

	if (!pem_parse(input, "CERTIFICATE", &der, &why)) {
		must(why != NULL);
		return;
	}
	pem_put(&written, "CERTIFICATE", buf_bytes(&der));
	must(pem_parse(buf_bytes(&written), "CERTIFICATE", &again, &why));
	must(bytes_equal(buf_bytes(&der), buf_bytes(&again)));
}

/* A name in normal form is its own normal form. */
static void run_names(struct bytes input)
{
	for (enum name_kind kind = NAME_DNS; kind <= NAME_URI; kind++) {
		OWNED(names) names = names_new();
		struct err err = {0};
		enum err_code code = names_add(names, kind, input, &err);

		if (code != ERR_OK) {
			must_tell(code, &err);
			continue;
		}
		OWNED_STR(text) = mem_strdup(names->sans[0].text);
		must(names_add(names, kind, BYTES_STR(text), &err) == ERR_OK);
		must(names->sans_count == 1);
		must(strcmp(names->sans[0].text, text) == 0);
	}
}

static void run_common_name(struct bytes input)
{
	OWNED(names) names = names_new();
	struct err err = {0};
	enum err_code code = names_set_cn(names, input, &err);

	if (code != ERR_OK)
		must_tell(code, &err);
	else
		must(bytes_equal(input, BYTES_STR(names->common_name)));
}

static void run_rule(struct bytes input)
{
	OWNED_STR(text) = fuzz_str(input);

	for (enum rule_place place = RULE_DNS; place <= RULE_CN; place++) {
		struct rule rule = {.text = NULL};
		const char *why = NULL;

		if (rule_parse(place, text, &rule, &why))
			must(strcmp(rule.text, text) == 0);
		else
			must(why != NULL);
		free(rule.text);
	}
}

/* NAME=VALUE in two orders binds the same. */
static void run_context(struct bytes input)
{
	OWNED(context) one = context_new();
	OWNED(context) other = context_new();
	OWNED_STR(name) = fuzz_str(input);
	OWNED_BUF(a);
	OWNED_BUF(b);
	struct err err = {0};
	char *value = strchr(name, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	if (context_add(one, name, value, &err) != ERR_OK ||
	    context_add(one, "m", "v", &err) != ERR_OK)
		return;
	must(context_add(other, "m", "v", &err) == ERR_OK);
	must(context_add(other, name, value, &err) == ERR_OK);
	context_write(one, &a);
	context_write(other, &b);
	must(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
}

static const struct fuzz_case cases[] = {
	{'i', run_ip},
	{'c', run_cidr},
	{'e', run_endpoint},
	{'h', run_hex},
	{'b', run_base64},
	{'u', run_base64url},
	{'t', run_clock},
	{'d', run_duration},
	{'w', run_http_date},
	{'s', run_serial},
	{'8', run_utf8},
	{'k', run_ciphertext},
	{'p', run_pem},
	{'n', run_names},
	{'o', run_common_name},
	{'r', run_rule},
	{'x', run_context},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_pick(cases, ARRAY_LEN(cases), data, size);
}
