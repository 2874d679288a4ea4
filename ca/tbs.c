// SPDX-License-Identifier: Apache-2.0
/*
 * Content is written first and its header moved in before it, which costs a few
 * small moves and neither a second pass nor a second buffer.
 */
#include "ca/tbs.h"

#include <string.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/tlv.h"

enum {
	TAG_SET = 0x31,
	TAG_UTF8_STRING = 0x0c,
	TAG_DNS = DER_CONTEXT_PRIMITIVE(2),
	TAG_URI = DER_CONTEXT_PRIMITIVE(6),
	TAG_IP = DER_CONTEXT_PRIMITIVE(7),
};

/* The last octet under id-ce, 2.5.29. */
enum {
	CE_SKI = 14,
	CE_KEY_USAGE = 15,
	CE_SAN = 17,
	CE_BASIC_CONSTRAINTS = 19,
	CE_CRL_POINTS = 31,
	CE_AKI = 35,
	CE_EXT_KEY_USAGE = 37,
};

static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
static const uint8_t oid_organization[] = {0x55, 0x04, 0x0a};
static const uint8_t oid_aia[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01};
static const uint8_t oid_ad_ocsp[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01};
static const uint8_t oid_ad_ca_issuers[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02};
static const uint8_t oid_ocsp_nocheck[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05};

/* id-kp, 1.3.6.1.5.5.7.3.n */
static const struct {
	uint32_t usage;
	uint8_t last;
} purposes[] = {
	{EKU_SERVER_AUTH, 1},
	{EKU_CLIENT_AUTH, 2},
	{EKU_OCSP_SIGNING, 9},
};
#define EKU_ALL (EKU_SERVER_AUTH | EKU_CLIENT_AUTH | EKU_OCSP_SIGNING)
/* The last second of year 9999. */
#define TIME_MAX INT64_C(253402300799)
#define USAGE_ALL 0xffu	/* the bits of one octet; decipherOnly is none of ours */

/* Makes what was written since START the content of one element. */
static void wrap(struct buf *out, size_t start, uint8_t tag)
{
	size_t len = out->len - start;
	size_t header = der_header_size(len);

	(void)buf_extend(out, header);
	memmove(out->data + start + header, out->data + start, len);
	out->len = start;
	der_put_header(out, tag, len);
	out->len += len;
}

static void put_name_part(struct buf *out, struct bytes oid, const char *text)
{
	size_t start = out->len;

	if (text == NULL)
		return;
	der_put(out, DER_OID, oid);
	der_put(out, TAG_UTF8_STRING, bytes_str(text));
	wrap(out, start, DER_SEQUENCE);
	wrap(out, start, TAG_SET);
}

void tbs_write_name(
    const char *organization, const char *common_name, struct buf *out)
{
	size_t start = out->len;

	put_name_part(out, BYTES_OF(oid_organization), organization);
	put_name_part(out, BYTES_OF(oid_common_name), common_name);
	wrap(out, start, DER_SEQUENCE);
}

static void put_validity(struct buf *out, const struct tbs_spec *spec)
{
	size_t start = out->len;

	der_put_time(out, spec->not_before);
	der_put_time(out, spec->not_after);
	wrap(out, start, DER_SEQUENCE);
}

/* An extension is begun by its OID and ended when its value stands behind it. */
struct extension {
	size_t start, value;
};

static struct extension begin_oid(
    struct buf *out, struct bytes oid, bool critical)
{
	struct extension extension = {.start = out->len};

	der_put(out, DER_OID, oid);
	if (critical)
		der_put(out, DER_BOOLEAN, BYTES("\xff", 1));
	extension.value = out->len;
	return extension;
}

static struct extension begin(struct buf *out, uint8_t id_ce, bool critical)
{
	const uint8_t oid[] = {0x55, 0x1d, id_ce};

	return begin_oid(out, BYTES_OF(oid), critical);
}

static void end(struct buf *out, struct extension extension)
{
	wrap(out, extension.value, DER_OCTET_STRING);
	wrap(out, extension.start, DER_SEQUENCE);
}

