// SPDX-License-Identifier: Apache-2.0
#include "ca/ocsp_request.h"

#include "ca/der.h"
#include "ca/tlv.h"

static const uint8_t oid_sha1[] = {0x2b, 0x0e, 0x03, 0x02, 0x1a};
static const uint8_t oid_sha256[] = {
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
/* id-pkix-ocsp-nonce */
static const uint8_t oid_nonce[] = {
    0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02};

static const struct {
	enum ocsp_hash hash;
	struct bytes oid;
	size_t len;
} hashes[] = {
    {OCSP_HASH_SHA1, {oid_sha1, sizeof(oid_sha1)}, 20},
    {OCSP_HASH_SHA256, {oid_sha256, sizeof(oid_sha256)}, 32},
};

/* X.690 8.19.2: each subidentifier of the fewest octets, the last one whole. */
static bool take_oid(struct bytes *in, struct tlv *oid)
{
	bool begins = true;

	if (!tlv_take(in, DER_OID, oid) || oid->content.len == 0)
		return false;
	for (size_t i = 0; i < oid->content.len; i++) {
		if (begins && oid->content.data[i] == 0x80)
			return false;
		begins = (oid->content.data[i] & 0x80) == 0;
	}
	return begins;
}

/* AlgorithmIdentifier: parameters NULL or absent, for they are repeated under
 * our signature. */
static bool read_hash(struct bytes algorithm, struct ocsp_item *item)
{
	struct tlv oid, parameters;

	if (!take_oid(&algorithm, &oid))
		return false;
	item->hash = OCSP_HASH_OTHER;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
		if (bytes_equal(oid.content, hashes[i].oid))
			item->hash = hashes[i].hash;
	if (algorithm.len == 0)
		return true;
	return tlv_take(&algorithm, DER_NULL, &parameters) &&
	    parameters.content.len == 0 && algorithm.len == 0;
}

static bool hashes_fit(const struct ocsp_item *item)
{
	size_t len;

	if (item->hash == OCSP_HASH_OTHER)
		return true;
	len = hashes[item->hash].len;
	return item->issuer_name_hash.len == len &&
	    item->issuer_key_hash.len == len;
}

static bool read_serial(struct bytes content, struct serial *serial_out)
{
	struct bytes magnitude;

	return tlv_unsigned(content, &magnitude) &&
	    serial_read(magnitude, serial_out);
}

static bool read_cert_id(const struct tlv *cert_id, struct ocsp_item *item)
{
	struct bytes in = cert_id->content;
	struct tlv algorithm, name_hash, key_hash, serial;

	if (!tlv_take(&in, DER_SEQUENCE, &algorithm) ||
	    !tlv_take(&in, DER_OCTET_STRING, &name_hash) ||
	    !tlv_take(&in, DER_OCTET_STRING, &key_hash) ||
	    !tlv_take(&in, DER_INTEGER, &serial) || in.len > 0)
		return false;
	item->cert_id = cert_id->whole;
	item->issuer_name_hash = name_hash.content;
	item->issuer_key_hash = key_hash.content;
	return read_hash(algorithm.content, item) && hashes_fit(item) &&
	    read_serial(serial.content, &item->serial);
}

static bool read_nonce(struct bytes value, struct bytes *nonce_out)
{
	struct tlv nonce;

	if (nonce_out == NULL || nonce_out->len > 0 ||
	    !tlv_take(&value, DER_OCTET_STRING, &nonce) || value.len > 0 ||
	    nonce.content.len == 0 || nonce.content.len > OCSP_NONCE_MAX)
		return false;
	*nonce_out = nonce.content;
	return true;
}

/* NONCE_OUT is NULL where a nonce has no meaning and counts as any other
 * extension. */
static bool read_extension(struct bytes in, struct bytes *nonce_out)
{
	struct tlv oid, critical, value;
	bool must_know = false;

	if (!take_oid(&in, &oid))
		return false;
	if (tlv_peek(in) == DER_BOOLEAN) {
		if (!tlv_next(&in, &critical) || critical.content.len != 1)
			return false;
		must_know = critical.content.data[0] != 0;
	}
	if (!tlv_take(&in, DER_OCTET_STRING, &value) || in.len > 0)
		return false;
	if (nonce_out != NULL && bytes_equal(oid.content, BYTES_OF(oid_nonce)))
		return read_nonce(value.content, nonce_out);
	return !must_know;	/* RFC 6960 4.4 */
}

/* [N] EXPLICIT Extensions, when it comes next. */
static bool read_extensions(
    struct bytes *in, unsigned n, struct bytes *nonce_out)
{
	struct tlv explicit, list, extension;

	if (tlv_peek(*in) != DER_CONTEXT(n))
		return true;
	if (!tlv_next(in, &explicit) ||
	    !tlv_take(&explicit.content, DER_SEQUENCE, &list) ||
	    explicit.content.len > 0)
		return false;
	while (list.content.len > 0)
		if (!tlv_take(&list.content, DER_SEQUENCE, &extension) ||
		    !read_extension(extension.content, nonce_out))
			return false;
	return true;
}

static bool read_item(struct bytes in, struct ocsp_item *item)
{
	struct tlv cert_id;

	return tlv_take(&in, DER_SEQUENCE, &cert_id) &&
	    read_cert_id(&cert_id, item) && read_extensions(&in, 0, NULL) &&
	    in.len == 0;
}

static bool read_list(struct bytes in, struct ocsp_request *request)
{
	struct tlv item;

	for (request->count = 0; in.len > 0; request->count++)
		if (request->count == OCSP_ITEMS_MAX ||
		    !tlv_take(&in, DER_SEQUENCE, &item) ||
		    !read_item(item.content, &request->items[request->count]))
			return false;
	return request->count > 0;
}

/* Version ::= INTEGER { v1(0) } DEFAULT v1: DER leaves it out, but some write
 * it all the same. */
static bool read_version(struct bytes *in)
{
	struct tlv explicit, version;

	if (tlv_peek(*in) != DER_CONTEXT(0))
		return true;
	return tlv_next(in, &explicit) &&
	    tlv_take(&explicit.content, DER_INTEGER, &version) &&
	    explicit.content.len == 0 && version.content.len == 1 &&
	    version.content.data[0] == 0;
}

static bool read_tbs(struct bytes in, struct ocsp_request *request)
{
	struct tlv skipped, list;

	if (!read_version(&in))
		return false;
	if (tlv_peek(in) == DER_CONTEXT(1) && !tlv_next(&in, &skipped))
		return false;	/* requestorName */
	return tlv_take(&in, DER_SEQUENCE, &list) &&
	    read_list(list.content, request) &&
	    read_extensions(&in, 2, &request->nonce) && in.len == 0;
}

bool ocsp_request_read(struct bytes der, struct ocsp_request *request_out)
{
	struct tlv outer, tbs, skipped;
	struct bytes in;

	*request_out = (struct ocsp_request){.count = 0};
	if (der.len > OCSP_REQUEST_MAX ||
	    !tlv_take(&der, DER_SEQUENCE, &outer) || der.len > 0)
		return false;
	in = outer.content;
	if (!tlv_take(&in, DER_SEQUENCE, &tbs))
		return false;
	if (tlv_peek(in) == DER_CONTEXT(0) && !tlv_next(&in, &skipped))
		return false;	/* optionalSignature */
	return in.len == 0 && read_tbs(tbs.content, request_out);
}
