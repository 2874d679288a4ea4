// SPDX-License-Identifier: Apache-2.0
/*
 * A request is walked by hand (ca/tlv.h): its few octets of structure do not need
 * a general decoder, and what is refused can be named exactly.
 */
#include "ca/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ca/der.h"
#include "ca/digest.h"
#include "ca/keycheck.h"
#include "ca/pem.h"
#include "ca/possession.h"
#include "ca/tlv.h"

#define PEM_LABEL "CERTIFICATE REQUEST"
#define PEM_LABEL_OLD "NEW CERTIFICATE REQUEST"
#define EXTENSIONS_MAX 16

enum {
	TAG_SET = 0x31,
	TAG_UTF8_STRING = 0x0c,
	TAG_PRINTABLE_STRING = 0x13,
	TAG_IA5_STRING = 0x16,
};

void request_free(struct request *request)
{
	if (request == NULL)
		return;
	names_free(request->names);
	EVP_PKEY_free(request->key);
	free(request->spki);
	free(request);
}

static enum err_code refuse_shape(
    struct err *err, const char *what, const char *rfc)
{
	return err_refuse(err, ERR_BAD_CSR,
	    "request is malformed: %s (%s, DER)", what, rfc);
}

static bool has_nul(struct bytes text)
{
	return text.len > 0 && memchr(text.data, 0, text.len) != NULL;
}

/* IA5String is ASCII (RFC 5280 4.2.1.6). */
static bool is_ascii(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] >= 0x80)
			return false;
	}
	return true;
}

static enum err_code read_common_name(
    struct names *names, const struct tlv *value, struct err *err)
{
	if (names->common_name != NULL)
		return err_refuse(err, ERR_BAD_CSR,
		    "subject has more than one commonName; give one");
	if (value->tag != TAG_UTF8_STRING &&
	    value->tag != TAG_PRINTABLE_STRING && value->tag != TAG_IA5_STRING)
		return err_refuse(err, ERR_BAD_CSR,
		    "commonName is of string type 0x%02x; use UTF8String, "
		    "PrintableString or IA5String (RFC 5280 4.1.2.4)",
		    value->tag);
	if (value->tag != TAG_UTF8_STRING && !is_ascii(value->content))
		return err_refuse(err, ERR_BAD_CSR,
		    "commonName has characters that its string type has not");
	if (has_nul(value->content))
		return err_refuse(err, ERR_BAD_CSR,
		    "commonName contains a NUL octet");
	return names_set_cn(names, value->content, err);
}

/* AttributeTypeAndValue (RFC 5280 4.1.2.4). */
static enum err_code read_subject_part(
    struct names *names, struct bytes content, struct err *err)
{
	static const uint8_t common_name[] = {0x55, 0x04, 0x03};
	char text[TLV_OID_TEXT_SIZE];
	struct tlv type, value;

	if (!tlv_take(&content, DER_OID, &type) ||
	    !tlv_next(&content, &value) || content.len > 0)
		return refuse_shape(err, "subject", "RFC 5280 4.1.2.4");
	if (!bytes_equal(type.content, BYTES_OF(common_name)))
		return err_refuse(err, ERR_BAD_CSR,
		    "subject has the attribute %s; only commonName is read, "
		    "leave the others out", tlv_oid_text(&type, text));
	return read_common_name(names, &value, err);
}

static enum err_code read_subject(
    struct names *names, struct bytes rdns, struct err *err)
{
	enum err_code code;
	struct tlv set, part;

	while (rdns.len > 0) {
		if (!tlv_take(&rdns, TAG_SET, &set) || set.content.len == 0)
			return refuse_shape(err, "subject",
			    "RFC 5280 4.1.2.4");
		while (set.content.len > 0) {
			if (!tlv_take(&set.content, DER_SEQUENCE, &part))
				return refuse_shape(err, "subject",
				    "RFC 5280 4.1.2.4");
			code = read_subject_part(names, part.content, err);
			if (code != ERR_OK)
				return code;
		}
	}
	return ERR_OK;
}

/* The choices of GeneralName that are refused, by the number of their tag. */
static const char *const general_names[] = {
	"otherName", "rfc822Name", "dNSName", "x400Address", "directoryName",
	"ediPartyName", "uniformResourceIdentifier", "iPAddress",
	"registeredID",
};

static enum err_code read_general_name(
    struct names *names, const struct tlv *name, struct err *err)
{
	unsigned choice = name->tag & 0x1f;