static void put_aki(struct buf *out, struct bytes key_id)
{
	struct extension extension;

	if (key_id.len == 0)
		return;
	extension = begin(out, CE_AKI, false);
	der_put(out, DER_CONTEXT_PRIMITIVE(0), key_id);
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

/* Method (1) of RFC 5280 4.2.1.2: SHA-1 of the key's BIT STRING, without its
 * octet of unused bits. */
static bool put_ski(struct buf *out, struct bytes spki)
{
	struct tlv outer, algorithm, bits;
	struct extension extension;
	uint8_t key_id[20];

	if (!tlv_take(&spki, DER_SEQUENCE, &outer) || spki.len > 0 ||
	    !tlv_take(&outer.content, DER_SEQUENCE, &algorithm) ||
	    !tlv_take(&outer.content, DER_BIT_STRING, &bits) ||
	    outer.content.len > 0 || bits.content.len < 2)
		return false;
	(void)digest_compute(DIGEST_SHA1,
	    BYTES(bits.content.data + 1, bits.content.len - 1), key_id);
	extension = begin(out, CE_SKI, false);
	der_put(out, DER_OCTET_STRING, BYTES_OF(key_id));
	end(out, extension);
	return true;
}

/* A named bit list: bit 0 is the highest of the octet, and trailing zero bits
 * are left out (X.690 11.2.2). */
static void put_key_usage(struct buf *out, uint32_t usage)
{
	struct extension extension;
	uint8_t content[2] = {7, 0};

	if (usage == 0)
		return;
	for (unsigned bit = 0; bit < 8; bit++) {
		if ((usage >> bit & 1) == 0)
			continue;
		content[1] |= (uint8_t)(0x80 >> bit);
		content[0] = (uint8_t)(7 - bit);
	}
	extension = begin(out, CE_KEY_USAGE, true);
	der_put(out, DER_BIT_STRING, BYTES_OF(content));
	end(out, extension);
}

static void put_san(
    struct buf *out, const struct names *names, bool critical)
{
	struct extension extension;

	if (names->sans_count == 0)
		return;
	extension = begin(out, CE_SAN, critical);
	for (size_t i = 0; i < names->sans_count; i++) {
		const struct name *name = &names->sans[i];

		switch (name->kind) {
		case NAME_DNS:
			der_put(out, TAG_DNS, bytes_str(name->text));
			break;
		case NAME_IP:
			der_put(out, TAG_IP,
			    BYTES(name->ip.octets, name->ip.len));
			break;
		case NAME_URI:
			der_put(out, TAG_URI, bytes_str(name->text));
			break;
		}
	}
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

static void put_basic_constraints(
    struct buf *out, const struct tbs_spec *spec)
{
	struct extension extension;

	if (!spec->is_ca)
		return;
	extension = begin(out, CE_BASIC_CONSTRAINTS, true);
	der_put(out, DER_BOOLEAN, BYTES("\xff", 1));
	if (spec->path_len >= 0)
		der_put_u64(out, (uint64_t)spec->path_len);
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

static void put_ext_usage(struct buf *out, uint32_t usage)
{
	uint8_t oid[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0};
	struct extension extension;

	if (usage == 0)
		return;
	extension = begin(out, CE_EXT_KEY_USAGE, false);
	for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
		if ((usage & purposes[i].usage) == 0)
			continue;
		oid[sizeof(oid) - 1] = purposes[i].last;
		der_put(out, DER_OID, BYTES_OF(oid));
	}
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

/* One DistributionPoint with one fullName (RFC 5280 4.2.1.13). */
static void put_crl_point(struct buf *out, const char *url)
{
	struct extension extension;

	if (url == NULL)
		return;
	extension = begin(out, CE_CRL_POINTS, false);
	der_put(out, TAG_URI, bytes_str(url));
	wrap(out, extension.value, DER_CONTEXT(0));
	wrap(out, extension.value, DER_CONTEXT(0));
	wrap(out, extension.value, DER_SEQUENCE);
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

static void put_access(struct buf *out, struct bytes method, const char *url)
{
	size_t start = out->len;

	if (url == NULL)
		return;
	der_put(out, DER_OID, method);
	der_put(out, TAG_URI, bytes_str(url));
	wrap(out, start, DER_SEQUENCE);
}

static void put_aia(struct buf *out, const struct tbs_spec *spec)
{
	struct extension extension;

	if (spec->ocsp_url == NULL && spec->issuer_url == NULL)
		return;
	extension = begin_oid(out, BYTES_OF(oid_aia), false);
	put_access(out, BYTES_OF(oid_ad_ocsp), spec->ocsp_url);
	put_access(out, BYTES_OF(oid_ad_ca_issuers), spec->issuer_url);
	wrap(out, extension.value, DER_SEQUENCE);
	end(out, extension);
}

static void put_nocheck(struct buf *out)
{
	struct extension extension =
	    begin_oid(out, BYTES_OF(oid_ocsp_nocheck), false);

	der_put(out, DER_NULL, BYTES(NULL, 0));
	end(out, extension);
}

static bool has_empty_subject(const struct tbs_spec *spec)
{
	return spec->organization == NULL && spec->names->common_name == NULL;
}

/* In the order in which RFC 5280 4.2 describes them. */
static bool put_extensions(struct buf *out, const struct tbs_spec *spec)
{
	size_t start = out->len;

	put_aki(out, spec->issuer_key_id);
	if (!put_ski(out, spec->subject_spki))
		return false;
	put_key_usage(out, spec->key_usage);
	put_san(out, spec->names, has_empty_subject(spec));
	put_basic_constraints(out, spec);
	put_ext_usage(out, spec->ext_usage);
	put_crl_point(out, spec->crl_url);
	put_aia(out, spec);
	if (spec->ocsp_nocheck)
		put_nocheck(out);
	wrap(out, start, DER_SEQUENCE);
	wrap(out, start, DER_CONTEXT(3));
	return true;
}

/* What is wrong with SPEC, or NULL. */
static const char *flaw(const struct tbs_spec *spec)
{
	struct bytes serial = spec->serial;

	if (serial.len == 0 || serial.len > SERIAL_MAX ||
	    serial.data[0] == 0 || (serial.data[0] & 0x80) != 0)
		return "serial is not positive, short and of minimal form";
	if (spec->not_before < 0 || spec->not_after < spec->not_before ||
	    spec->not_after > TIME_MAX)
		return "validity ends before it begins, or after year 9999";
	if (has_empty_subject(spec) &&
	    (spec->is_ca || spec->names->sans_count == 0))
		return "names nobody";
	if (spec->is_ca != ((spec->key_usage & USAGE_KEY_CERT_SIGN) != 0))
		return "keyCertSign and basicConstraints contradict";
	if (!spec->is_ca && spec->path_len >= 0)
		return "path length without CA";
	if ((spec->key_usage & ~USAGE_ALL) != 0 ||
	    (spec->ext_usage & ~(uint32_t)EKU_ALL) != 0)
		return "unknown usage";
	if (spec->ocsp_nocheck && (spec->ext_usage & EKU_OCSP_SIGNING) == 0)
		return "ocsp-nocheck without OCSP signing";
	return NULL;
}

enum err_code tbs_write(
    const struct tbs_spec *spec, struct buf *out, struct err *err)
{
	static const uint8_t version_3[] = {0xa0, 0x03, 0x02, 0x01, 0x02};
	const char *wrong = flaw(spec);
	size_t start = out->len;

	if (wrong != NULL)
		return err_fail(err, ERR_INTERNAL,
		    "certificate is not to RFC 5280: %s", wrong);
	buf_put(out, version_3, sizeof(version_3));
	der_put_unsigned(out, spec->serial);
	buf_put_bytes(out, spec->algorithm);
	buf_put_bytes(out, spec->issuer_name);
	put_validity(out, spec);
	tbs_write_name(spec->organization, spec->names->common_name, out);
	buf_put_bytes(out, spec->subject_spki);
	if (!put_extensions(out, spec)) {
		out->len = start;
		return err_fail(err, ERR_INTERNAL,
		    "certificate's public key is no SubjectPublicKeyInfo");
	}
	wrap(out, start, DER_SEQUENCE);
	return ERR_OK;
}
