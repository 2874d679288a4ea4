// SPDX-License-Identifier: Apache-2.0
#include "ca/tlv.h"

#include <openssl/objects.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <stdio.h>

#include "ca/der.h"

#define LENGTH_OCTETS_MAX 4

/* Reads the length field at *at; false where DER has another form for it. */
static bool read_length(struct bytes in, size_t *at, size_t *len_out)
{
	size_t count, len = 0;
	uint8_t first;

	if (*at >= in.len)
		return false;
	first = in.data[(*at)++];
	if (first < 0x80) {
		*len_out = first;
		return true;
	}
	count = first & 0x7f;
	if (count == 0 || count > LENGTH_OCTETS_MAX || count > in.len - *at ||
	    in.data[*at] == 0)
		return false;
	for (size_t i = 0; i < count; i++)
		len = len << 8 | in.data[(*at)++];
	*len_out = len;
	return len >= 0x80;
}

bool tlv_next(struct bytes *in, struct tlv *out)
{
	size_t at = 1, len;

	if (in->len < 2 || (in->data[0] & 0x1f) == 0x1f)
		return false;
	if (!read_length(*in, &at, &len) || len > in->len - at)
		return false;
	out->tag = in->data[0];
	out->content = BYTES(in->data + at, len);
	out->whole = BYTES(in->data, at + len);
	*in = BYTES(in->data + at + len, in->len - at - len);
	return true;
}

bool tlv_take(struct bytes *in, uint8_t tag, struct tlv *out)
{
	return tlv_peek(*in) == tag && tlv_next(in, out);
}

uint8_t tlv_peek(struct bytes in)
{
	return in.len == 0 ? 0 : in.data[0];
}

bool tlv_unsigned(struct bytes content, struct bytes *out)
{
	if (content.len == 0 || (content.data[0] & 0x80) != 0)
		return false;
	if (content.len > 1 && content.data[0] == 0) {
		if ((content.data[1] & 0x80) == 0)
			return false;
		content = BYTES(content.data + 1, content.len - 1);
	}
	*out = content;
	return true;
}

const char *tlv_oid_text(
    const struct tlv *oid, char text[static TLV_OID_TEXT_SIZE])
{
	const unsigned char *at = oid->whole.data;
	ASN1_OBJECT *object =
	    d2i_ASN1_OBJECT(NULL, &at, (long)oid->whole.len);
	char dotted[100];
	int nid;

	if (object == NULL ||
	    OBJ_obj2txt(dotted, sizeof(dotted), object, 1) <= 0) {
		snprintf(text, TLV_OID_TEXT_SIZE, "a malformed OID");
		ASN1_OBJECT_free(object);
		ERR_clear_error();
		return text;
	}
	nid = OBJ_obj2nid(object);
	if (nid == NID_undef)
		snprintf(text, TLV_OID_TEXT_SIZE, "%s", dotted);
	else
		snprintf(text, TLV_OID_TEXT_SIZE, "%s (%s)", dotted,
		    OBJ_nid2sn(nid));
	ASN1_OBJECT_free(object);
	return text;
}