	if (choice >= ARRAY_LEN(general_names) || (name->tag & 0xc0) != 0x80)
		return refuse_shape(err, "subjectAltName",
		    "RFC 5280 4.2.1.6");
	if (has_nul(name->content) && choice != 7)
		return err_refuse(err, ERR_BAD_CSR,
		    "subjectAltName of type %s contains a NUL octet",
		    general_names[choice]);
	switch (name->tag) {
	case DER_CONTEXT_PRIMITIVE(2):
		return names_add(names, NAME_DNS, name->content, err);
	case DER_CONTEXT_PRIMITIVE(6):
		return names_add(names, NAME_URI, name->content, err);
	case DER_CONTEXT_PRIMITIVE(7):
		if (name->content.len != 4 && name->content.len != 16)
			return err_refuse(err, ERR_BAD_CSR,
			    "subjectAltName of type iPAddress has %zu octets, "
			    "not 4 or 16 (RFC 5280 4.2.1.6)",
			    name->content.len);
		return names_add_ip(names, name->content, err);
	default:
		return err_refuse(err, ERR_BAD_CSR,
		    "subjectAltName of type %s is not accepted; use dNSName, "
		    "iPAddress or uniformResourceIdentifier",
		    general_names[choice]);
	}
}

/* The value of the extension: SEQUENCE OF GeneralName. */
static enum err_code read_san(
    struct names *names, struct bytes value, struct err *err)
{
	struct tlv sequence, name;
	enum err_code code;
	size_t count = 0;

	if (!tlv_take(&value, DER_SEQUENCE, &sequence) || value.len > 0 ||
	    sequence.content.len == 0)
		return refuse_shape(err, "subjectAltName",
		    "RFC 5280 4.2.1.6");
	while (sequence.content.len > 0) {
		if (!tlv_next(&sequence.content, &name))
			return refuse_shape(err, "subjectAltName",
			    "RFC 5280 4.2.1.6");
		if (++count > NAMES_MAX)
			return err_refuse(err, ERR_BAD_CSR,
			    "subjectAltName has more than %d names",
			    NAMES_MAX);
		if ((code = read_general_name(names, &name, err)) != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* Extensions of id-ce (2.5.29.n) that a request may hold. */
enum extension {
	EXTENSION_SKI = 14,	/* ignored: computed here */
	EXTENSION_KEY_USAGE = 15,
	EXTENSION_SAN = 17,
	EXTENSION_BASIC_CONSTRAINTS = 19,
	EXTENSION_EXT_KEY_USAGE = 37,
};

static bool is_known_extension(struct bytes oid)
{
	if (oid.len != 3 || oid.data[0] != 0x55 || oid.data[1] != 0x1d)
		return false;
	return oid.data[2] == EXTENSION_SKI ||
	    oid.data[2] == EXTENSION_KEY_USAGE ||
	    oid.data[2] == EXTENSION_SAN ||
	    oid.data[2] == EXTENSION_BASIC_CONSTRAINTS ||
	    oid.data[2] == EXTENSION_EXT_KEY_USAGE;
}

/* One Extension (RFC 5280 4.1); SEEN has a bit for each known one. */
static enum err_code read_extension(struct names *names,
    struct bytes content, uint64_t *seen, struct err *err)
{
	char text[TLV_OID_TEXT_SIZE];
	struct tlv oid, critical, value;
	uint64_t bit;

	if (!tlv_take(&content, DER_OID, &oid) ||
	    (tlv_peek(content) == DER_BOOLEAN &&
		(!tlv_next(&content, &critical) || critical.content.len != 1 ||
		    critical.content.data[0] != 0xff)) ||
	    !tlv_take(&content, DER_OCTET_STRING, &value) || content.len > 0)
		return refuse_shape(err, "extension", "RFC 5280 4.1");
	if (!is_known_extension(oid.content))
		return err_refuse(err, ERR_BAD_CSR,
		    "requested extension %s is not accepted; leave it out",
		    tlv_oid_text(&oid, text));
	bit = UINT64_C(1) << oid.content.data[2];
	if ((*seen & bit) != 0)
		return err_refuse(err, ERR_BAD_CSR,
		    "requested extension %s occurs twice (RFC 5280 4.2)",
		    tlv_oid_text(&oid, text));
	*seen |= bit;
	return oid.content.data[2] == EXTENSION_SAN
	    ? read_san(names, value.content, err)
	    : ERR_OK;
}

/* The value of extensionRequest: a SET of exactly one Extensions (RFC 2985
 * 5.4.2). */
static enum err_code read_extensions(
    struct names *names, struct bytes set, struct err *err)
{
	struct tlv sequence, extension;
	uint64_t seen = 0;
	enum err_code code;

	if (!tlv_take(&set, DER_SEQUENCE, &sequence) || set.len > 0 ||
	    sequence.content.len == 0)
		return refuse_shape(err, "extensionRequest",
		    "RFC 2985 5.4.2");
	for (size_t count = 0; sequence.content.len > 0; count++) {
		if (count == EXTENSIONS_MAX ||
		    !tlv_take(&sequence.content, DER_SEQUENCE, &extension))
			return refuse_shape(err, "extensionRequest",
			    "RFC 2985 5.4.2");
		code = read_extension(names, extension.content, &seen, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code read_attributes(
    struct names *names, struct bytes attributes, struct err *err)
{
	static const uint8_t extension_request[] = {
	    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};
	char text[TLV_OID_TEXT_SIZE];
	struct tlv attribute, oid, set;
	bool seen = false;
	enum err_code code;

	while (attributes.len > 0) {
		if (!tlv_take(&attributes, DER_SEQUENCE, &attribute) ||
		    !tlv_take(&attribute.content, DER_OID, &oid) ||
		    !tlv_take(&attribute.content, TAG_SET, &set) ||
		    attribute.content.len > 0)
			return refuse_shape(err, "attribute", "RFC 2986 4.1");
		if (!bytes_equal(oid.content, BYTES_OF(extension_request)))
			return err_refuse(err, ERR_BAD_CSR,
			    "attribute %s is not accepted; only "
			    "extensionRequest is read",
			    tlv_oid_text(&oid, text));
		if (seen)
			return err_refuse(err, ERR_BAD_CSR,
			    "attribute extensionRequest occurs twice");
		seen = true;
		code = read_extensions(names, set.content, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* CertificationRequest and its CertificationRequestInfo, as views. */
struct parts {
	struct tlv info;	/* signed octets */
	struct tlv subject, spki, attributes, algorithm, signature;
};

static enum err_code split(
    struct bytes der, struct parts *parts, struct err *err)
{
	struct tlv outer, version;
	struct bytes in;

	if (!tlv_take(&der, DER_SEQUENCE, &outer))
		return refuse_shape(err, "not a CertificationRequest",
		    "RFC 2986 4.2");
	if (der.len > 0)
		return err_refuse(err, ERR_BAD_CSR,
		    "there are %zu octets behind the request", der.len);
	in = outer.content;
	if (!tlv_take(&in, DER_SEQUENCE, &parts->info) ||
	    !tlv_take(&in, DER_SEQUENCE, &parts->algorithm) ||
	    !tlv_take(&in, DER_BIT_STRING, &parts->signature) || in.len > 0 ||
	    parts->signature.content.len < 2 ||
	    parts->signature.content.data[0] != 0)
		return refuse_shape(err, "not a CertificationRequest",
		    "RFC 2986 4.2");
	in = parts->info.content;
	if (!tlv_take(&in, DER_INTEGER, &version) ||
	    !bytes_equal(version.content, BYTES("\0", 1)))
		return err_refuse(err, ERR_BAD_CSR,
		    "version of the request is not 0 (RFC 2986 4.1)");
	parts->attributes = (struct tlv){0};
	if (!tlv_take(&in, DER_SEQUENCE, &parts->subject) ||
	    !tlv_take(&in, DER_SEQUENCE, &parts->spki) ||
	    (in.len > 0 && !tlv_take(&in, DER_CONTEXT(0), &parts->attributes)) ||
	    in.len > 0)
		return refuse_shape(err, "CertificationRequestInfo",
		    "RFC 2986 4.1");
	return ERR_OK;
}

static enum err_code parse_der(
    struct bytes der, struct request **request_out, struct err *err)
{
	OWNED(request) request = mem_zalloc(sizeof(*request));
	struct bytes signature;
	struct parts parts;
	enum err_code code;

	if ((code = split(der, &parts, err)) != ERR_OK)
		return code;
	request->names = names_new();
	code = read_subject(request->names, parts.subject.content, err);
	if (code != ERR_OK)
		return code;
	code = read_attributes(request->names, parts.attributes.content, err);
	if (code != ERR_OK)
		return code;
	code = keycheck_decode(
	    parts.spki.whole, &request->key, &request->key_type, err);
	if (code != ERR_OK)
		return code;
	signature = BYTES(parts.signature.content.data + 1,
	    parts.signature.content.len - 1);
	code = possession_check(request->key, parts.algorithm.content,
	    parts.info.whole, signature, err);
	if (code != ERR_OK)
		return code;
	request->spki_len = parts.spki.whole.len;
	request->spki = mem_zalloc(request->spki_len);
	memcpy(request->spki, parts.spki.whole.data, request->spki_len);
	digest_sha256(parts.spki.whole, request->spki_hash);
	*request_out = GIVE(request);
	return ERR_OK;
}

enum err_code request_parse(
    struct bytes text, struct request **request_out, struct err *err)
{
	OWNED_BUF(der);
	const char *why;

	if (text.len > REQUEST_SIZE_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "request has %zu octets, at most %d are accepted",
		    text.len, REQUEST_SIZE_MAX);
	if (tlv_peek(text) == DER_SEQUENCE)
		return parse_der(text, request_out, err);
	if (!pem_parse(text, PEM_LABEL, &der, &why)) {
		const char *first = why;

		buf_reset(&der);
		if (!pem_parse(text, PEM_LABEL_OLD, &der, &why))
			return err_refuse(err, ERR_BAD_CSR,
			    "request is neither DER nor one PEM block "
			    "\"" PEM_LABEL "\": %s", first);
	}
	return parse_der(buf_bytes(&der), request_out, err);
}
